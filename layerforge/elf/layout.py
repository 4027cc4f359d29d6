"""Where the parts of an ELF file lie: its header, its segments and its sections.

Follows the System V ABI, chapters 4 (object files) and 5 (program loading), for
both classes and both byte orders.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, NoReturn

from layerforge.elf import ElfError

EXECUTABLE: Final = 2  # ET_EXEC
DYNAMIC: Final = 3  # ET_DYN: a library, or a position-independent program

NULL: Final = 0  # SHT_NULL: an inactive section header
SYMBOLS: Final = 2  # SHT_SYMTAB
STRINGS: Final = 3  # SHT_STRTAB
RELOCATIONS: Final = frozenset({4, 9})  # SHT_RELA, SHT_REL
NO_BITS: Final = 8  # SHT_NOBITS: room in memory, no bytes in the file
ALLOCATED: Final = 0x2  # SHF_ALLOC
INSTRUCTIONS: Final = 0x4  # SHF_EXECINSTR
INFO_IS_SECTION: Final = 0x40  # SHF_INFO_LINK

_EXTENDED_SEGMENTS: Final = 0xFFFF  # PN_XNUM
_EXTENDED_SECTIONS: Final = 0xFF00  # SHN_LORESERVE
_LONGEST_NAME: Final = 256


# The three records of the format are tuples, in the order of their fields, because
# `struct` unpacks to tuples and packs from them.


class Header(NamedTuple):
    """The ELF header; ``identity`` is e_ident, the rest has the ABI's names."""

    identity: bytes
    type: int
    machine: int
    version: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int


class Segment(NamedTuple):
    """A program header: ``size`` bytes from ``offset`` are loaded at ``address``."""

    type: int
    offset: int
    address: int
    size: int

    @property
    def end(self) -> int:
        """Offset of the first byte behind it."""
        return self.offset + self.size


class Section(NamedTuple):
    """A section header; ``name`` is an offset in the table of names."""

    name: int = 0
    type: int = NULL
    flags: int = 0
    address: int = 0
    offset: int = 0
    size: int = 0
    link: int = 0
    info: int = 0
    alignment: int = 0
    entry_size: int = 0

    @property
    def end(self) -> int:
        """Offset of the first byte behind what it has in the file."""
        return self.offset if self.type == NO_BITS else self.offset + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """How the three records are packed, in one class and one byte order."""

    header: struct.Struct
    segment: struct.Struct
    section: struct.Struct


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The tables of one ELF file.

    ``names`` are those of ``sections``, in the same order. A loader never looks at
    sections, so a section table that makes no sense is no error: there are no
    sections then, and ``flaw`` says why.
    """

    bits: int
    little_endian: bool
    shapes: Shapes
    header: Header
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...] = ()
    names: tuple[bytes, ...] = ()
    flaw: str = ""

    @property
    def segments_end(self) -> int:
        """Offset behind the last byte that the header or a program header names."""
        table = self.header.phoff + self.header.phnum * self.shapes.segment.size
        ends = (segment.end for segment in self.segments)
        return max(self.shapes.header.size, table, *ends)


class _SectionTableError(ValueError):
    pass


def _shapes(order: str, header: str, segment: str, section: str) -> Shapes:
    return Shapes(
        header=struct.Struct(order + header),
        segment=struct.Struct(order + segment),
        section=struct.Struct(order + section),
    )


# By EI_CLASS and EI_DATA. Of a program header only four fields are read.
_FORMATS: Final = {
    bytes((ei_class, ei_data)): (bits, order == "<", _shapes(order, *shapes))
    for ei_class, bits, *shapes in (
        (1, 32, "16s2H5I6H", "3I4xI12x", "10I"),
        (2, 64, "16s2HI3QI6H", "I4x2Q8xQ16x", "2I4Q2I2Q"),
    )
    for ei_data, order in ((1, "<"), (2, ">"))
}


def read_layout(image: memoryview) -> Layout:
    """Find the tables of an ELF file and check that they and its segments are there.

    Raises `ElfError` where a loader would have nothing to load.
    """
    layout = read_head(image, len(image))
    try:
        sections = _read_sections(image, layout.header, layout.shapes.section)
        names = _read_names(image, layout.header, sections)
    except _SectionTableError as error:
        return replace(layout, flaw=str(error))
    return replace(layout, sections=sections, names=names)


def read_head(head: memoryview, size: int) -> Layout:
    """Find the segments of a file of ``size`` bytes that begins with ``head``.

    Sections are not looked for. Raises `ElfError`, as `read_layout` does.
    """
    if bytes(head[:4]) != b"\x7fELF":
        raise ElfError("it does not begin like an ELF file")
    found = _FORMATS.get(bytes(head[4:6]))
    if found is None:
        raise ElfError("its class or byte order is unknown")
    bits, little_endian, shapes = found
    if len(head) < shapes.header.size:
        raise ElfError("it ends within its header")
    header = Header._make(shapes.header.unpack(head[: shapes.header.size]))
    return Layout(
        bits=bits,
        little_endian=little_endian,
        shapes=shapes,
        header=header,
        segments=_read_segments(head, size, header, shapes.segment),
    )


def _read_segments(
    head: memoryview, size: int, header: Header, shape: struct.Struct
) -> tuple[Segment, ...]:
    if header.phnum == 0:
        return ()
    if header.phnum == _EXTENDED_SEGMENTS:
        raise ElfError("it has more than 65534 program headers")
    if header.phentsize != shape.size:
        raise ElfError(f"its program headers have {header.phentsize} bytes each")
    table = head[header.phoff : header.phoff + header.phnum * shape.size]
    if len(table) < header.phnum * shape.size:
        raise ElfError("it ends within its program headers")
    segments = tuple(map(Segment._make, shape.iter_unpack(table)))
    for segment in segments:
        if segment.size and segment.end > size:
            raise ElfError(
                f"it is cut short: it has {size} bytes, and a segment "
                f"ends at byte {segment.end}"
            )
    return segments


def _read_sections(
    image: memoryview, header: Header, shape: struct.Struct
) -> tuple[Section, ...]:
    if header.shoff == 0:
        return ()
    # Zero says that the number stands elsewhere. One more must fit as well.
    if not 0 < header.shnum < _EXTENDED_SECTIONS - 1:
        raise _SectionTableError("it has more sections than are understood")
    if header.shentsize != shape.size:
        raise _SectionTableError("its section headers have an unknown size")
    table = image[header.shoff : header.shoff + header.shnum * shape.size]
    if len(table) < header.shnum * shape.size:
        raise _SectionTableError("its section table is cut short")
    return tuple(map(Section._make, shape.iter_unpack(table)))


def _read_names(
    image: memoryview, header: Header, sections: tuple[Section, ...]
) -> tuple[bytes, ...]:
    if header.shstrndx == 0:
        return (b"",) * len(sections)
    if header.shstrndx >= len(sections):
        _refuse_names()
    table = sections[header.shstrndx]
    if table.type != STRINGS or table.end > len(image):
        _refuse_names()
    strings = image[table.offset : table.end]
    return tuple(_read_name(strings, section.name) for section in sections)


def _read_name(strings: memoryview, offset: int) -> bytes:
    name, end, _ = bytes(strings[offset : offset + _LONGEST_NAME]).partition(b"\0")
    return name if end else _refuse_names()


def _refuse_names() -> NoReturn:
    raise _SectionTableError("its section names can't be read")
