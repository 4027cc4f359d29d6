"""What a zip is for, told by what is in it, where nobody says so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from layerforge.target import Arch, Runtime, Target, load_runtimes
from layerforge.tree import FileEntry, Tree
from layerforge.verify.layout import FOLDERS

# What names a version of the language, the surest sign first.
_SIGNS: Final = {
    "node": (re.compile(r"nodejs/node(?P<version>\d+)/"),),
    "python": (
        re.compile(r".*\.(?:cpython-|cp)(?P<version>\d{2,})t?-[^/]*\.(?:so|pyd)"),
        re.compile(r".*lib/python(?P<version>\d\.\d+)/"),
        re.compile(r".*\.cpython-(?P<version>\d{2,})(?:\.opt-\d)?\.pyc"),
    ),
}
# By what an unlawful layout is known all the same.
_TRACES: Final = {
    "node": re.compile(r"(?:.*/)?node_modules/"),
    "python": re.compile(r"(?:.*/)?[^/]+\.dist-info/|[^/]+/__init__\.py|[^/]+\.py"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """A target that a zip seems to be for; ``assumed`` names what nothing tells."""

    target: Target
    assumed: tuple[str, ...] = ()


def purposes_of(
    tree: Tree, runtime: Runtime | None = None, arch: Arch | None = None
) -> tuple[Purpose, ...]:
    """Tell what a zip is for: a target for each language that it has packages for.

    What is not given is told by names of extension modules and folders, and by the
    machine of libraries. A runtime that nothing tells is the newest. None at all, where
    a layer has nothing that a runtime imports.
    """
    languages = (runtime.language,) if runtime else _languages(tree)
    machine = arch or _arch(tree)
    purposes = []
    for language in languages:
        told = runtime or _runtime(tree, language)
        assumed = [] if told else ["runtime"]
        assumed += [] if machine else ["architecture"]
        target = Target(runtime=told or _newest(language), arch=machine or Arch.X86_64)
        purposes.append(Purpose(target=target, assumed=tuple(assumed)))
    return tuple(purposes)


def _languages(tree: Tree) -> tuple[str, ...]:
    tops = {entry.path.partition("/")[0] for entry in tree}
    lawful = [name for name, folder in FOLDERS.items() if folder[:-1] in tops]
    if lawful:
        return tuple(lawful)
    return tuple(
        language
        for language, trace in _TRACES.items()
        if any(trace.match(entry.path) for entry in tree)
    )[:1]


def _runtime(tree: Tree, language: str) -> Runtime | None:
    """Give the runtime that most signs of the surest kind speak of."""
    known = {
        runtime.version.replace(".", ""): runtime
        for runtime in load_runtimes().values()
        if runtime.language == language
    }
    for sign in _SIGNS[language]:
        found = Counter(
            version for version in _versions(tree, sign) if version in known
        )
        if found:
            return known[max(found, key=lambda version: (found[version], version))]
    return None


def _versions(tree: Iterable[FileEntry], sign: re.Pattern[str]) -> Iterator[str]:
    for entry in tree:
        if match := sign.match(entry.path):
            yield match["version"].replace(".", "")


def _arch(tree: Tree) -> Arch | None:
    machines = Counter(entry.elf.machine for entry in tree if entry.elf)
    counts = {arch: machines[arch.elf_machine] for arch in Arch}
    most = max(counts, key=lambda arch: counts[arch])
    return most if counts[most] else None


def _newest(language: str) -> Runtime:
    return [
        runtime
        for runtime in load_runtimes().values()
        if runtime.language == language and not runtime.preview
    ][-1]
