"""How the runtime's loader finds the libraries that a layer's files need.

Follows ld.so(8) of glibc, in the environment of Lambda's runtimes: DT_RPATH, then
LD_LIBRARY_PATH, which has the image's folders first and /opt/lib last, then DT_RUNPATH.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from posixpath import basename, commonpath, dirname, normpath
from typing import Final, cast

from layerforge.elf import ElfFacts
from layerforge.tree import FileEntry, Tree
from layerforge.verify.links import follow

_OPT: Final = "/opt/"
_LAST: Final = f"{_OPT}lib"  # of Lambda's LD_LIBRARY_PATH
_LIB: Final = "lib64"  # what $LIB stands for in Amazon Linux, on both architectures
# Folders that packages share.
_SHARED: Final = re.compile(
    r"/(?:bin|lib|python(?:/lib/python[\d.]+/site-packages)?|"
    r"(?:.*/)?node_modules(?:/@[^/]+)?)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A library that a file needs (DT_NEEDED), by ``name``.

    ``path`` is the layer's own file that is loaded, ``elsewhere`` one of that name to
    which nothing leads the loader. Without either it is the image's, or ``missing``.
    """

    name: str
    path: str = ""
    elsewhere: str = ""
    missing: bool = False


@dataclass(frozen=True)
class Linkage:
    """What the ELF files of a layer need, and where that is found.

    ``system`` are the names of the libraries that the image has.
    """

    tree: Tree
    system: frozenset[str] = frozenset()

    def needs(self, entry: FileEntry) -> Iterator[Need]:
        """Give what a file needs, in the order that it is loaded in."""
        for name in entry.elf.needed if entry.elf else ():
            yield self._find(name, entry)

    def closure(self, paths: Iterable[str]) -> frozenset[str]:
        """Give ``paths`` with all of the layer's libraries that loading them loads."""
        found: set[str] = set()
        waiting = list(paths)
        while waiting:
            path = waiting.pop()
            if path in found:
                continue
            found.add(path)
            if path in self._files:
                needs = self.needs(self._files[path])
                waiting += [need.path for need in needs if need.path]
        return frozenset(found)

    def _find(self, name: str, entry: FileEntry) -> Need:
        """Search as the loader does, and then among what it may have loaded before.

        A process has each library once, by its own name: what a package has loaded
        with ctypes, or what its libraries' DT_RPATH has led to, serves its others too.
        """
        known = basename(name) in self.system
        if "/" in name:
            path = self._first([_expanded(name, entry)], entry)
        else:
            facts = cast("ElfFacts", entry.elf)
            path = self._first(_places(facts.rpath, name, entry), entry)
            if not path and not known:
                late = _places((_LAST, *facts.runpath), name, entry)
                path = self._first(late, entry)
        if path or known:
            return Need(name=name, path=path)
        others = [each for each in self._named.get(name, ()) if _fits(each, entry)]
        own = [each.path for each in others if _same_package(each, entry)]
        if own:
            return Need(name=name, path=own[0])
        elsewhere = next((each.path for each in others), "")
        return Need(name=name, elsewhere=elsewhere, missing=not elsewhere)

    def _first(self, places: Iterable[str], entry: FileEntry) -> str:
        """Give the path of the first library that is there, and of the same machine."""
        for place in places:
            path = normpath(place)
            if not path.startswith(_OPT):
                continue  # the image's, or the function's
            path = path.removeprefix(_OPT)
            if path not in self._files and self._links:
                path = follow(path, self._links).removeprefix(_OPT)
            if path in self._files and _fits(self._files[path], entry):
                return path
        return ""

    @cached_property
    def _files(self) -> Mapping[str, FileEntry]:
        return {entry.path: entry for entry in self.tree if entry.elf}

    @cached_property
    def _links(self) -> Mapping[str, str]:
        return {entry.path: entry.link for entry in self.tree if entry.link}

    @cached_property
    def _named(self) -> Mapping[str, list[FileEntry]]:
        """Give libraries by the names of files, of links to them, and by their own."""
        named: dict[str, list[FileEntry]] = {}
        for path, entry in self._files.items():
            for name in {basename(path), cast("ElfFacts", entry.elf).soname}:
                named.setdefault(name, []).append(entry)
        for link in self._links:
            end = follow(link, self._links).removeprefix(_OPT)
            if end in self._files:
                named.setdefault(basename(link), []).append(self._files[end])
        return named


def _places(folders: Iterable[str], name: str, entry: FileEntry) -> Iterator[str]:
    # An empty folder is the working directory, which is the function's own.
    return (f"{_expanded(folder, entry)}/{name}" for folder in folders if folder)


def _expanded(place: str, entry: FileEntry) -> str:
    """Put in what ld.so knows: where the file is, and the name of the lib folder."""
    values = {"ORIGIN": _OPT + dirname(entry.path), "LIB": _LIB}
    for token, value in values.items():
        place = place.replace(f"${{{token}}}", value).replace(f"${token}", value)
    return place


def _fits(library: FileEntry, entry: FileEntry) -> bool:
    one, other = cast("ElfFacts", library.elf), cast("ElfFacts", entry.elf)
    return (one.machine, one.bits) == (other.machine, other.bits)


def _same_package(one: FileEntry, other: FileEntry) -> bool:
    """Say whether two files came together; a foreign zip has only folders to tell."""
    if one.origin and other.origin:
        return one.origin == other.origin
    common = commonpath((f"/{dirname(one.path)}", f"/{dirname(other.path)}"))
    return _SHARED.fullmatch(common) is None
