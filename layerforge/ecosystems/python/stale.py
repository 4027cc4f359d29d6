"""Bytecode that the runtime passes over: compiled by another Python, or out of date.

Python goes by the tag in the name (PEP 3147), then by what the header says of the
source (PEP 552). Either way it reads the source instead, and can keep nothing in /opt.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from layerforge.findings import Finding, Severity
from layerforge.target import Target
from layerforge.tree import STORED, Content, FileEntry, Tree

_CACHED: Final = re.compile(
    r"python/(?:.*/)?__pycache__/[^/]+?\.(?P<tag>[\w-]+)(?:\.opt-\w+)?\.pyc"
)
_HEADER: Final = 16  # bytes
_ENOUGH: Final = 2048  # bytes; deflate's own tables come before the first of a file
_HASHED: Final = 0b01  # a flag of the header


def find_stale_bytecode(tree: Tree, target: Target) -> Iterator[Finding]:
    """Note bytecode that weighs and is never used."""
    tag = "cpython-" + "".join(map(str, target.runtime.version_info))
    cached = [
        (match["tag"], entry)
        for entry in tree
        if entry.path.endswith(".pyc") and (match := _CACHED.fullmatch(entry.path))
    ]
    others = [entry for other, entry in cached if other != tag]
    if others:
        tags = ", ".join(sorted({other for other, _ in cached} - {tag}))
        yield _note(
            f"{_weight(others)} are for {tags}, which {target.runtime} never reads",
            "Leave it out with exclude; bytecode = true compiles for the runtime.",
        )
    own = [entry for other, entry in cached if other == tag]
    # Whoever compiled one of them compiled all.
    if own and _is_timed(own[0]):
        yield _note(
            f"{_weight(list(filter(_is_timed, own)))} are valid while sources have "
            "the times that they name: a zip rounds those, or has none",
            "Compile it with --invalidation-mode unchecked-hash: bytecode = true does.",
        )


def _weight(entries: Sequence[FileEntry]) -> str:
    size = sum(entry.size for entry in entries)
    return f"{size:,} bytes of bytecode ({len(entries)} .pyc)"


def _note(message: str, remedy: str) -> Finding:
    return Finding(
        check="bytecode", severity=Severity.NOTE, message=message, remedy=remedy
    )


def _is_timed(entry: FileEntry) -> bool:
    header = _read_header(entry.content) if entry.content else b""
    return len(header) == _HEADER and not header[4] & _HASHED


def _read_header(content: Content) -> bytes:
    with Path(content.file).open("rb") as stream:
        stream.seek(content.offset)
        raw = stream.read(min(content.length, _ENOUGH))
    if content.method == STORED:
        return raw[:_HEADER]
    return zlib.decompressobj(-15).decompress(raw, _HEADER)
