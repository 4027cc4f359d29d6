"""Native files for tests: entries of which only what a loader reads is there."""

from __future__ import annotations

from typing import Final

from layerforge.elf import ElfFacts
from layerforge.tree import Content, FileEntry

I386: Final = 3
X86_64: Final = 62
AARCH64: Final = 183


def library(
    path: str = "python/demo/_a.so",
    *,
    machine: int = X86_64,
    bits: int = 64,
    soname: str = "",
    needed: tuple[str, ...] = (),
    rpath: tuple[str, ...] = (),
    runpath: tuple[str, ...] = (),
    versions: tuple[str, ...] = (),
    origin: str = "demo",
) -> FileEntry:
    """Give an ELF file that a loader would take for this."""
    facts = ElfFacts(
        machine=machine,
        bits=bits,
        soname=soname,
        needed=needed,
        rpath=rpath,
        runpath=runpath,
        versions=versions,
    )
    return FileEntry(path=path, origin=origin, content=_content(), elf=facts)


def foreign(path: str, system: str = "Mach-O", *, origin: str = "demo") -> FileEntry:
    """Give a native file for another system than Linux."""
    return FileEntry(path=path, origin=origin, content=_content(), foreign=system)


def _content() -> Content:
    return Content(
        file="", offset=0, length=9, method=0, size=9, crc32=0, sha256="ab" * 32
    )
