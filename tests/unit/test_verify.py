from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from layerforge.findings import Finding, Severity
from layerforge.limits import DIRECT_UPLOAD_LIMIT, UNZIPPED_LIMIT
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import FileEntry, Tree, unite
from layerforge.verify import verify, verify_files, verify_size, verify_zip
from tests.libraries import AARCH64, library


def target(runtime: str = "python3.12", arch: str = "x86_64") -> Target:
    return Target(runtime=find_runtime(runtime), arch=find_arch(arch))


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
            message="it has 262,144,000 bytes (250.0 MiB) unzipped, 1 too many: "
            'Lambda\'s "250 MB" are 262,144,000 bytes, and a layer must be smaller',
            remedy="Leave something out: exclude, exclude-runtime-sdk, or strip = "
            '"slim".',
        )
    ]


def test_lambda_s_limit_comes_before_the_user_s_own() -> None:
    (message,) = messages(verify_size(300_000_000, 1000))

    assert message == (
        "it has 300,000,000 bytes (286.1 MiB) unzipped, 37,856,001 too many: Lambda's "
        '"250 MB" are 262,144,000 bytes, and a layer must be smaller'
    )


def test_the_user_s_own_limit_may_be_reached() -> None:
    assert messages(verify_size(1000, 1000)) == []


def test_more_than_the_user_s_own_limit_is_an_error() -> None:
    assert list(verify_size(200_000_001, 200_000_000)) == [
        Finding(
            check="size",
            severity=Severity.ERROR,
            message="it has 200,000,001 bytes (190.7 MiB) unzipped, 1 more than "
            "max-unzipped allows: 200,000,000",
            remedy="Leave something out: exclude, exclude-runtime-sdk, or strip = "
            '"slim".',
        )
    ]


def test_one_byte_is_told_as_one() -> None:
    assert messages(verify_size(1, 0)) == [
        "it has 1 byte unzipped, 1 more than max-unzipped allows: 0"
    ]


def test_a_zip_without_files_is_an_error() -> None:
    assert messages(verify_files(1)) == []
    assert list(verify_files(0)) == [
        Finding(
            check="empty",
            severity=Severity.ERROR,
            message="it has no file, and Lambda takes no empty zip",
            remedy="Look at what was zipped: zip -r layer.zip python, or nodejs.",
        )
    ]


def test_a_zip_that_can_be_uploaded_directly_is_not_spoken_of() -> None:
    assert messages(verify_zip(DIRECT_UPLOAD_LIMIT - 1)) == []


def test_a_zip_that_must_go_by_s3_is_noted() -> None:
    assert list(verify_zip(52_428_800)) == [
        Finding(
            check="upload",
            severity=Severity.NOTE,
            message="the zip has 52,428,800 bytes: from 52,428,800 on it is published "
            "by way of S3",
            remedy="Name a bucket in [publish].",
        )
    ]


def test_a_zip64_archive_is_warned_of() -> None:
    entries = [
        replace(library(f"lib/{number:05}"), elf=None) for number in range(65_535)
    ]

    assert verify(Tree(tuple(entries[1:])), target()) == ()
    assert verify(Tree(tuple(entries)), target()) == (
        Finding(
            check="zip64",
            severity=Severity.WARNING,
            message="it has 65,535 files: a zip of 65,535 or more is in the zip64 "
            "format, which not every tool reads",
            remedy="Leave folders out with exclude that nothing imports.",
        ),
    )


def test_findings_follow_the_checks_and_the_tree() -> None:
    found = findings(
        library("lib/a.so", needed=("libx.so",)),
        library("lib/b.so", machine=AARCH64),
        library("lib/c.so", versions=("GLIBC_2.99",), needed=("liby.so",)),
    )

    assert [(finding.check, finding.path) for finding in found] == [
        ("machine", "lib/b.so"),
        ("symbol-version", "lib/c.so"),
        ("library", "lib/a.so"),
        ("library", "lib/c.so"),
    ]
