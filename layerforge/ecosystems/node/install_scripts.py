"""Which install scripts matter to a layer, and why the others are skipped.

npm runs the scripts of every package that has some. Most do nothing that a layer could
miss: they fetch or compile what the package, or another one, brings already.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from layerforge.ecosystems.node.packagejson import manifest_of
from layerforge.ecosystems.node.packagelock import Package, Source, find_package
from layerforge.ecosystems.node.platforms import suits
from layerforge.spec import Script
from layerforge.target import Target
from layerforge.tree import FileEntry, Tree
from layerforge.verify import verify

_FILE: Final = Path(__file__).parents[2] / "data" / "install-scripts.toml"
_MUSL: Final = "libc.musl"
_UNLOADABLE: Final = "symbol-version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a package's install scripts are run, and why, in a sentence."""

    package: Package
    run: bool
    why: str

    def __str__(self) -> str:
        word = "run" if self.run else "skipped"
        return f"{self.package}: its install scripts are {word}. {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A row of data/install-scripts.toml: what is known of one package's scripts."""

    run: bool
    why: str


def judge_scripts(
    packages: Sequence[Package],
    entries: Mapping[str, Sequence[FileEntry]],
    choices: Mapping[str, Script],
    target: Target,
) -> tuple[Verdict, ...]:
    """Judge each package that has install scripts, in the order given.

    ``packages`` are those of the layer, ``entries`` the files of each by its path. The
    user's ``choices``, by name, come first, then what is known of the package, then
    what it brings for the target.
    """
    present = {package.path: package for package in packages}
    return tuple(
        _judge(package, present, files, choices, target)
        for package in packages
        for files in [entries.get(package.path, ())]
        if package.has_install_script or _is_gyps(files)
    )


@cache
def known_scripts() -> Mapping[str, Known]:
    """Read data/install-scripts.toml: packages by name."""
    document = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {
        name: Known(run=row.get("run", False), why=row["why"])
        for name, row in document["packages"].items()
    }


def _is_gyps(entries: Sequence[FileEntry]) -> bool:
    """Say whether npm would compile a package that names no script for that.

    It does so for a binding.gyp, which a lock needn't tell of, unless package.json has
    ``"gypfile": false``.
    """
    files = {entry.path: entry for entry in entries}
    if "binding.gyp" not in files:
        return False
    return manifest_of(files.get("package.json")).get("gypfile") is not False


def _judge(
    package: Package,
    present: Mapping[str, Package],
    entries: Sequence[FileEntry],
    choices: Mapping[str, Script],
    target: Target,
) -> Verdict:
    def verdict(why: str, *, run: bool = False) -> Verdict:
        return Verdict(package=package, run=run, why=why)

    choice = choices.get(package.name)
    if choice:
        return verdict("The layer's install-scripts say so.", run=choice is Script.RUN)
    known = known_scripts().get(package.name)
    if known:
        return verdict(known.why, run=known.run)
    if package.source is Source.BUNDLED:
        return verdict("It comes inside of another package, as that was packed.")
    binary = next(_loadable(entries, target), None)
    if binary:
        return verdict(f"It brings {binary.path}.")
    others = list(_platform_packages(package, present, target))
    if others:
        # Of two, as with sharp, one has the libraries that the other's binary needs.
        verb = "brings" if len(others) == 1 else "bring"
        return verdict(f"{' and '.join(map(str, others))} {verb} its binary.")
    return verdict("It brings no binary for the target.", run=True)


def _loadable(entries: Iterable[FileEntry], target: Target) -> Iterator[FileEntry]:
    """Give the addons of a package that the target's Node.js could load."""
    for entry in entries:
        if not entry.path.endswith(".node") or entry.elf is None:
            continue
        if entry.elf.machine != target.arch.elf_machine:
            continue
        if any(name.startswith(_MUSL) for name in entry.elf.needed):
            continue
        findings = verify(Tree((entry,)), target)
        if not any(finding.check == _UNLOADABLE for finding in findings):
            yield entry


def _platform_packages(
    package: Package, present: Mapping[str, Package], target: Target
) -> Iterator[Package]:
    """Give the optional dependencies that are for the target's platform alone."""
    for wish in package.dependencies:
        path = find_package(wish.name, package.path, present) if wish.optional else None
        if path is None:
            continue
        other = present[path]
        if (other.os or other.cpu) and suits(other, target):
            yield other
