from __future__ import annotations

import struct
from pathlib import Path

import pytest

from layerforge.archives.zips import index_zip
from layerforge.elf.others import FOREIGN_HEAD, foreign_format
from tests.wheels import make_wheel

PE = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80)
PE = PE.ljust(0x80, b"\0") + b"PE\0\0"


@pytest.mark.parametrize(
    ("head", "system"),
    [
        (bytes.fromhex("cffaedfe0c000001"), "Mach-O"),
        (bytes.fromhex("cefaedfe07000000"), "Mach-O"),
        (bytes.fromhex("feedfacf01000007"), "Mach-O"),
        (bytes.fromhex("cafebabe00000002"), "Mach-O"),
        (bytes.fromhex("cafebabf00000002"), "Mach-O"),
        (bytes.fromhex("cafebabe00000034"), ""),
        (bytes.fromhex("cafebabe00000000"), ""),
        (PE, "PE"),
        (PE[:-1], ""),
        (b"MZ, as text may begin", ""),
        (b"\x7fELF\x02\x01", ""),
        (b"", ""),
    ],
    ids=[
        *("64 bits", "32 bits", "big-endian", "fat", "fat, 64 bits", "Java 8"),
        *("fat with nothing", "PE", "PE cut short", "letters", "ELF", "nothing"),
    ],
)
def test_native_code_of_other_systems_is_known_by_its_first_bytes(
    head: bytes, system: str
) -> None:
    assert foreign_format(head) == system


def test_a_signature_that_stands_too_far_behind_is_not_looked_for() -> None:
    far = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", FOREIGN_HEAD)

    assert foreign_format(far.ljust(FOREIGN_HEAD, b"\0")) == ""


def test_the_files_of_an_archive_say_which_system_they_are_for(tmp_path: Path) -> None:
    files = {"demo/_a.so": bytes.fromhex("cffaedfe0c000001"), "demo/b.exe": PE}
    wheel = make_wheel(tmp_path, "demo", "1.0", files)

    found = {entry.path: entry.foreign for entry in index_zip(wheel) if entry.foreign}

    assert found == {"demo/_a.so": "Mach-O", "demo/b.exe": "PE"}
