"""What changes from one layer's zip to another: packages, files, bytes, libraries.

Read from the zips themselves, so that it does not matter who built them. A package's
bytes are exact where both have a manifest, and else as near as names tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from layerforge.inventory import Package, packages_in, packages_of
from layerforge.manifest import BuildReport
from layerforge.tree import FileEntry

T = TypeVar("T")

_SYMBOL: Final = re.compile(r"(?P<family>GLIBC|GLIBCXX)_(?P<version>\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A zip as it was read: ``place`` is its path or its ARN, ``zipped`` its bytes.

    ``code_sha256`` is told as Lambda tells it. ``manifest`` is what a build left, if
    it speaks of this very zip.
    """

    place: str
    zipped: int
    code_sha256: str
    entries: tuple[FileEntry, ...]
    manifest: BuildReport | None = None

    @property
    def unzipped(self) -> int:
        """Bytes that count against Lambda's limit."""
        return sum(entry.size for entry in self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageChange:
    """A package that came, went or is another; versions, None where it is not.

    Both may be the same, where it was built otherwise. ``location`` is told as in
    `Pin`; ``growth`` is the bytes that it takes more.
    """

    name: str
    location: str
    before: str | None
    after: str | None
    growth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file that came, went or has other contents; sizes in bytes, None for none."""

    path: str
    before: int | None
    after: int | None

    @property
    def growth(self) -> int:
        """Bytes that it takes more."""
        return (self.after or 0) - (self.before or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryChange:
    """A library that the runtime has to have for one layer and not for the other.

    ``needed_by`` are the files that name it. It is ``needed`` by the second layer, or
    it was by the first.
    """

    name: str
    needed: bool
    needed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolChange:
    """The newest version of a library's symbols that a layer needs, '' for none.

    ``family`` is what it is called there: GLIBC, GLIBCXX.
    """

    family: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """All that changes from the layer ``before`` to the layer ``after``, in order."""

    before: Layer
    after: Layer
    packages: tuple[PackageChange, ...]
    files: tuple[FileChange, ...]
    libraries: tuple[LibraryChange, ...]
    symbols: tuple[SymbolChange, ...]

    @property
    def same_bytes(self) -> bool:
        """Say whether the zips are one and the same."""
        return self.before.code_sha256 == self.after.code_sha256

    @property
    def same_contents(self) -> bool:
        """Say whether the files are the same, however they are compressed."""
        return not self.files


def compare(before: Layer, after: Layer) -> Difference:
    """Say what changes from one layer to another."""
    return Difference(
        before=before,
        after=after,
        packages=_compare_packages(before, after),
        files=_compare_files(before.entries, after.entries),
        libraries=_compare_libraries(before.entries, after.entries),
        symbols=_compare_symbols(before.entries, after.entries),
    )


def _compare_packages(before: Layer, after: Layer) -> tuple[PackageChange, ...]:
    if before.manifest and after.manifest:
        one, other = packages_of(before.manifest), packages_of(after.manifest)
    else:
        one, other = packages_in(before.entries), packages_in(after.entries)
    return tuple(
        _package_change(old, new)
        for _, old, new in changed(
            {package.key: package for package in one},
            {package.key: package for package in other},
        )
    )


def _package_change(old: Package | None, new: Package | None) -> PackageChange:
    named = [package for package in (new, old) if package]
    return PackageChange(
        name=named[0].name,
        location=named[0].location,
        before=old.version if old else None,
        after=new.version if new else None,
        growth=(new.size if new else 0) - (old.size if old else 0),
    )


def _compare_files(
    before: Iterable[FileEntry], after: Iterable[FileEntry]
) -> tuple[FileChange, ...]:
    # A link or a mode is part of what a file is; how it is compressed is not.
    one = {entry.path: entry for entry in before}
    other = {entry.path: entry for entry in after}
    same = {
        path
        for path in one.keys() & other.keys()
        if _identity(one[path]) == _identity(other[path])
    }
    return tuple(
        FileChange(
            path=path,
            before=one[path].size if path in one else None,
            after=other[path].size if path in other else None,
        )
        for path in sorted((one.keys() | other.keys()) - same)
    )


def _identity(entry: FileEntry) -> tuple[str, bool]:
    return entry.identity, entry.executable


def _compare_libraries(
    before: Iterable[FileEntry], after: Iterable[FileEntry]
) -> tuple[LibraryChange, ...]:
    changes = changed(_needed(tuple(before)), _needed(tuple(after)))
    return tuple(
        LibraryChange(name=name, needed=new is not None, needed_by=new or old or ())
        for name, old, new in changes
        if old is None or new is None
    )


def _needed(entries: tuple[FileEntry, ...]) -> dict[str, tuple[str, ...]]:
    """Give what the runtime must have, by name: libraries that no file here is."""
    brought = {entry.path.rpartition("/")[2] for entry in entries}
    brought |= {entry.elf.soname for entry in entries if entry.elf}
    needed: dict[str, tuple[str, ...]] = {}
    for entry in sorted(entries, key=lambda entry: entry.path):
        for name in entry.elf.needed if entry.elf else ():
            if name not in brought:
                needed[name] = (*needed.get(name, ()), entry.path)
    return needed


def _compare_symbols(
    before: Iterable[FileEntry], after: Iterable[FileEntry]
) -> tuple[SymbolChange, ...]:
    changes = changed(_newest_symbols(before), _newest_symbols(after))
    return tuple(
        SymbolChange(family=family, before=_dotted(old), after=_dotted(new))
        for family, old, new in changes
    )


def _newest_symbols(entries: Iterable[FileEntry]) -> dict[str, tuple[int, ...]]:
    newest: dict[str, tuple[int, ...]] = {}
    for entry in entries:
        for symbol in entry.elf.versions if entry.elf else ():
            match = _SYMBOL.fullmatch(symbol)
            if match:
                numbers = tuple(map(int, match["version"].split(".")))
                newest[match["family"]] = max(numbers, newest.get(match["family"], ()))
    return newest


def _dotted(numbers: tuple[int, ...] | None) -> str:
    return ".".join(map(str, numbers or ()))


def changed(
    before: Mapping[str, T], after: Mapping[str, T]
) -> Iterator[tuple[str, T | None, T | None]]:
    """Give what differs of two mappings, by key, in order; None where one has none."""
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old != new:
            yield key, old, new
