"""Extension modules that the target's interpreter doesn't import, by their names.

The import system goes by a file's suffix alone: one with another tag isn't a module at
all, whatever is in it (PEP 3149, PEP 384; `importlib.machinery.EXTENSION_SUFFIXES`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from layerforge.ecosystems.python.suffixes import extension_suffixes
from layerforge.findings import Finding, Severity
from layerforge.target import Target
from layerforge.tree import FileEntry, Tree

_TAGGED: Final = re.compile(
    r"(?P<module>[^/.]+)(?P<suffix>\.(?:abi3|cpython|graalpy|pypy)[^/]*\.so"
    r"|(?:\.[^/]+)?\.pyd)"
)


def find_foreign_extensions(tree: Tree, target: Target) -> Iterator[Finding]:
    """Find modules that are there for other interpreters alone, by package.

    An error where a package has none for the target: it was installed for another. A
    module that another file gives as well is not missed, and one for Windows not where
    its package has libraries for Linux too: it serves both. Of a package in Python its
    sources tell whether it does without what it has for Windows.
    """
    tagged = [
        (folder, match, entry)
        for entry in tree
        if entry.path.endswith((".so", ".pyd"))
        for folder, _, name in [entry.path.rpartition("/")]
        if folder.startswith("python") and (match := _TAGGED.fullmatch(name))
    ]
    suffixes = extension_suffixes(target)
    if all(match["suffix"] in suffixes for _, match, _ in tagged):
        return
    given = _modules(tree, suffixes)
    packages: defaultdict[str, list[FileEntry]] = defaultdict(list)
    suiting: set[str] = set()
    linux = {_package(one.path, target) for one in tree if one.path.endswith(".so")}
    for folder, match, entry in tagged:
        package = _package(entry.path, target)
        if match["suffix"] in suffixes:
            suiting.add(package)
        elif match["suffix"].endswith(".pyd") and package in linux:
            continue
        elif f"{folder}/{match['module']}" not in given:
            packages[package].append(entry)
    for package, entries in packages.items():
        spared = package in suiting or _are_windows_own(package, entries, tree, target)
        yield _finding(package, entries, target, spared=spared)


def _are_windows_own(
    package: str, entries: Sequence[FileEntry], tree: Tree, target: Target
) -> bool:
    """Say whether a package in Python has modules for Windows, and does without."""
    if not all(entry.path.endswith(".pyd") for entry in entries):
        return False
    sources = (entry.path for entry in tree if entry.path.endswith(".py"))
    if all(_package(path, target) != package for path in sources):
        return False
    from layerforge.ecosystems.python.reach import (  # noqa: PLC0415 - seldom asked
        find_loaded,
    )

    return find_loaded(tree, target).isdisjoint(entry.path for entry in entries)


def _modules(tree: Tree, suffixes: Sequence[str]) -> set[str]:
    """Name what the target can import, as paths without suffixes."""
    known = (".py", ".pyc", *suffixes)
    modules = set()
    for entry in tree:
        suffix = next((one for one in known if entry.path.endswith(one)), "")
        if suffix:
            module = entry.path.removesuffix(suffix)
            modules.add(module.removesuffix("/__init__"))
    return modules


def _package(path: str, target: Target) -> str:
    """Give the path of the top-level package or module that a file belongs to."""
    place = target.runtime.place_of(path)
    return place + path.removeprefix(place).partition("/")[0]


def _finding(
    package: str, entries: Sequence[FileEntry], target: Target, *, spared: bool
) -> Finding:
    suffixes = {
        match["suffix"]
        for entry in entries
        if (match := _TAGGED.fullmatch(entry.path.rpartition("/")[2]))
    }
    count, (own, *_) = len(entries), extension_suffixes(target)
    many = (
        f"{count} extension modules end" if count > 1 else "is an extension that ends"
    )
    return Finding(
        check="abi",
        severity=Severity.WARNING if spared else Severity.ERROR,
        path=package if count > 1 else entries[0].path,
        message=f"{many} in {' or '.join(sorted(suffixes))}: {target.runtime} on "
        f"{target.arch} imports {own} and .abi3.so",
        remedy=f"Leave {'them' if count > 1 else 'it'} out with exclude, if nothing "
        f"imports {'them' if count > 1 else 'it'}."
        if spared
        else f"Install its package for {target}: layerforge build does.",
    )
