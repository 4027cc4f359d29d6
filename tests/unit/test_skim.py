"""Wheels looked at from afar: what is read of them, and what that foretells."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from layerforge.client import Client, RangeUnsupported
from layerforge.ecosystems.python import skim as skim_module
from layerforge.ecosystems.python.skim import skim_wheel
from layerforge.ecosystems.python.wheel import index_wheel
from layerforge.errors import ArchiveError
from layerforge.lock import Pin
from layerforge.pack import Pack
from layerforge.tree import FileEntry
from layerforge.trim import as_trimmed
from tests.elf_files import (
    ALLOC,
    DATA,
    ET_REL,
    SYMTAB,
    TEXT,
    Part,
    make_elf,
    set_field,
)
from tests.servers import Fault, Index
from tests.wheels import make_wheel

SHA256: Final = "0" * 64
INFO: Final = "demo-1.0.dist-info"
FILES: Final = {"demo/__init__.py": b"answer = 42\n", "demo/data.bin": bytes(3000)}
TAIL: Final = 64 << 10  # bytes that are read in any case


def noise(size: int, seed: str = "") -> bytes:
    """Give bytes that no compression makes fewer."""
    return hashlib.shake_256(seed.encode()).digest(size)


# More than a tail full of it stands behind what is to be read by itself.
PADDING: Final = {"zzz.bin": noise(2 * TAIL)}
CODE: Final = Part(name=".rodata", flags=ALLOC, data=noise(40_000))
SYMBOLS: Final = Part(name=".symtab", type=SYMTAB, data=bytes(30_000))
LIBRARY: Final = bytes(make_elf(TEXT, DATA, CODE, SYMBOLS))


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    with Index(folder) as index:
        yield index


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(retries=0, timeout=5) as client:
        yield client


def demo(index: Index, files: Mapping[str, bytes]) -> Path:
    return make_wheel(
        *(index.folder, "demo", "1.0", files),
        requires=["other>1 ; python_version<'3.99'"],
        requires_python=">=3.8",
    )


def skim(index: Index, wheel: Path, client: Client) -> Pack:
    pin = Pin(
        name="demo",
        version="1.0",
        filename=wheel.name,
        url=index.file_url(wheel.name),
        digest=SHA256,
        size=wheel.stat().st_size,
    )
    with ThreadPoolExecutor(2) as readers:
        return skim_wheel(pin, client, readers)


def bytes_read(index: Index) -> int:
    asked = [request.headers["range"] for request in index.requests]
    pairs = (one.removeprefix("bytes=").split("-") for one in asked)
    return sum(int(last) - int(first) + 1 for first, last in pairs)


def found(pack: Pack, path: str) -> FileEntry:
    return next(entry for entry in pack.entries if entry.path == f"python/{path}")


def trimmed(pack: Pack) -> int:
    return sum(entry.size for entry in as_trimmed(pack.entries))


class TestDirectory:
    @pytest.mark.parametrize(
        ("files", "requests"),
        [
            (FILES, 1),  # all of it lies in the tail
            ({"demo/big.bin": noise(300_000)}, 2),
            ({f"demo/{'x' * 90}{at}.py": b"x" for at in range(500)}, 3),
            ({".data/headers/demo.h": b"", ".data/scripts/demo": b"#!python"}, 1),
        ],
        ids=["small", "big", "many", "schemes"],
    )
    def test_foretells_what_an_index_finds(
        self, index: Index, client: Client, files: Mapping[str, bytes], requests: int
    ) -> None:
        wheel = demo(index, files)

        skimmed = skim(index, wheel, client)

        whole = index_wheel(wheel, wheel.name, SHA256)
        assert skimmed.predicted
        assert replace(skimmed, entries=(), predicted=False) == replace(
            whole, entries=()
        )
        assert {(one.path, one.size, one.origin) for one in skimmed.entries} == {
            (one.path, one.size, one.origin) for one in whole.entries
        }
        assert len(index.requests) == requests

    def test_is_little_of_a_large_wheel(self, index: Index, client: Client) -> None:
        wheel = demo(index, {"b.bin": noise(10**6)})

        skim(index, wheel, client)

        assert bytes_read(index) < 100_000

    def test_is_left_to_others_where_a_server_gives_no_parts(
        self, index: Index, client: Client
    ) -> None:
        wheel = demo(index, {"b.bin": noise(10**5)})
        index.ranges = False

        with pytest.raises(RangeUnsupported):
            skim(index, wheel, client)

    def test_without_metadata_is_refused(self, index: Index, client: Client) -> None:
        wheel = demo(index, FILES)
        rewrite(wheel, without=f"{INFO}/METADATA")

        with pytest.raises(ArchiveError) as caught:
            skim(index, wheel, client)

        assert caught.value.message == f"{wheel.name}: {INFO}/METADATA is missing"

    def test_with_metadata_that_does_not_inflate_is_refused(
        self, index: Index, client: Client
    ) -> None:
        wheel = demo(index, FILES)
        spoil(wheel, f"{INFO}/METADATA", 0, b"\xff" * 8)

        with pytest.raises(ArchiveError) as caught:
            skim(index, wheel, client)

        assert caught.value.message == (
            f"{wheel.name}: {INFO}/METADATA cannot be inflated: Error -3 while "
            "decompressing data: invalid block type"
        )


def rewrite(wheel: Path, *, without: str = "", last: str = "") -> None:
    """Write a wheel anew, one member fewer, or one of them at its end."""
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents.pop(without, None)
    if last:
        contents[last] = contents.pop(last)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


def spoil(wheel: Path, name: str, at: int, data: bytes) -> None:
    """Write over a member's compressed bytes, or, below 0, over its local header."""
    whole = bytearray(wheel.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        start = archive.getinfo(name).header_offset + 30 + len(name)
    whole[start + at : start + at + len(data)] = data
    wheel.write_bytes(whole)


class TestLibraries:
    @pytest.mark.parametrize("padding", [{}, PADDING], ids=["near", "far"])
    def test_are_foretold_as_trimmed(
        self, index: Index, client: Client, padding: dict[str, bytes]
    ) -> None:
        wheel = demo(index, {"demo/core.so": LIBRARY, **padding})

        skimmed = skim(index, wheel, client)

        whole = index_wheel(wheel, wheel.name, SHA256)
        assert skimmed.size == whole.size
        assert trimmed(whole) < whole.size - 30_000
        assert trimmed(skimmed) == pytest.approx(trimmed(whole), rel=0.01)

    @pytest.mark.parametrize(
        "name",
        [
            "core.so",
            "libarrow.so.2600",
            "libz-0352e75f.so.1.2.13",
            "esbuild",
            "protoc-3.13.0.0",
        ],
    )
    def test_are_looked_for_by_such_names(
        self, index: Index, client: Client, name: str
    ) -> None:
        wheel = demo(index, {f"demo/{name}": LIBRARY, **PADDING})

        skimmed = skim(index, wheel, client)

        assert found(skimmed, f"demo/{name}").elf

    @pytest.mark.parametrize(
        "files",
        [
            {"demo/core.pyx": LIBRARY},
            {"demo/small.so": LIBRARY[:10_000]},
            {".dist-info/licenses/LICENSE": LIBRARY},
        ],
        ids=["another name", "small", "metadata"],
    )
    def test_are_not_looked_for_where_that_gains_nothing(
        self, index: Index, client: Client, files: dict[str, bytes]
    ) -> None:
        wheel = demo(index, {**files, **PADDING})

        skim(index, wheel, client)

        assert len(index.requests) == 2  # for the directory and METADATA

    def test_that_lie_together_are_asked_for_at_once(
        self, index: Index, client: Client
    ) -> None:
        together = {f"demo/a{at}.so": LIBRARY for at in range(5)}
        apart = {"demo/b.bin": noise(2 * TAIL), "demo/c.so": LIBRARY}
        wheel = demo(index, {**together, **apart, **PADDING})

        skimmed = skim(index, wheel, client)

        assert sum(1 for entry in skimmed.entries if entry.elf) == 6
        assert len(index.requests) == 4  # for the directory, METADATA, and twice

    def test_are_looked_at_only_up_to_a_limit(
        self, index: Index, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(skim_module, "_MOST_READ", 10_000)
        apart = {"demo/a.so": LIBRARY, "demo/b.bin": noise(TAIL), "demo/c.so": LIBRARY}
        apart |= {"demo/d.bin": noise(TAIL), "demo/e.so": LIBRARY}
        wheel = demo(index, {**apart, **PADDING})

        skimmed = skim(index, wheel, client)

        assert [bool(found(skimmed, f"demo/{one}.so").elf) for one in "ace"] == [
            True,
            False,
            False,
        ]

    def test_stay_as_they_are_where_a_server_gives_no_more(
        self, index: Index, client: Client
    ) -> None:
        wheel = demo(index, {"demo/core.so": LIBRARY, **PADDING})
        rewrite(wheel, last=f"{INFO}/METADATA")  # which then is in the tail
        index.script(f"/files/{wheel.name}", None, Fault(status=416))

        entry = found(skim(index, wheel, client), "demo/core.so")

        assert (entry.elf, entry.size) == (None, len(LIBRARY))

    @pytest.mark.parametrize(
        ("form", "offset", "value"),
        [
            ("<Q", 32, 1 << 40),  # e_phoff
            ("<Q", 32, 5000),  # lawful, but further on than is read
            ("<H", 54, 55),  # e_phentsize
            ("<H", 56, 0xFFFF),  # e_phnum
            ("<H", 56, 5000),
            ("<Q", 64 + 8, 1 << 62),  # p_offset
            ("<Q", 64 + 32, (1 << 64) - 1),  # p_filesz
            ("<B", 4, 9),  # EI_CLASS
        ],
    )
    def test_with_a_header_that_makes_no_sense_stay_as_they_are(
        self, index: Index, client: Client, form: str, offset: int, value: int
    ) -> None:
        library = bytes(set_field(bytearray(LIBRARY), form, offset, value))
        wheel = demo(index, {"demo/core.so": library})

        entry = found(skim(index, wheel, client), "demo/core.so")

        assert (entry.elf, entry.size) == (None, len(LIBRARY))

    def test_are_never_foretold_larger_than_they_are(
        self, index: Index, client: Client
    ) -> None:
        library = bytes(set_field(bytearray(LIBRARY), "<H", 60, 0xFFFF))  # e_shnum
        wheel = demo(index, {"demo/core.so": library})

        elf = found(skim(index, wheel, client), "demo/core.so").elf

        assert elf
        assert elf.trimmed == len(LIBRARY)

    @pytest.mark.parametrize(
        "library",
        [
            bytes(make_elf(TEXT, CODE, SYMBOLS, kind=ET_REL)),
            bytes(make_elf(TEXT, CODE, SYMBOLS, order=">")),
        ],
        ids=["an object file", "big-endian"],
    )
    def test_that_trimming_leaves_alone_keep_their_size(
        self, index: Index, client: Client, library: bytes
    ) -> None:
        wheel = demo(index, {"demo/core.so": library})

        elf = found(skim(index, wheel, client), "demo/core.so").elf

        assert elf
        assert elf.trimmed == len(library)

    @pytest.mark.parametrize(
        ("at", "data"),
        [(0, b"\xff" * 8), (-16, struct.pack("<H", 0xFFFF))],
        ids=["no deflate", "an endless extra field"],
    )
    def test_whose_bytes_cannot_be_read_stay_as_they_are(
        self, index: Index, client: Client, at: int, data: bytes
    ) -> None:
        wheel = demo(index, {"demo/core.so": LIBRARY, **PADDING})
        at = at if at >= 0 else -len("demo/core.so") - 2
        spoil(wheel, "demo/core.so", at, data)

        entry = found(skim(index, wheel, client), "demo/core.so")

        assert (entry.elf, entry.size) == (None, len(LIBRARY))


def test_scripts_are_known_by_their_first_line(index: Index, client: Client) -> None:
    scripts = {
        ".data/scripts/demo": b"#!python\nimport demo\n",
        ".data/scripts/plain": b"#!/bin/sh\n",
    }
    wheel = demo(index, {**scripts, **PADDING})

    assert skim(index, wheel, client).scripts == ("python/bin/demo",)
