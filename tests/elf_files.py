"""ELF files for tests: made by hand with any mistake, or by a compiler."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ET_REL, ET_DYN, ET_CORE = 1, 3, 4
PROGBITS, SYMTAB, STRTAB, RELA, DYNAMIC, NOTE, NOBITS = 1, 2, 3, 4, 6, 7, 8
PT_LOAD, PT_DYNAMIC = 1, 2
WRITE, ALLOC, EXEC, INFO_LINK = 1, 2, 4, 0x40
X86_64: Final = 62
# Where the first loaded part of a 64-bit file begins, which is its address as well.
START: Final = 64 + 2 * 56


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

    @classmethod
    def open(cls, folder: Path) -> Workshop:
        """Set one up, or skip the tests that need it."""
        if sys.platform != "linux" or shutil.which("gcc") is None:
            pytest.skip("no gcc that makes ELF files")
        return cls(folder=folder)

    def compile_library(self) -> bytes:
        """Make a library with debugging information that needs another's versions."""
        (self.folder / "versions").write_text(VERSIONS)
        shared = ("-shared", "-fPIC", "-nostdlib")
        script = "-Wl,--version-script=versions"
        self.compile(DEPENDENCY, "libdep.so", *shared, script, "-Wl,-soname,libdep.so")
        return bytes(
            self.compile(
                *(LIBRARY, "liblib.so", *shared, "-L.", "-ldep"),
                *("-Wl,-soname,liblib.so.3", "-Wl,--enable-new-dtags"),
                "-Wl,-rpath,$ORIGIN:/opt/lib",
            )
        )
