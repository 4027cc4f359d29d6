"""What is read of ELF files: real ones where a compiler is, made ones everywhere."""

from __future__ import annotations

import mmap
import struct
import tracemalloc
from typing import TYPE_CHECKING, Final

import pytest

from layerforge.elf import ElfError, is_elf
from layerforge.elf.reader import highest_versions, read_facts
from tests.elf_files import (
    ALLOC,
    DYNAMIC,
    PROGRAM,
    START,
    STRTAB,
    TEXT,
    X86_64,
    Part,
    Workshop,
    make_elf,
    set_field,
)

if TYPE_CHECKING:
    from pathlib import Path

UNREADABLE: Final = "its dynamic section can't be read: "


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.open(tmp_path_factory.mktemp("elf"))


@pytest.fixture(scope="module")
def library(workshop: Workshop) -> bytes:
    return workshop.compile_library()


def test_an_elf_file_is_known_by_its_first_bytes() -> None:
    assert is_elf(b"\x7fELF\x02\x01")
    assert not is_elf(b"!<arch>\n")


def test_a_librarys_needs_are_read(library: bytes) -> None:
    facts = read_facts(library)

    assert facts.soname == "liblib.so.3"
    assert facts.needed == ("libdep.so",)
    assert facts.runpath == ("$ORIGIN", "/opt/lib")
    assert facts.rpath == ()


def test_the_versions_needed_of_another_library_are_read(library: bytes) -> None:
    assert read_facts(library).versions == ("DEP_1.10", "DEP_PRIVATE")


def test_an_rpath_is_told_apart_from_a_runpath(workshop: Workshop) -> None:
    image = workshop.compile(
        *("int x;", "librpath.so", "-shared", "-nostdlib"),
        *("-Wl,--disable-new-dtags", "-Wl,-rpath,/opt/old"),
    )

    facts = read_facts(image)
    assert (facts.rpath, facts.runpath) == (("/opt/old",), ())


def test_needs_are_found_without_a_section_table(library: bytes) -> None:
    image = bytearray(library)
    struct.pack_into("<Q", image, 0x28, 0)
    struct.pack_into("<HH", image, 0x3C, 0, 0)

    facts = read_facts(image)

    assert facts.versions == ("DEP_1.10", "DEP_PRIVATE")
    assert facts.soname == "liblib.so.3"


def test_a_static_program_needs_nothing(workshop: Workshop) -> None:
    facts = read_facts(workshop.compile(PROGRAM, "static", "-static"))

    assert facts.needed == facts.versions == facts.runpath == ()


@pytest.mark.parametrize(
    ("bits", "order"), [(64, "<"), (64, ">"), (32, "<"), (32, ">")]
)
def test_class_and_machine_are_read_in_any_byte_order(bits: int, order: str) -> None:
    facts = read_facts(make_elf(TEXT, bits=bits, order=order))

    assert (facts.bits, facts.machine) == (bits, X86_64)


def test_a_mapped_file_is_read_without_copying_it(
    library: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "large.so"
    path.write_bytes(library)
    with path.open("r+b") as stream:
        stream.truncate(64 << 20)
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        read_facts(library)  # Imports what it imports.

        tracemalloc.start()
        read_facts(mapped)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        mapped.close()  # Which fails while anything still looks at it.

    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("versions", "highest"),
    [
        ([], ()),
        (["GLIBC_2.9", "GLIBC_2.10", "GLIBC_2.2.5"], ("GLIBC_2.10",)),
        (["GLIBC_2.3", "GLIBC_2.3.4"], ("GLIBC_2.3.4",)),
        (["GLIBC_2.28", "GLIBC_PRIVATE"], ("GLIBC_2.28", "GLIBC_PRIVATE")),
        (["GLIBCXX_3.4.9", "CXXABI_1.3"], ("CXXABI_1.3", "GLIBCXX_3.4.9")),
        (["CXXABI_TM_1", "CXXABI_1.3.9"], ("CXXABI_1.3.9", "CXXABI_TM_1")),
        (["GLIBC_ABI_DT_RELR", "libssh2.so.1"], ("GLIBC_ABI_DT_RELR", "libssh2.so.1")),
        (["V_" + "9" * 5000], ("V_" + "9" * 5000,)),
    ],
)
def test_the_highest_of_each_family_is_kept(
    versions: list[str], highest: tuple[str, ...]
) -> None:
    assert highest_versions(versions) == highest


# Files that can't be read.


def tags(*pairs: tuple[int, int]) -> Part:
    data = b"".join(struct.pack("<qQ", *pair) for pair in pairs)
    return Part(name=".dynamic", type=DYNAMIC, flags=ALLOC, data=data)


STRINGS: Final = Part(name=".dynstr", type=STRTAB, flags=ALLOC, data=b"\0\xff\0")
# One record of the version table whose next one is itself.
CIRCLE: Final = Part(
    name=".gnu.version_r",
    flags=ALLOC,
    data=struct.pack("<HHIII", 1, 65535, 0, 16, 0) + struct.pack("<IHHII", *[0] * 5),
)
NEEDED, STRTAB_TAG, VERNEED, VERNEEDNUM = 1, 5, 0x6FFFFFFE, 0x6FFFFFFF


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "it does not begin like an ELF file"),
        (b"\x7fELF", "its class or byte order is unknown"),
        (b"\x7fELF\x03\x01" + bytes(99), "its class or byte order is unknown"),
        (make_elf(TEXT)[:63], "it ends within its header"),
        (make_elf(TEXT)[:100], "it ends within its program headers"),
        (
            make_elf(TEXT)[: START + 99],
            "it is cut short: it has 275 bytes, and a segment ends at byte 276",
        ),
        (
            set_field(make_elf(TEXT), "<H", 0x36, 57),
            "its program headers have 57 bytes each",
        ),
        (
            set_field(make_elf(TEXT), "<H", 0x38, 0xFFFF),
            "it has more than 65534 program headers",
        ),
        (
            make_elf(STRINGS, tags((NEEDED, 1), (0, 0))),
            UNREADABLE + "no segment holds its DT_STRTAB",
        ),
        (
            make_elf(STRINGS, tags((NEEDED, 1), (STRTAB_TAG, START), (0, 0))),
            UNREADABLE + "'utf-8' codec can't decode byte 0xff in position 0: "
            "invalid start byte",
        ),
        (
            make_elf(STRINGS, tags((NEEDED, 1), (STRTAB_TAG, 1 << 40), (0, 0))),
            UNREADABLE + "no segment holds its DT_STRTAB",
        ),
        (
            make_elf(
                STRINGS,
                tags(
                    *((STRTAB_TAG, START), (VERNEED, 1 << 40), (VERNEEDNUM, 1)),
                    (0, 0),
                ),
            ),
            UNREADABLE + "no segment holds its DT_VERNEED",
        ),
        (
            make_elf(
                *(CIRCLE, STRINGS),
                tags(
                    *((VERNEED, START), (VERNEEDNUM, 1 << 63)),
                    *((STRTAB_TAG, START), (0, 0)),
                ),
            ),
            UNREADABLE + "its tables have no end",
        ),
        (
            make_elf(tags(*[(NEEDED + 100, 1)] * 60_000)),
            UNREADABLE + "its tables have no end",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_can_not_be_read_is_refused(image: bytes, reason: str) -> None:
    with pytest.raises(ElfError) as refused:
        read_facts(image)

    assert str(refused.value) == reason
