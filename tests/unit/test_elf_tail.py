"""Trimming ELF files: real ones where a compiler is, made ones everywhere."""

from __future__ import annotations

import ctypes
import io
import shutil
import struct
import subprocess

import pytest
from elftools.elf.elffile import ELFFile

from layerforge.elf import ElfError, ElfFacts
from layerforge.elf.reader import read_facts
from layerforge.elf.tail import trim
from tests.elf_files import (
    ALLOC,
    DATA,
    DEBUG,
    ET_CORE,
    ET_REL,
    EXEC,
    INFO_LINK,
    NOBITS,
    NOTE,
    PROGRAM,
    RELA,
    START,
    STRTAB,
    SYMTAB,
    TEXT,
    WRITE,
    Part,
    Workshop,
    make_elf,
    set_field,
)


def trimmed(image: bytes | bytearray) -> bytearray:
    result = bytearray(image)
    trim(result)
    return result


def section_names(image: bytes | bytearray) -> list[str]:
    return [section.name for section in ELFFile(io.BytesIO(image)).iter_sections()]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.open(tmp_path_factory.mktemp("elf"))


@pytest.fixture(scope="module")
def library(workshop: Workshop) -> bytes:
    return workshop.compile_library()


def test_a_trimmed_library_still_loads(library: bytes, workshop: Workshop) -> None:
    path = workshop.write("liblib.trimmed.so", trimmed(library))

    loaded = ctypes.CDLL(str(path))

    assert (loaded.answer(), loaded.sum()) == (42, 6)


@pytest.mark.parametrize("flags", [("-no-pie",), ("-pie", "-fPIE"), ("-static",)])
def test_a_trimmed_program_still_runs(
    flags: tuple[str, ...], workshop: Workshop
) -> None:
    image = workshop.compile(PROGRAM, "program", *flags)
    program = workshop.write("program.trimmed", trimmed(image))

    assert len(trimmed(image)) < len(image)
    assert subprocess.run([program], check=False).returncode == 7


def test_only_loaded_sections_and_their_names_are_left(library: bytes) -> None:
    sections = ELFFile(io.BytesIO(library)).iter_sections()

    assert section_names(trimmed(library)) == [
        "",
        *(section.name for section in sections if section["sh_flags"] & ALLOC),
        ".shstrtab",
    ]


def test_the_facts_know_the_size_beforehand(library: bytes) -> None:
    assert read_facts(library).trimmed == len(trimmed(library)) < len(library)


def test_trimming_changes_no_fact(library: bytes) -> None:
    assert read_facts(trimmed(library)) == read_facts(library)


def test_readelf_finds_nothing_wrong_with_a_trimmed_library(
    library: bytes, workshop: Workshop
) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("no readelf")
    path = workshop.write("readable.so", trimmed(library))

    read = subprocess.run(
        ["readelf", "--all", "--wide", path], check=True, capture_output=True
    )

    assert read.stderr == b""


@pytest.mark.parametrize("bits", [64, 32])
def test_the_new_section_table_is_that_of_the_loaded_sections(bits: int) -> None:
    image = trimmed(make_elf(TEXT, DATA, DEBUG, bits=bits))

    assert section_names(image) == ["", ".text", ".data", ".shstrtab"]
    elf = ELFFile(io.BytesIO(image))
    assert elf.get_section(1).data() == TEXT.data
    assert elf.get_section(2).data() == DATA.data
    assert elf.header["e_shoff"] % 8 == 0


def test_nothing_follows_the_new_section_table() -> None:
    image = trimmed(make_elf(TEXT, DEBUG))

    header = ELFFile(io.BytesIO(image)).header
    assert header["e_shoff"] + header["e_shnum"] * header["e_shentsize"] == len(image)


def test_a_section_keeps_its_number() -> None:
    lines = Part(name=".debug_line", data=b"line" * 1000)

    image = trimmed(make_elf(DEBUG, TEXT, lines, DATA))

    assert section_names(image) == ["", "", ".text", "", ".data", ".shstrtab"]
    sections = list(ELFFile(io.BytesIO(image)).iter_sections())
    assert sections[1]["sh_type"] == sections[3]["sh_type"] == "SHT_NULL"


def test_a_section_without_bytes_keeps_its_header() -> None:
    bss = Part(name=".bss", type=NOBITS, flags=ALLOC | WRITE, data=bytes(9000))

    image = trimmed(make_elf(TEXT, bss, DEBUG))

    assert ELFFile(io.BytesIO(image)).get_section(2)["sh_size"] == 9000


def relocations(*, link: int, info: int, flags: int = ALLOC) -> Part:
    return Part(
        name=".rela.x",
        type=RELA,
        flags=flags,
        data=bytes(24),
        link=link,
        info=info,
        entry_size=24,
    )


def test_references_to_sections_that_stay_are_kept() -> None:
    rela = relocations(link=2, info=1)

    section = ELFFile(io.BytesIO(trimmed(make_elf(TEXT, DATA, rela, DEBUG))))

    assert section.get_section(3)["sh_link"] == 2
    assert section.get_section(3)["sh_info"] == 1


def test_references_to_sections_that_go_are_cleared() -> None:
    rela = relocations(link=2, info=2, flags=ALLOC | INFO_LINK)

    section = ELFFile(io.BytesIO(trimmed(make_elf(TEXT, DEBUG, rela))))

    assert section.get_section(3)["sh_link"] == 0
    assert section.get_section(3)["sh_info"] == 0


def test_a_count_in_sh_info_is_no_reference() -> None:
    counted = Part(name=".counted", flags=ALLOC, data=bytes(48), info=9)

    image = trimmed(make_elf(TEXT, counted, DEBUG))

    assert ELFFile(io.BytesIO(image)).get_section(2)["sh_info"] == 9


def test_the_place_of_an_empty_segment_is_kept() -> None:
    """A loader maps the page it begins in, which must not lie behind the file."""
    image = make_elf(TEXT, DEBUG, Part(name=".symtab", type=SYMTAB, data=bytes(999)))
    struct.pack_into("<IIQQQQQQ", image, 64 + 56, 1, 0, 3000, 0, 0, 0, 4096, 1)

    assert len(trimmed(image)) >= 3000


@pytest.mark.parametrize(
    "part",
    [
        Part(name=".symtab", type=SYMTAB, data=b"s" * 500),
        Part(name=".strtab", type=STRTAB, data=b"s" * 500),
        Part(name=".debug_str", data=b"s" * 500),
        Part(name=".zdebug_str", data=b"s" * 500),
        Part(name=".comment", data=b"s" * 500),
        Part(name=".gnu_debuglink", data=b"s" * 500),
        Part(name=".gnu_debugdata", data=b"s" * 500),
        Part(name=".gnu.build.attributes", type=NOTE, data=b"s" * 500),
        Part(name=".gnu.build.attributes.hot", type=NOTE, data=b"s" * 500),
        Part(name=".annobin.notes", data=b"s" * 500),
        Part(name=".note.gnu.gold-version", type=NOTE, data=b"s" * 500),
    ],
    ids=lambda part: part.name,
)
def test_a_tail_of_known_use_is_cut(part: Part) -> None:
    assert section_names(trimmed(make_elf(TEXT, part))) == ["", ".text", ".shstrtab"]


def test_zeros_behind_everything_are_cut() -> None:
    image = make_elf(TEXT, DEBUG)

    assert trimmed(image + bytes(200_000)) == trimmed(image)


def test_a_file_without_sections_loses_only_its_padding() -> None:
    image = set_field(make_elf(TEXT)[: START + 100], "<Q", 0x28, 0)
    struct.pack_into("<HH", image, 0x3C, 0, 0)

    assert trimmed(image + bytes(500)) == image


def without_names(image: bytearray) -> bytearray:
    return set_field(image, "<H", 0x3E, 99)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (make_elf(TEXT, kind=ET_REL), "it is neither a library nor a program"),
        (make_elf(TEXT, kind=ET_CORE), "it is neither a library nor a program"),
        (make_elf(TEXT, DEBUG, order=">"), "it is big-endian"),
        (
            make_elf(TEXT, DEBUG) + b"payload",
            "the bytes behind 5568 belong to none of its sections",
        ),
        (
            make_elf(TEXT, DEBUG) + bytes(100_000) + b"payload",
            "the bytes behind 5568 belong to none of its sections",
        ),
        (
            set_field(set_field(make_elf(TEXT, DEBUG), "<Q", 0x28, 0), "<H", 0x3E, 0),
            "the bytes behind 276 belong to none of its sections",
        ),
        (
            make_elf(TEXT, Part(name=".pydata", data=b"payload")),
            "its section .pydata is of no known kind, and no segment loads it",
        ),
        (
            make_elf(
                TEXT, Part(name=".init.text", type=NOBITS, flags=ALLOC | EXEC), DEBUG
            ),
            "it holds the debugging information of another file",
        ),
        (make_elf(TEXT, DEBUG)[:-1], "its section table is cut short"),
        (without_names(make_elf(TEXT, DEBUG)), "its section names can't be read"),
        (
            set_field(make_elf(TEXT, DEBUG), "<H", 0x3A, 63),
            "its section headers have an unknown size",
        ),
        (
            set_field(make_elf(TEXT, DEBUG), "<H", 0x3C, 0),
            "it has more sections than are understood",
        ),
        (
            make_elf(TEXT, Part(name="n" * 300)),
            "its section names can't be read",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_tail_that_may_be_of_use_stays(image: bytearray, reason: str) -> None:
    facts = read_facts(image)

    assert (facts.untrimmable, facts.trimmed) == (reason, len(image))
    assert trimmed(image) == image


def test_a_file_that_would_not_shrink_stays(library: bytes) -> None:
    once = trimmed(library)

    assert trimmed(once) == once
    assert read_facts(once) == ElfFacts(
        machine=read_facts(library).machine,
        bits=64,
        soname="liblib.so.3",
        needed=("libdep.so",),
        runpath=("$ORIGIN", "/opt/lib"),
        versions=("DEP_1.10", "DEP_PRIVATE"),
        trimmed=len(once),
    )


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (
            ("objcopy", "--only-keep-debug"),
            "it holds the debugging information of another file",
        ),
        (
            ("objcopy", "--add-section", ".payload=source.c"),
            "its section .payload is of no known kind, and no segment loads it",
        ),
    ],
    ids=["debug", "payload"],
)
def test_what_objcopy_makes_for_others_to_read_stays(
    command: tuple[str, ...], reason: str, library: bytes, workshop: Workshop
) -> None:
    workshop.write("library.so", library)
    workshop.run(*command, "library.so", "other.so")
    image = workshop.read("other.so")

    assert trimmed(image) == image
    assert read_facts(image).untrimmable == reason


def test_nothing_is_trimmed_of_what_can_not_be_read() -> None:
    with pytest.raises(ElfError, match=r"^it ends within its header$"):
        trim(bytearray(b"\x7fELF\x02\x01"))
