from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from layerforge.elf import ElfFacts
from layerforge.limits import DIRECT_UPLOAD_LIMIT, UNZIPPED_LIMIT
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import Content, FileEntry, Tree, unite
from layerforge.verify import Finding, Severity, verify, verify_size, verify_zip
from tests.elf_files import Workshop
from tests.entries import make_entry

X86_64, AARCH64 = 62, 183


def target(runtime: str = "python3.12", arch: str = "x86_64") -> Target:
    return Target(runtime=find_runtime(runtime), arch=find_arch(arch))


def library(
    path: str = "python/demo/_a.so",
    *,
    machine: int = X86_64,
    soname: str = "",
    needed: tuple[str, ...] = (),
    versions: tuple[str, ...] = (),
) -> FileEntry:
    facts = ElfFacts(
        machine=machine, bits=64, soname=soname, needed=needed, versions=versions
    )
    content = Content(
        file="", offset=0, length=9, method=0, size=9, crc32=0, sha256="ab" * 32
    )
    return FileEntry(path=path, origin="demo", content=content, elf=facts)


def findings(*entries: FileEntry, of: Target | None = None) -> list[Finding]:
    return list(verify(unite(entries), of or target()))


def messages(found: Iterator[Finding] | list[Finding]) -> list[str]:
    return [finding.message for finding in found]


# -- sizes --------


def test_one_byte_less_than_the_limit_is_enough() -> None:
    assert messages(verify_size(UNZIPPED_LIMIT - 1, None)) == []


def test_the_limit_itself_is_one_byte_too_many() -> None:
    assert list(verify_size(262_144_000, None)) == [
        Finding(
            check="size",
            severity=Severity.ERROR,
            message="it has 262144000 bytes (250.0 MiB) unzipped, 1 too many: Lambda's "
            '"250 MB" are 262144000 bytes, and a layer must be smaller',
        )
    ]


def test_lambda_s_limit_comes_before_the_user_s_own() -> None:
    (message,) = messages(verify_size(300_000_000, 1000))

    assert message == (
        "it has 300000000 bytes (286.1 MiB) unzipped, 37856001 too many: Lambda's "
        '"250 MB" are 262144000 bytes, and a layer must be smaller'
    )


def test_the_user_s_own_limit_may_be_reached() -> None:
    assert messages(verify_size(1000, 1000)) == []


def test_more_than_the_user_s_own_limit_is_an_error() -> None:
    assert list(verify_size(200_000_001, 200_000_000)) == [
        Finding(
            check="size",
            severity=Severity.ERROR,
            message="it has 200000001 bytes (190.7 MiB) unzipped, 1 more than "
            "max-unzipped (200000000 bytes (190.7 MiB)) allows",
        )
    ]


def test_a_zip_that_can_be_uploaded_directly_is_not_spoken_of() -> None:
    assert messages(verify_zip(DIRECT_UPLOAD_LIMIT - 1)) == []


def test_a_zip_that_must_go_by_s3_is_noted() -> None:
    assert list(verify_zip(52_428_800)) == [
        Finding(
            check="upload",
            severity=Severity.NOTE,
            message="the zip has 52428800 bytes: from 52428800 on it is published by "
            "way of S3",
        )
    ]


def test_a_zip64_archive_is_warned_of() -> None:
    entries = [
        FileEntry(path=f"{number:05}", origin="demo", link="a")
        for number in range(65_535)
    ]

    assert verify(Tree(tuple(entries[1:])), target()) == ()
    assert verify(Tree(tuple(entries)), target()) == (
        Finding(
            check="zip64",
            severity=Severity.WARNING,
            message="it has 65535 files: a zip of 65535 or more is in the zip64 "
            "format, which not every tool reads",
        ),
    )


# -- machines --------


@pytest.mark.parametrize(("arch", "machine"), [("x86_64", X86_64), ("arm64", AARCH64)])
def test_a_library_for_the_target_is_not_spoken_of(arch: str, machine: int) -> None:
    assert findings(library(machine=machine), of=target(arch=arch)) == []


def test_a_library_for_another_machine_is_warned_of() -> None:
    assert findings(library(machine=AARCH64)) == [
        Finding(
            check="machine",
            severity=Severity.WARNING,
            path="python/demo/_a.so",
            message="is for another machine than x86_64 (ELF machine 183)",
            remedy="Leave it out with exclude, if nothing loads it.",
        )
    ]


def test_what_a_library_for_another_machine_needs_is_of_no_account() -> None:
    entry = library(machine=AARCH64, needed=("libx.so",), versions=("GLIBC_9.9",))

    assert [finding.check for finding in findings(entry)] == ["machine"]


# -- symbol versions --------


def test_a_newer_glibc_than_the_runtime_s_is_warned_of() -> None:
    assert findings(library(versions=("GLIBC_2.35",))) == [
        Finding(
            check="symbol-version",
            severity=Severity.WARNING,
            path="python/demo/_a.so",
            message="needs GLIBC_2.35, and AL2023 has GLIBC_2.34: it will not load",
            remedy="Take another version of its package, or have it compiled for the "
            "runtime.",
        )
    ]


@pytest.mark.parametrize(
    ("runtime", "version", "loads"),
    [
        ("python3.12", "GLIBC_2.34", True),
        ("python3.12", "GLIBC_2.4", True),
        ("python3.12", "GLIBC_2.2.5", True),
        ("python3.12", "GLIBC_2.34.1", False),
        ("python3.11", "GLIBC_2.26", True),
        ("python3.11", "GLIBC_2.27", False),
        ("python3.12", "GLIBCXX_3.4.29", True),
        ("python3.12", "GLIBCXX_3.4.30", False),
        ("python3.12", "GLIBC_PRIVATE", True),
        ("python3.12", "OPENSSL_9.9.9", True),
    ],
)
def test_versions_are_compared_as_numbers(
    runtime: str, version: str, *, loads: bool
) -> None:
    entry = library(versions=(version,))

    assert (findings(entry, of=target(runtime)) == []) is loads


def test_a_layer_that_brings_libstdcxx_may_need_its_versions() -> None:
    entries = (
        library(versions=("GLIBCXX_3.4.33",)),
        library("lib/libstdc++.so.6", soname="libstdc++.so.6"),
    )

    assert findings(*entries) == []


def test_a_layer_that_brings_libstdcxx_still_needs_the_runtime_s_glibc() -> None:
    entries = (
        library(versions=("GLIBC_2.38",)),
        library("lib/libstdc++.so.6", soname="libstdc++.so.6"),
    )

    assert messages(findings(*entries)) == [
        "needs GLIBC_2.38, and AL2023 has GLIBC_2.34: it will not load"
    ]


# -- libraries --------


def test_libraries_that_are_nowhere_are_warned_of() -> None:
    entry = library(needed=("libc.so.6", "libpq.so.5", "libgomp.so.99"))

    assert findings(entry) == [
        Finding(
            check="library",
            severity=Severity.WARNING,
            path="python/demo/_a.so",
            message="needs libpq.so.5, libgomp.so.99, which neither the runtime nor "
            "the layer has",
            remedy="Add a package that brings it, or put it into the layer's lib/ "
            "with include.",
        )
    ]


@pytest.mark.parametrize(
    "brought",
    [
        library("lib/libpq.so.5"),
        library("lib/libpq.so.5", soname="libpq-a1b2.so"),
        library("python/demo.libs/libpq-5.16.so", soname="libpq.so.5"),
        FileEntry(path="lib/libpq.so.5", origin="demo", link="libpq.so.5.16"),
    ],
    ids=["by its file", "by its file, with another soname", "by its soname", "by link"],
)
def test_a_library_that_the_layer_has_is_not_missed(brought: FileEntry) -> None:
    assert findings(library(needed=("libpq.so.5",)), brought) == []


def test_a_program_of_the_build_machine_is_read_for_real(tmp_path: Path) -> None:
    image = Workshop.open(tmp_path).compile_library()

    found = findings(make_entry(tmp_path, "lib/liblib.so", image))

    machine = image[18]  # e_machine of a little-endian file
    if machine == X86_64:
        assert messages(found) == [
            "needs libdep.so, which neither the runtime nor the layer has"
        ]
    else:
        assert messages(found) == [
            f"is for another machine than x86_64 (ELF machine {machine})"
        ]


def test_findings_follow_the_checks_and_the_tree() -> None:
    found = findings(
        library("a.so", needed=("libx.so",)),
        library("b.so", machine=AARCH64),
        library("c.so", versions=("GLIBC_2.99",), needed=("liby.so",)),
    )

    assert [(finding.check, finding.path) for finding in found] == [
        ("machine", "b.so"),
        ("symbol-version", "c.so"),
        ("library", "a.so"),
        ("library", "c.so"),
    ]
