"""ELF files: what one needs of its system, and the tail that it can do without.

Follows the System V ABI's chapter on object files and the GNU extensions for symbol
versions. The only module that imports pyelftools.
"""

from __future__ import annotations

import mmap
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from layerforge.elf_layout import ElfError, read_layout
from layerforge.elf_tail import plan_cut, trim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["ElfError", "ElfFacts", "Image", "is_elf", "read_facts", "trim"]

Image = bytes | bytearray | memoryview | mmap.mmap

# Fifty times what the largest libraries take; half a second at the most.
_MOST_READS: Final = 50_000
_WEAK: Final = 0x2  # VER_FLG_WEAK
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

    ``runpath`` is DT_RUNPATH, or DT_RPATH where there is no other; a version whose
    absence a loader forgives (VER_FLG_WEAK) is not among ``versions``. Time and
    memory are bounded, whatever the bytes say. Raises `ElfError`.
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
        elf = ELFFile(_Stream(view))
        # A loader goes by segments alone: what sections say may be wrong or missing.
        elf.header["e_shoff"] = 0
        dynamic = next(elf.iter_segments(type="PT_DYNAMIC"), None)
        return _Needs() if dynamic is None else _needs(elf, dynamic)
    except ElfError:
        raise
    # What pyelftools raises where a table is missing or a name isn't UTF-8.
    except (ELFError, AssertionError, UnicodeDecodeError) as error:
        raise ElfError(f"its dynamic section can't be read: {error}") from error


def _needs(elf: Any, dynamic: Any) -> _Needs:
    found: dict[str, list[str]] = {
        "DT_SONAME": [],
        "DT_NEEDED": [],
        "DT_RPATH": [],
        "DT_RUNPATH": [],
    }
    for tag in dynamic.iter_tags():
        name = tag.entry.d_tag
        if name in found:
            found[name].append(getattr(tag, name[3:].lower()))
    paths = found["DT_RUNPATH"] or found["DT_RPATH"]
    return _Needs(
        soname="".join(found["DT_SONAME"][:1]),
        needed=tuple(found["DT_NEEDED"]),
        runpath=tuple(":".join(paths).split(":")) if paths else (),
        versions=highest_versions(_read_versions(elf, dynamic)),
    )


def _read_versions(elf: Any, dynamic: Any) -> Iterator[str]:
    """Yield the version names of DT_VERNEED that a loader insists on."""
    from elftools.elf.gnuversions import GNUVerNeedSection  # noqa: PLC0415
    from elftools.elf.sections import StringTableSection  # noqa: PLC0415

    _, place = dynamic.get_table_offset("DT_VERNEED")
    _, strings_place = dynamic.get_table_offset("DT_STRTAB")
    count = next(dynamic.iter_tags("DT_VERNEEDNUM"), None)
    if place is None or strings_place is None or count is None:
        return
    # The section headers that a linker would have written.
    blank = {"sh_flags": 0, "sh_size": 0, "sh_addralign": 0}
    strings = StringTableSection({**blank, "sh_offset": strings_place}, "", elf)
    header = {**blank, "sh_offset": place, "sh_info": count["d_val"]}
    for _, versions in GNUVerNeedSection(header, "", elf, strings).iter_versions():
        for version in versions:
            if not version["vna_flags"] & _WEAK:
                yield version.name


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
            raise ElfError("its dynamic section has no end")
        chunk = bytes(self._view[self._position : self._position + size])
        self._position += len(chunk)
        return chunk
