"""A wheel's scripts, made to run by the runtime's own interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layerforge.ecosystems.python.wheel import SHEBANG
from layerforge.pack import Pack
from layerforge.store import Store
from layerforge.target import Target
from layerforge.tree import FileEntry


def with_shebangs(
    packs: Sequence[Pack], target: Target, store: Store
) -> tuple[FileEntry, ...]:
    """Give all entries, the first lines of scripts naming the target's interpreter.

    Wheels leave that line to whoever installs them (``#!python``, PEP 427).
    """
    line = f"#!/var/lang/bin/python{target.runtime.version}"
    entries = []
    for pack in packs:
        for entry in pack.entries:
            if entry.path not in pack.scripts:
                entries.append(entry)
            elif pack.predicted:
                entries.append(_foretold(entry, line))
            else:
                entries.append(_with_first_line(entry, line, store))
    return tuple(entries)


def _foretold(entry: FileEntry, line: str) -> FileEntry:
    """Give a script that isn't here with the size that it will have."""
    if entry.content is None:
        return entry
    size = entry.size + len(line) - len(SHEBANG)
    return replace(entry, content=replace(entry.content, size=size), executable=True)


def _with_first_line(entry: FileEntry, line: str, store: Store) -> FileEntry:
    if entry.content is None:
        return entry
    transform = f"first line {line}"
    content = store.derived(entry.content.sha256, transform)
    if content is None:
        _, newline, rest = entry.content.inflated().partition(b"\n")
        script = line.encode() + newline + rest
        content = store.derive(entry.content.sha256, transform, script)
    return replace(entry, content=content, executable=True)
