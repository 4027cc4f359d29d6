"""Laws of trimming, on real libraries and on what is left of them when bytes change."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerforge.elf import ElfError, is_elf
from layerforge.elf.reader import highest_versions, read_facts
from layerforge.elf.tail import trim

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

SOURCE: Final = """
    #include <math.h>
    #include <stdio.h>
    int zeros[999];
    double root(double x) { printf("%f", x); return pow(x, 0.5) + zeros[3]; }
"""


def compiled() -> Iterator[bytes]:
    """Compile a small library, with debugging information, if that is possible."""
    if sys.platform != "linux" or shutil.which("gcc") is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "source.c")
        path.write_text(SOURCE)
        library = path.with_suffix(".so")
        subprocess.run(
            ["gcc", "-g3", "-shared", "-fPIC", "-o", library, path, "-lm"], check=True
        )
        yield library.read_bytes()


def of_this_interpreter() -> Iterator[bytes]:
    """Give its smaller extension modules; on macOS there is no ELF file among them."""
    folder = Path(sysconfig.get_path("platstdlib"), "lib-dynload")
    for path in sorted(folder.glob("*.so")):
        image = path.read_bytes()
        if is_elf(image) and len(image) < 200_000:
            yield image


@cache
def libraries() -> tuple[bytes, ...]:
    return (*compiled(), *of_this_interpreter())


pytestmark = pytest.mark.skipif(not libraries(), reason="no ELF file on this machine")


def trimmed(image: bytes) -> bytes:
    result = bytearray(image)
    trim(result)
    return bytes(result)


def loaded(image: bytes) -> list[bytes]:
    """Give the program headers, and the bytes of each segment."""
    wide = image[4] == 2
    (start,) = struct.unpack_from("<Q" if wide else "<I", image, 0x20 if wide else 0x1C)
    (count,) = struct.unpack_from("<H", image, 0x38 if wide else 0x2C)
    record = struct.Struct("<8xQ16xQ16x" if wide else "<4xI8xI12x")
    table = image[start : start + count * record.size]
    # The header itself is in the first segment, and three of its fields change.
    changed = (0x28, 8), (0x3C, 4)
    if not wide:
        changed = (0x20, 4), (0x30, 4)
    for at, size in changed:
        image = image[:at] + bytes(size) + image[at + size :]
    return [
        table,
        *(image[offset : offset + size] for offset, size in record.iter_unpack(table)),
    ]


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A real library, by its number, with a few bytes changed."""

    library: int
    changes: tuple[tuple[int, bytes], ...] = ()

    @property
    def image(self) -> bytes:
        image = bytearray(libraries()[self.library])
        for offset, value in self.changes:
            image[offset : offset + len(value)] = value
        return bytes(image)


@cache
def tables(library: int) -> tuple[range, ...]:
    """Say where a loader, a section table's reader and a needs' reader look."""
    elf = ELFFile(io.BytesIO(libraries()[library]))
    header = elf.header
    places = [
        (0, header["e_ehsize"]),
        (header["e_phoff"], header["e_phnum"] * header["e_phentsize"]),
        (header["e_shoff"], header["e_shnum"] * header["e_shentsize"]),
    ]
    for name in (".dynamic", ".gnu.version_r", ".shstrtab", ".dynstr"):
        section = elf.get_section_by_name(name)
        if section is not None:
            places.append((section["sh_offset"], section["sh_size"]))
    return tuple(range(start, start + size) for start, size in places)


@st.composite
def changed_libraries(draw: st.DrawFn) -> Changed:
    library = draw(numbers_of_libraries)
    size = len(libraries()[library])
    changes = []
    for _ in range(draw(st.integers(0, 6))):
        offset = draw(st.sampled_from(draw(st.sampled_from(tables(library)))))
        width = draw(st.sampled_from((1, 2, 4, 8)))
        most = 256**width - 1
        telling = [number for number in (0, 1, size, most) if number <= most]
        value = draw(st.sampled_from(telling) | st.integers(0, most))
        changes.append((offset, value.to_bytes(width, "little")[: size - offset]))
    return Changed(library=library, changes=tuple(changes))


numbers_of_libraries = st.deferred(lambda: st.integers(0, len(libraries()) - 1))
real = st.builds(Changed, library=numbers_of_libraries)
# The first example imports and compiles what the others find there.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(real, st.integers(0, 10_000))
def test_every_loaded_byte_and_program_header_stays(file: Changed, zeros: int) -> None:
    assert loaded(trimmed(file.image + bytes(zeros))) == loaded(file.image)


@patient
@given(real)
def test_the_sections_that_stay_are_what_they_were(file: Changed) -> None:
    before = ELFFile(io.BytesIO(file.image)).iter_sections()
    after = ELFFile(io.BytesIO(trimmed(file.image))).iter_sections()

    for old, new in zip(before, after, strict=False):
        if old["sh_flags"] & 2:  # SHF_ALLOC
            assert old.name == new.name
            assert dict(old.header, sh_name=0) == dict(new.header, sh_name=0)


@patient
@given(real, st.binary(min_size=1, max_size=99).filter(any))
def test_a_payload_behind_everything_stays(file: Changed, payload: bytes) -> None:
    assert trimmed(file.image + payload) == file.image + payload


@patient
@given(real, st.data())
def test_a_file_cut_short_is_refused_or_read(
    file: Changed, data: st.DataObject
) -> None:
    image = file.image[: data.draw(st.integers(0, len(file.image)))]

    with suppress(ElfError):
        assert read_facts(image).trimmed == len(trimmed(image))


@settings(patient, max_examples=250)
@given(changed_libraries())
def test_any_file_is_refused_or_read(file: Changed) -> None:
    with suppress(ElfError):
        assert read_facts(file.image).trimmed == len(trimmed(file.image))


@settings(patient, max_examples=250)
@given(changed_libraries())
def test_any_file_that_is_trimmed_keeps_what_is_loaded(file: Changed) -> None:
    with suppress(ElfError):
        assert loaded(trimmed(file.image)) == loaded(file.image)


@settings(patient, max_examples=250)
@given(changed_libraries())
def test_trimming_twice_is_trimming_once(file: Changed) -> None:
    with suppress(ElfError):
        once = trimmed(file.image)

        assert trimmed(once) == once


numbers = st.lists(st.integers(0, 99), min_size=1, max_size=4)


@given(st.lists(numbers, min_size=1), st.randoms(use_true_random=False))
def test_the_highest_version_does_not_depend_on_order(
    versions: list[list[int]], random: Random
) -> None:
    names = ["GLIBC_" + ".".join(map(str, version)) for version in versions]
    shuffled = random.sample(names, len(names))

    assert highest_versions(shuffled) == highest_versions(names)
    assert highest_versions(names) == ("GLIBC_" + ".".join(map(str, max(versions))),)
