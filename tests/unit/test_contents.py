from __future__ import annotations

import pytest

from layerforge.elf import ElfFacts
from layerforge.reports.contents import (
    Contents,
    Part,
    contents_text,
    machines_of,
    parts_of,
)
from layerforge.tree import STORED, Content, FileEntry


def entry(path: str, size: int, machine: int = 0) -> FileEntry:
    content = Content(
        file="", offset=0, length=size, method=STORED, size=size, crc32=0, sha256=""
    )
    elf = ElfFacts(machine=machine, bits=64) if machine else None
    return FileEntry(path=path, origin="", content=content, elf=elf)


def contents(*entries: FileEntry, zipped: int = 100) -> Contents:
    return Contents(
        path="layer.zip", zipped=zipped, code_sha256="c2hhMjU2", entries=entries
    )


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("python/requests/api.py", "requests"),
        ("python/six.py", "six"),
        ("python/_cffi_backend.cpython-312-x86_64-linux-gnu.so", "_cffi_backend"),
        ("python/numpy.libs/libgfortran.so.5", "numpy.libs"),
        ("python/lib/python3.12/site-packages/flask/app.py", "flask"),
        ("nodejs/node_modules/sharp/index.js", "sharp"),
        (
            "nodejs/node22/node_modules/@img/sharp-linux-x64/lib.node",
            "@img/sharp-linux-x64",
        ),
        ("lib/libpq.so.5", "lib/"),
        ("README", "README"),
    ],
)
def test_a_file_belongs_to_what_it_is_imported_by(path: str, part: str) -> None:
    assert parts_of(contents(entry(path, 3))) == (
        Part(name=part, version="", size=3, files=1),
    )


def test_a_distribution_gives_its_version_to_the_folder_of_its_name() -> None:
    parts = parts_of(
        contents(
            entry("python/charset_normalizer/api.py", 5),
            entry("python/charset_normalizer-3.5.dist-info/METADATA", 2),
        )
    )

    assert parts == (Part(name="charset_normalizer", version="3.5", size=7, files=2),)


def test_machines_have_lambdas_names_or_elfs_numbers() -> None:
    libraries = [
        entry("a", 1, 62),
        entry("b", 1, 62),
        entry("c", 1, 183),
        entry("d", 1, 8),
    ]

    assert machines_of(libraries) == {"ELF machine 8": 1, "x86_64": 2, "arm64": 1}


def test_a_layer_that_is_too_large_says_by_how_much() -> None:
    text = contents_text(contents(entry("python/a.bin", 262_144_000)))

    assert text.splitlines()[1] == (
        "  unzipped    262,144,000 bytes (250.0 MiB), 1 too many for Lambda"
    )


def test_a_zip_that_goes_by_s3_says_so() -> None:
    text = contents_text(contents(entry("python/a.py", 1), zipped=52_428_800))

    assert text.splitlines()[2] == (
        "  zipped      52,428,800 bytes (50.0 MiB), published by way of S3"
    )


def test_no_line_is_wider_than_a_terminal() -> None:
    text = contents_text(contents(entry(f"python/{'n' * 90}/{'f' * 90}.py", 10**9)))

    assert max(map(len, text.splitlines())) <= 80


def test_an_empty_zip_is_shown_too() -> None:
    assert "  files       0" in contents_text(contents()).splitlines()
