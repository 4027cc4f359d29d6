"""Put smaller files where the tree has larger ones: ELF files without their tails.

What is made is kept in the store by content, so each library is cut and deflated once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from layerforge.elf.tail import trim
from layerforge.events import Listener, Noted, silent
from layerforge.store import Store
from layerforge.tree import Content, FileEntry

_TRANSFORM: Final = "elf-tail-1"  # to be raised when trim gives other bytes
_WORKERS: Final = 2  # each holds a library and its compressed bytes in memory


def trim_libraries(
    entries: Sequence[FileEntry], store: Store, *, listen: Listener = silent
) -> tuple[FileEntry, ...]:
    """Cut the tails of all ELF files that can lose them, in the order given.

    A file with a checksum beside it (``.NAME.hmac``) stays as it is, and so does one
    whose tail is not known to be superfluous; that is noted.
    """
    paths = {entry.path for entry in entries}
    for entry in entries:
        if entry.elf and entry.elf.untrimmable:
            listen(
                Noted(message=f"{entry.path} is not trimmed: {entry.elf.untrimmable}")
            )
    worth = [entry for entry in entries if _worth_trimming(entry, paths)]
    trimmed = {
        entry.path: replace(entry, content=content)
        for entry, content in zip(worth, _contents(worth, store), strict=True)
    }
    return tuple(trimmed.get(entry.path, entry) for entry in entries)


def as_trimmed(entries: Sequence[FileEntry]) -> tuple[FileEntry, ...]:
    """Give entries with the sizes that they will have: what they hold is not made."""
    paths = {entry.path for entry in entries}
    return tuple(
        replace(entry, content=replace(entry.content, size=entry.elf.trimmed))
        if entry.elf and entry.content and _worth_trimming(entry, paths)
        else entry
        for entry in entries
    )


def _worth_trimming(entry: FileEntry, paths: set[str]) -> bool:
    if not entry.elf or not entry.content or entry.elf.trimmed >= entry.size:
        return False
    path = PurePosixPath(entry.path)
    return str(path.with_name(f".{path.name}.hmac")) not in paths


def _contents(entries: Sequence[FileEntry], store: Store) -> Iterator[Content]:
    missing = {
        entry.content.sha256: entry
        for entry in entries
        if entry.content and not store.derived(entry.content.sha256, _TRANSFORM)
    }
    if missing:
        # The largest first, so that no core is left with one of them at the end.
        ordered = sorted(missing.values(), key=lambda entry: -entry.size)
        with ThreadPoolExecutor(_WORKERS) as pool:
            for _ in pool.map(lambda entry: _cut(entry, store), ordered):
                pass
    for entry in entries:
        yield _cut(entry, store)


def _cut(entry: FileEntry, store: Store) -> Content:
    if entry.content is None:
        raise TypeError(entry.path)
    present = store.derived(entry.content.sha256, _TRANSFORM)
    if present:
        return present
    image = bytearray(entry.size)
    entry.content.inflate_into(image)
    trim(image)
    return store.derive(entry.content.sha256, _TRANSFORM, image)
