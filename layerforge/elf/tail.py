"""The tail of an ELF file: what stands behind the last byte that is ever loaded.

Symbol tables for debuggers, debugging information and the section table stand there.
It can be cut without moving a loaded byte, which is why this breaks no library: the
addresses and alignments that a linker (or patchelf) chose stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from layerforge.elf.layout import (
    ALLOCATED,
    DYNAMIC,
    EXECUTABLE,
    INFO_IS_SECTION,
    INSTRUCTIONS,
    NO_BITS,
    NULL,
    RELOCATIONS,
    STRINGS,
    SYMBOLS,
    Layout,
    Section,
    read_layout,
)

_DROPPED_TYPES: Final = frozenset({NULL, SYMBOLS, STRINGS})
_DROPPED_NAMES: Final = (
    # Debugging information, or where to find it.
    b".debug_",
    b".zdebug_",
    b".gnu_debug",
    # What compilers and linkers write of themselves.
    b".comment",
    b".annobin.notes",
    b".gnu.build.attributes",
    b".note.gnu.gold-version",
)
_STEP: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What becomes of a file: ``header``, its own bytes up to ``keep``, then ``tail``.

    Where nothing is to change, ``keep`` is all of it and the rest is empty;
    ``untrimmable`` says why, where it isn't that nothing is gained.
    """

    keep: int
    header: bytes = b""
    tail: bytes = b""
    untrimmable: str = ""

    @property
    def size(self) -> int:
        """Bytes of the file that it makes."""
        return self.keep + len(self.tail)


def trim(image: bytearray) -> None:
    """Cut the tail of an ELF file in place, where it is known to be of no use.

    Program headers and all that segments hold stay byte for byte where they are, and
    section headers of what is loaded stay too. Trimming twice is trimming once.
    Raises `ElfError`.
    """
    with memoryview(image) as view:
        cut = plan_cut(view, read_layout(view))
    del image[cut.keep :]
    image += cut.tail
    image[: len(cut.header)] = cut.header


def plan_cut(image: memoryview, layout: Layout) -> Cut:
    """Decide what to keep of an ELF file and what to write behind it."""
    untouched = len(image)
    end = layout.segments_end
    if end >= untouched:
        return Cut(keep=untouched)
    obstacle = _find_obstacle(image, layout)
    if obstacle:
        return Cut(keep=untouched, untrimmable=obstacle)
    cut = _cut_at(end, layout)
    return cut if cut.size < untouched else Cut(keep=untouched)


def _find_obstacle(image: memoryview, layout: Layout) -> str:
    if layout.header.type not in {EXECUTABLE, DYNAMIC}:
        return "it is neither a library nor a program"
    if not layout.little_endian:
        return "it is big-endian"
    if any(map(_is_code_elsewhere, layout.sections)):
        return "it holds the debugging information of another file"
    return layout.flaw or _find_stranger(image, layout)


def _is_code_elsewhere(section: Section) -> bool:
    return section.type == NO_BITS and bool(section.flags & INSTRUCTIONS)


def _find_stranger(image: memoryview, layout: Layout) -> str:
    """Name the first thing behind the last segment that may be of use to someone."""
    end, table = layout.segments_end, layout.header.shoff
    known = [(table, table + len(layout.sections) * layout.shapes.section.size)]
    for section, name in zip(layout.sections, layout.names, strict=True):
        if section.type in {NULL, NO_BITS} or not section.size or section.end <= end:
            continue
        if not _is_dropped(section, name):
            shown = name.decode(errors="replace")
            return f"its section {shown} is of no known kind, and no segment loads it"
        known.append((section.offset, section.end))
    position = end
    for start, stop in sorted(known):
        if not _is_blank(image[position:start]):
            break
        position = max(position, stop)
    if _is_blank(image[position:]):
        return ""
    return f"the bytes behind {position} belong to none of its sections"


def _is_dropped(section: Section, name: bytes) -> bool:
    if section.flags & ALLOCATED:
        return False
    return section.type in _DROPPED_TYPES or name.startswith(_DROPPED_NAMES)


def _is_blank(gap: memoryview) -> bool:
    steps = range(0, len(gap), _STEP)
    return not any(bytes(gap[at : at + _STEP]).strip(b"\0") for at in steps)


def _cut_at(end: int, layout: Layout) -> Cut:
    if not layout.sections:
        return Cut(keep=end)
    sections, names = _remaining(layout)
    place = end + len(names)
    padding = -place % 8
    strings = Section(
        name=names.rindex(b".shstrtab"),
        type=STRINGS,
        offset=end,
        size=len(names),
        alignment=1,
    )
    table = [*sections, strings]
    header = layout.header._replace(
        shoff=place + padding, shnum=len(table), shstrndx=len(sections)
    )
    shapes = layout.shapes
    return Cut(
        keep=end,
        header=shapes.header.pack(*header),
        tail=names
        + bytes(padding)
        + b"".join(shapes.section.pack(*section) for section in table),
    )


def _remaining(layout: Layout) -> tuple[list[Section], bytes]:
    """Give the headers of the sections that stay, and a table of their names.

    A section keeps its number, since dynamic symbols name it by number: in the place
    of one that goes, there is an inactive header.
    """
    stays = [
        number
        for number, (section, name) in enumerate(
            zip(layout.sections, layout.names, strict=True)
        )
        if not _is_dropped(section, name)
    ]
    present = frozenset(stays)
    names = bytearray(b"\0")
    sections: list[Section] = []
    for number in range(max(stays, default=0) + 1):
        if number not in present:
            sections.append(Section())
            continue
        section = _relink(layout.sections[number], present)
        sections.append(section._replace(name=len(names)))
        names += layout.names[number] + b"\0"
    return sections, bytes(names + b".shstrtab\0")


def _relink(section: Section, present: frozenset[int]) -> Section:
    """Let no header point at a section that is gone."""
    link = section.link if section.link in present else NULL
    by_info = section.flags & INFO_IS_SECTION or section.type in RELOCATIONS
    info = NULL if by_info and section.info not in present else section.info
    return section._replace(link=link, info=info)
