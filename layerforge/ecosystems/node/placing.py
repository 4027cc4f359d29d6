"""Packages put where they stand in a layer."""

from __future__ import annotations

from layerforge.pack import Pack
from layerforge.tree import FileEntry


def place(pack: Pack, *, name: str, version: str, folder: str) -> Pack:
    """Give a pack whose paths are below its package, as one whose paths are in /opt."""
    return Pack(
        name=name,
        version=version,
        digest=pack.digest,
        entries=tuple(
            FileEntry(
                path=f"{folder}/{entry.path}",
                origin=name,
                content=entry.content,
                link=entry.link,
                executable=entry.executable,
                elf=entry.elf,
            )
            for entry in pack.entries
        ),
    )
