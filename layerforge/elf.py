"""ELF files: what one needs of its system, and the tail that it can do without.

Follows the System V ABI's chapter on object files and the GNU extensions for symbol
versions. The only module that imports pyelftools.
"""

from __future__ import annotations

import mmap
import os
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, cast

from layerforge.elf_layout import ElfError, read_layout
from layerforge.elf_tail import plan_cut, trim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from elftools.elf.dynamic import DynamicSegment, DynamicTag

__all__ = ["ElfError", "ElfFacts", "Image", "is_elf", "read_facts", "trim"]

Image = bytes | bytearray | memoryview | mmap.mmap

# Fifty times what the largest libraries take; half a second at the most.
_MOST_READS: Final = 50_000
_NUMBERED: Final = re.compile(r"(.+)_([0-9]{1,9}(?:\.[0-9]{1,9})*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFacts:
    """What a layer has to know of an ELF file.

    ``versions`` are the symbol versions needed of other libraries, the highest of
    each family (``GLIBC_2.28``, ``GLIBCXX_3.4.21``), in order. ``trimmed`` is the
    file's size in bytes once its tail is cut: its own size where nothing is gained.
    ``untrimmable`` says why a tail that looks worth cutting stays.
    """

    machine: int
    bits: int
    soname: str = ""
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    trimmed: int = 0
    untrimmable: str = ""


def is_elf(head: bytes) -> bool:
    """Tell an ELF file by its first four bytes; names mean nothing."""
    return head.startswith(b"\x7fELF")


def read_facts(image: Image) -> ElfFacts:
    """Read what a loader would read, copying no more of ``image`` than that.

    ``runpath`` is DT_RUNPATH, or DT_RPATH where there is no other. Time and memory
    are bounded, whatever the bytes say. Raises `ElfError`.
    """
    with memoryview(image) as view:
        layout = read_layout(view)
        cut = plan_cut(view, layout)
        needs = _read_needs(view)
    return ElfFacts(
        machine=layout.header.machine,
        bits=layout.bits,
        soname=needs.soname,
        needed=needs.needed,
        runpath=needs.runpath,
        versions=needs.versions,
        trimmed=cut.size,
        untrimmable=cut.untrimmable,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    soname: str = ""
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


def _read_needs(view: memoryview) -> _Needs:
    # Imported here since a build with nothing to do reads no library.
    from elftools.common.exceptions import ELFError  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    try:
        elf = ELFFile(cast("IO[bytes]", _Stream(view)))
        # A loader goes by segments alone: what sections say may be wrong or missing.
        elf.header["e_shoff"] = 0
        dynamic = next(elf.iter_segments(type="PT_DYNAMIC"), None)
        if dynamic is None or not dynamic["p_filesz"]:
            return _Needs()
        return _needs(cast("DynamicSegment", dynamic))
    except (ElfError, ELFError, UnicodeDecodeError) as error:
        raise ElfError(f"its dynamic section can't be read: {error}") from error


def _needs(dynamic: DynamicSegment) -> _Needs:
    _, names = dynamic.get_table_offset("DT_STRTAB")
    if names is None:
        raise ElfError("no segment holds its DT_STRTAB")
    tags: dict[str, list[DynamicTag]] = {}
    for tag in dynamic.iter_tags():
        tags.setdefault(tag["d_tag"], []).append(tag)

    def strings(kind: str) -> list[str]:
        return [getattr(tag, kind.lower()) for tag in tags.get(f"DT_{kind}", ())]

    versions: tuple[str, ...] = ()
    if "DT_VERNEED" in tags and "DT_VERNEEDNUM" in tags:
        count = tags["DT_VERNEEDNUM"][0]["d_val"]
        versions = highest_versions(_read_versions(dynamic, names, count))
    paths = strings("RUNPATH") or strings("RPATH")
    return _Needs(
        soname="".join(strings("SONAME")[:1]),
        needed=tuple(strings("NEEDED")),
        runpath=tuple(":".join(paths).split(":")) if paths else (),
        versions=versions,
    )


def _read_versions(dynamic: DynamicSegment, names: int, count: int) -> Iterator[str]:
    """Yield what ``count`` records of DT_VERNEED name; ``names`` is where names are."""
    from elftools.construct.lib.container import Container  # noqa: PLC0415
    from elftools.elf.gnuversions import GNUVerNeedSection  # noqa: PLC0415
    from elftools.elf.sections import StringTableSection  # noqa: PLC0415

    _, table = dynamic.get_table_offset("DT_VERNEED")
    if table is None:
        raise ElfError("no segment holds its DT_VERNEED")

    def section(offset: int, entries: int = 0) -> Container:
        # The header that a linker would have written.
        return Container(
            sh_offset=offset, sh_info=entries, sh_flags=0, sh_size=0, sh_addralign=0
        )

    elf = dynamic.elffile
    strings = StringTableSection(section(names), "", elf)
    needs = GNUVerNeedSection(section(table, count), "", elf, strings)
    for _, versions in needs.iter_versions():
        yield from (version.name for version in versions)


def highest_versions(versions: Iterable[str]) -> tuple[str, ...]:
    """Keep the highest of each family, in order; one with no number stays as it is.

    A family is what stands before the last underscore: ``GLIBC_2.10`` is higher than
    ``GLIBC_2.9``, and ``GLIBC_PRIVATE`` is of neither's family.
    """
    unnumbered: set[str] = set()
    highest: dict[str, tuple[tuple[int, ...], str]] = {}
    for version in versions:
        match = _NUMBERED.fullmatch(version)
        if match is None:
            unnumbered.add(version)
            continue
        family, number = match.groups()
        rank = tuple(map(int, number.split("."))), version
        highest[family] = max(rank, highest.get(family, rank))
    return tuple(sorted(unnumbered.union(name for _, name in highest.values())))


class _Stream:
    """A file over bytes in memory, for a parser that is not to be led in circles.

    Copies what is read and no more. After `_MOST_READS` reads, whatever table the
    parser follows is taken for one that has no end.
    """

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._position = 0
        self._reads = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + (len(self._view) if whence == os.SEEK_END else 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        self._reads += 1
        if self._reads > _MOST_READS:
            raise ElfError("its tables have no end")
        chunk = bytes(self._view[self._position : self._position + size])
        self._position += len(chunk)
        return chunk
