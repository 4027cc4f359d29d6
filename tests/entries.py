"""Entries for tests: their bytes lie deflated in a file, as in an archive."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from pathlib import Path

from layerforge.elf import ElfError, ElfFacts, is_elf
from layerforge.elf.reader import read_facts
from layerforge.tree import DEFLATED, STORED, Content, FileEntry


def make_content(folder: Path, data: bytes, *, level: int = 6) -> Content:
    """Put ``data`` into a file of its own; level 0 is stored, behind a few bytes."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, -15)
    raw = deflater.compress(data) + deflater.flush() if level else data
    before = b"what stands before"
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as stream:
        stream.write(before + raw + b"what stands behind")
    return Content(
        file=stream.name,
        offset=len(before),
        length=len(raw),
        method=DEFLATED if level else STORED,
        size=len(data),
        crc32=zlib.crc32(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def make_entry(
    folder: Path,
    path: str,
    data: bytes = b"",
    *,
    origin: str = "demo",
    executable: bool = False,
    level: int = 6,
) -> FileEntry:
    """Give a file's entry, with its ELF facts if it has any."""
    return FileEntry(
        path=path,
        origin=origin,
        content=make_content(folder, data, level=level),
        executable=executable,
        elf=_facts(data),
    )


def _facts(data: bytes) -> ElfFacts | None:
    try:
        return read_facts(data) if is_elf(data) else None
    except ElfError:
        return None
