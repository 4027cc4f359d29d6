"""What a layer has to know of its ELF files, as values; `elf.reader` reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NUMBERED: Final = re.compile(r"(.+)_([0-9]{1,9}(?:\.[0-9]{1,9})*)")


class ElfError(ValueError):
    """The bytes begin like an ELF file, and are none that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFacts:
    """What a loader would have to know, and what the file could do without.

    ``versions`` are the symbol versions needed of other libraries, the highest of
    each family (``GLIBC_2.28``, ``GLIBCXX_3.4.21``), in order. ``rpath`` is empty
    where there is a ``runpath``: a loader ignores it then. ``trimmed`` is the file's
    size in bytes once its tail is cut: its own size where nothing is gained.
    ``untrimmable`` says why a tail that looks worth cutting stays.
    """

    machine: int
    bits: int
    soname: str = ""
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    trimmed: int = 0
    untrimmable: str = ""


def is_elf(head: bytes | bytearray) -> bool:
    """Tell an ELF file by its first four bytes; names mean nothing."""
    return head.startswith(b"\x7fELF")


def read_version(version: str) -> tuple[str, tuple[int, ...]]:
    """Part a symbol version into its family and its numbers: GLIBC, (2, 28).

    A family is what stands before the last underscore. What has no number, such as
    ``GLIBC_PRIVATE``, is of no family: ``""``.
    """
    match = _NUMBERED.fullmatch(version)
    if match is None:
        return "", ()
    return match[1], tuple(map(int, match[2].split(".")))
