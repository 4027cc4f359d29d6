"""A wheel's scripts, made to run by the runtime's own interpreter."""

from __future__ import annotations

from dataclasses import replace

from layerforge.ecosystems.python.wheel import SHEBANG
from layerforge.pack import Pack
from layerforge.store import Store
from layerforge.target import Target
from layerforge.tree import FileEntry


def with_shebangs(pack: Pack, target: Target, store: Store) -> Pack:
    """Give a pack whose scripts name the target's interpreter in their first lines.

    Wheels leave that line to whoever installs them (``#!python``, PEP 427).
    """
    if not pack.scripts:
        return pack
    line = f"#!/var/lang/bin/python{target.runtime.version}"
    entries = (
        entry
        if entry.path not in pack.scripts
        else _foretold(entry, line)
        if pack.predicted
        else _with_first_line(entry, line, store)
        for entry in pack.entries
    )
    return replace(pack, entries=tuple(entries))


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
