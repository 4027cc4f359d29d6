"""Read what a loader would read of an ELF file: the dynamic section, by segments alone.

Follows the System V ABI's chapter on dynamic linking, and the Linux Standard Base for
symbol versions. Sections are not looked at: a loader doesn't, and they may be gone.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from layerforge.elf import ElfError, ElfFacts, is_elf, read_version
from layerforge.elf.layout import (
    DYNAMIC,
    EXECUTABLE,
    Layout,
    read_head,
    read_layout,
)
from layerforge.elf.tail import plan_cut

Image = bytes | bytearray | memoryview | mmap.mmap

_LOAD: Final = 1  # PT_LOAD
_DYNAMIC: Final = 2  # PT_DYNAMIC

_NEEDED: Final = 1  # DT_NEEDED, and so on
_STRTAB: Final = 5
_SONAME: Final = 14
_RPATH: Final = 15
_RUNPATH: Final = 29
_VERNEED: Final = 0x6FFFFFFE
_VERNEEDNUM: Final = 0x6FFFFFFF
_TABLES: Final = {_STRTAB: "DT_STRTAB", _VERNEED: "DT_VERNEED"}
_RECORDS: Final = {32: "iI", 64: "qQ"}  # a tag and its value, by class

# Hostile tables end here; the largest libraries have a tenth of each.
_MOST_TAGS: Final = 4096
_MOST_VERSIONS: Final = 20_000
_LONGEST_NAME: Final = 4096  # bytes, as a path on Linux
_ENDLESS: Final = "its tables have no end"

_USUAL_NAME: Final = 12  # bytes of a section's name, as libraries in wheels have them


def find_facts(data: bytes | bytearray) -> ElfFacts | None:
    """Give a file's facts, or nothing where it is no ELF file, or a damaged one."""
    try:
        return read_facts(data) if is_elf(data) else None
    except ElfError:
        return None


def read_facts(image: Image) -> ElfFacts:
    """Read what a loader would read, copying no more of ``image`` than that.

    Time and memory are bounded, whatever the bytes say. Raises `ElfError`.
    """
    with memoryview(image) as view:
        layout = read_layout(view)
        cut = plan_cut(view, layout)
        try:
            dynamic = _read_dynamic(view, layout)
            runpath = dynamic.folders(_RUNPATH)
            return ElfFacts(
                machine=layout.header.machine,
                bits=layout.bits,
                soname="".join(dynamic.strings(_SONAME)[:1]),
                needed=dynamic.strings(_NEEDED),
                runpath=runpath,
                rpath=() if runpath else dynamic.folders(_RPATH),
                versions=highest_versions(dynamic.versions()),
                trimmed=cut.size,
                untrimmable=cut.untrimmable,
            )
        except (ElfError, struct.error, UnicodeDecodeError) as error:
            message = f"its dynamic section can't be read: {error}"
            raise ElfError(message) from error


def foretell_facts(head: bytes, size: int) -> ElfFacts | None:
    """Give what the first bytes of a file of ``size`` bytes tell: nothing it needs.

    ``trimmed`` is an estimate: the tail is taken to be superfluous, and all sections
    to be loaded. Nothing is given where it is no ELF file, or where ``head`` is too
    short or makes no sense.
    """
    try:
        layout = read_head(memoryview(head), size)
    except ElfError:
        return None
    header = layout.header
    trimmed = size
    if layout.little_endian and header.type in {EXECUTABLE, DYNAMIC}:
        table = header.shnum * (layout.shapes.section.size + _USUAL_NAME)
        trimmed = min(size, layout.segments_end + table)
    return ElfFacts(machine=header.machine, bits=layout.bits, trimmed=trimmed)


def _read_dynamic(view: memoryview, layout: Layout) -> _Dynamic:
    order = "<" if layout.little_endian else ">"
    record = struct.Struct(order + _RECORDS[layout.bits])
    tags: dict[int, list[int]] = {}
    for segment in layout.segments:
        if segment.type == _DYNAMIC:
            table = view[segment.offset : segment.end]
            whole = table[: len(table) - len(table) % record.size]
            for number, (kind, value) in enumerate(record.iter_unpack(whole)):
                if kind == 0:  # DT_NULL ends the table
                    break
                if number == _MOST_TAGS:
                    raise ElfError(_ENDLESS)
                tags.setdefault(kind, []).append(value)
            break
    return _Dynamic(view=view, layout=layout, order=order, tags=tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dynamic:
    """The tags of a dynamic section, and what they point at."""

    view: memoryview
    layout: Layout
    order: str
    tags: Mapping[int, Sequence[int]]

    def strings(self, kind: int) -> tuple[str, ...]:
        """Give the strings that all tags of a kind name."""
        return tuple(self._string(offset) for offset in self.tags.get(kind, ()))

    def folders(self, kind: int) -> tuple[str, ...]:
        """Give the folders that all tags of a kind list, parted by colons."""
        lists = self.strings(kind)
        return tuple(":".join(lists).split(":")) if lists else ()

    def versions(self) -> Iterator[str]:
        """Give each version that DT_VERNEED asks other libraries for."""
        if _VERNEED not in self.tags:
            return
        at = self._place(_VERNEED)
        left = _MOST_VERSIONS
        for _ in range(min(self.tags.get(_VERNEEDNUM, [0])[0], _MOST_TAGS)):
            _, count, _, first, step = self._unpack("HHIII", at)
            inner = at + first
            for _ in range(count):
                _, _, _, name, inner_step = self._unpack("IHHII", inner)
                yield self._string(name)
                inner += inner_step
                left -= 1
                if not left:
                    raise ElfError(_ENDLESS)
            at += step

    def _unpack(self, shape: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + shape, self.view, at)

    def _string(self, offset: int) -> str:
        at = self._place(_STRTAB) + offset
        name, end, _ = bytes(self.view[at : at + _LONGEST_NAME]).partition(b"\0")
        if not end:
            raise ElfError("a name has no end")
        return name.decode()

    def _place(self, kind: int) -> int:
        """Say where in the file the table is that a tag gives the address of."""
        address = self.tags.get(kind, (-1,))[0]
        for segment in self.layout.segments:
            inside = address - segment.address
            if segment.type == _LOAD and 0 <= inside < segment.size:
                return segment.offset + inside
        raise ElfError(f"no segment holds its {_TABLES[kind]}")


def highest_versions(versions: Iterable[str]) -> tuple[str, ...]:
    """Keep the highest of each family, in order; one with no number stays as it is.

    ``GLIBC_2.10`` is higher than ``GLIBC_2.9``, and ``GLIBC_PRIVATE`` is of neither's
    family.
    """
    unnumbered: set[str] = set()
    highest: dict[str, tuple[tuple[int, ...], str]] = {}
    for version in versions:
        family, numbers = read_version(version)
        if not family:
            unnumbered.add(version)
            continue
        rank = numbers, version
        highest[family] = max(rank, highest.get(family, rank))
    return tuple(sorted(unnumbered.union(name for _, name in highest.values())))
