"""ELF files read and trimmed: real ones where a compiler is, made ones everywhere."""

from __future__ import annotations

import ctypes
import io
import mmap
import shutil
import struct
import subprocess
import sys
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from elftools.elf.elffile import ELFFile

from layerforge.elf import (
    ElfError,
    ElfFacts,
    highest_versions,
    is_elf,
    read_facts,
    trim,
)

if TYPE_CHECKING:
    from pathlib import Path

ET_REL, ET_DYN, ET_CORE = 1, 3, 4
PROGBITS, SYMTAB, STRTAB, RELA, DYNAMIC, NOTE, NOBITS = 1, 2, 3, 4, 6, 7, 8
PT_LOAD, PT_DYNAMIC = 1, 2
WRITE, ALLOC, EXEC, INFO_LINK = 1, 2, 4, 0x40
X86_64: Final = 62

UNREADABLE: Final = "its dynamic section can't be read: "


# Files made by hand: any class, any byte order, any mistake.


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section to put into a file: into its loaded part where it is allocated."""

    name: str
    type: int = PROGBITS
    flags: int = 0
    data: bytes = b""
    link: int = 0
    info: int = 0
    entry_size: int = 0


TEXT: Final = Part(name=".text", flags=ALLOC | EXEC, data=b"\x90" * 100)
DATA: Final = Part(name=".data", flags=ALLOC | WRITE, data=b"data" * 25)
DEBUG: Final = Part(name=".debug_info", data=b"debug" * 1000)


def make_elf(
    *parts: Part, bits: int = 64, order: str = "<", kind: int = ET_DYN
) -> bytearray:
    """Lay out header, program headers, loaded parts, others, names, section table."""
    word = "Q" if bits == 64 else "I"
    head = struct.Struct(f"{order}16sHHI3{word}I6H")
    segment = struct.Struct(order + ("2I6Q" if bits == 64 else "8I"))
    section = struct.Struct(f"{order}2I4{word}2I2{word}")
    image = bytearray(head.size + 2 * segment.size)
    offsets: dict[Part, int] = {}
    for part in sorted(parts, key=lambda part: not part.flags & ALLOC):
        offsets[part] = len(image)
        if part.type != NOBITS:
            image += part.data
        if part.flags & ALLOC:
            loaded = len(image)
    names = bytearray(b"\0")
    table = bytearray(section.size)
    for part in (*parts, Part(name=".shstrtab", type=STRTAB)):
        offset, size = offsets.get(part, len(image)), len(part.data)
        if part.name == ".shstrtab":
            size = len(names) + len(part.name) + 1
        table += section.pack(
            *(len(names), part.type, part.flags, offset, offset, size),
            *(part.link, part.info, 1, part.entry_size),
        )
        names += part.name.encode() + b"\0"
    image += names
    image += bytes(-len(image) % 8)
    ident = bytes((*b"\x7fELF", bits // 32, 1 if order == "<" else 2, 1)).ljust(
        16, b"\0"
    )
    sizes = (head.size, segment.size, 2, section.size, len(parts) + 2, len(parts) + 1)
    head.pack_into(
        *(image, 0, ident, kind, X86_64, 1, 0, head.size, len(image), 0, *sizes)
    )
    dynamic = next((part for part in parts if part.type == DYNAMIC), None)
    found = (offsets[dynamic], len(dynamic.data)) if dynamic else (0, 0)
    for at, (sort, offset, size) in enumerate(
        ((PT_LOAD, 0, loaded), (PT_DYNAMIC, *found))
    ):
        fields = (
            (sort, 0, offset, offset, offset, size, size, 1)
            if bits == 64
            else (sort, offset, offset, offset, size, size, 0, 1)
        )
        segment.pack_into(image, head.size + at * segment.size, *fields)
    return image + table


def set_field(image: bytearray, form: str, offset: int, value: int) -> bytearray:
    struct.pack_into(form, image, offset, value)
    return image


def trimmed(image: bytes | bytearray) -> bytearray:
    result = bytearray(image)
    trim(result)
    return result


def section_names(image: bytes | bytearray) -> list[str]:
    return [section.name for section in ELFFile(io.BytesIO(image)).iter_sections()]


# Files made by a compiler.

DEPENDENCY: Final = """
    int old(void) { return 1; } int new(void) { return 2; } int own(void) { return 3; }
"""
VERSIONS: Final = """
    DEP_1.9 { global: old; local: *; }; DEP_1.10 { global: new; };
    DEP_PRIVATE { global: own; };
"""
LIBRARY: Final = """
    int old(void), new(void), own(void);
    int counter = 5; static int zeros[4096];
    int answer(void) { return 42 + zeros[7]; }
    int sum(void) { return old() + new() + own(); }
"""
PROGRAM: Final = "int main(void) { return 7; }"


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """A folder in which to compile."""

    folder: Path

    def run(self, *command: str) -> None:
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    def compile(self, source: str, name: str, *flags: str) -> bytearray:
        (self.folder / "source.c").write_text(source)
        self.run("gcc", "-g3", "-o", name, "source.c", *flags)
        return self.read(name)

    def read(self, name: str) -> bytearray:
        return bytearray((self.folder / name).read_bytes())

    def write(self, name: str, image: bytes | bytearray) -> Path:
        path = self.folder / name
        path.write_bytes(image)
        path.chmod(0o755)
        return path


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("no gcc that makes ELF files")
    return Workshop(folder=tmp_path_factory.mktemp("elf"))


@pytest.fixture(scope="module")
def library(workshop: Workshop) -> bytes:
    """Compile a library with debugging information that needs another's versions."""
    (workshop.folder / "versions").write_text(VERSIONS)
    shared = ("-shared", "-fPIC", "-nostdlib")
    script = "-Wl,--version-script=versions"
    workshop.compile(DEPENDENCY, "libdep.so", *shared, script, "-Wl,-soname,libdep.so")
    return bytes(
        workshop.compile(
            *(LIBRARY, "liblib.so", *shared, "-L.", "-ldep"),
            *("-Wl,-soname,liblib.so.3", "-Wl,--enable-new-dtags"),
            "-Wl,-rpath,$ORIGIN:/opt/lib",
        )
    )


# Facts.


def test_an_elf_file_is_known_by_its_first_bytes() -> None:
    assert is_elf(b"\x7fELF\x02\x01")
    assert not is_elf(b"!<arch>\n")


def test_a_librarys_needs_are_read(library: bytes) -> None:
    facts = read_facts(library)

    assert facts.soname == "liblib.so.3"
    assert facts.needed == ("libdep.so",)
    assert facts.runpath == ("$ORIGIN", "/opt/lib")


def test_the_versions_needed_of_another_library_are_read(library: bytes) -> None:
    assert read_facts(library).versions == ("DEP_1.10", "DEP_PRIVATE")


def test_an_rpath_counts_where_there_is_no_runpath(workshop: Workshop) -> None:
    image = workshop.compile(
        *("int x;", "librpath.so", "-shared", "-nostdlib"),
        *("-Wl,--disable-new-dtags", "-Wl,-rpath,/opt/old"),
    )

    assert read_facts(image).runpath == ("/opt/old",)


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


# Where the first loaded part of a made file begins, which is its address as well.
START: Final = 64 + 2 * 56
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
            make_elf(STRINGS, tags((STRTAB_TAG, 1 << 40), (0, 0))),
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


def test_nothing_is_trimmed_of_what_can_not_be_read() -> None:
    with pytest.raises(ElfError, match=r"^it ends within its header$"):
        trim(bytearray(b"\x7fELF\x02\x01"))


# Trimming.


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
