"""The programs of packages: linked in node_modules/.bin, as npm's bin-links does it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from layerforge.ecosystems.node.installation import holder_of
from layerforge.ecosystems.node.packagelock import MODULES, Package
from layerforge.pack import Pack
from layerforge.store import Store
from layerforge.tree import FileEntry

_WINDOWS_LINE: Final = re.compile(rb"\A(#![^\n]+)\r\n")
_TRANSFORM: Final = "shebang"


def link_bins(
    packs: Mapping[str, Pack],
    packages: Mapping[str, Package],
    base: str,
    store: Store,
) -> dict[str, Pack]:
    """Give the packs, by place, with a link to each program, which is made executable.

    ``base`` is the folder that places are below, with a slash. A program that isn't
    there is passed over; of two that have one name, the first package's counts.
    """
    files = {
        place: {entry.path: entry for entry in pack.entries}
        for place, pack in packs.items()
    }
    taken: set[str] = set()
    for place in sorted(packages, key=lambda each: (each.count(MODULES), each)):
        entries = files[holder_of(place, packages)]
        for link, target in _links(packages[place], base):
            program = entries.get(target)
            if program is None or link in taken:
                continue
            taken.add(link)
            entries[target] = _runnable(program, store)
            way = posixpath.relpath(target, posixpath.dirname(link))
            entries[link] = FileEntry(path=link, origin=program.origin, link=way)
    return {
        place: replace(pack, entries=tuple(files[place].values()))
        for place, pack in packs.items()
    }


def _links(package: Package, base: str) -> Iterator[tuple[str, str]]:
    """Give each program's link and its own path, below /opt."""
    start = package.path.rindex(MODULES) + len(MODULES)
    for name, program in package.bin:
        bare = posixpath.basename(_inside(name.replace(":", "/")))
        target = _inside(program)
        if bare and target:
            link = f"{base}{package.path[:start]}.bin/{bare}"
            yield link, f"{base}{package.path}/{target}"


def _inside(path: str) -> str:
    """Read a path as npm does: of slashes alone, and never one out of its folder."""
    return posixpath.normpath("/" + path.replace("\\", "/")).lstrip("/")


def _runnable(program: FileEntry, store: Store) -> FileEntry:
    """Give a program the x bit, and a first line that Linux understands."""
    runnable = replace(program, executable=True)
    if program.content is None:
        return runnable
    data = program.content.inflated()
    mended = _WINDOWS_LINE.sub(rb"\1\n", data, count=1)
    if mended == data:
        return runnable
    sha256 = program.content.sha256
    content = store.derived(sha256, _TRANSFORM)
    return replace(
        runnable, content=content or store.derive(sha256, _TRANSFORM, mended)
    )
