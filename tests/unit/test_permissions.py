from __future__ import annotations

import pytest

from layerforge.archives.zipdirectory import Member
from layerforge.findings import Finding, Severity
from layerforge.verify.permissions import verify_permissions

FILE, FOLDER, LINK = 0o100000, 0o040000, 0o120000


def member(name: str, mode: int) -> Member:
    return Member(
        name=name,
        method=0,
        flags=0,
        compressed=0,
        size=0,
        crc32=0,
        header_offset=0,
        mode=mode,
    )


def found(**modes: int) -> list[Finding]:
    return list(verify_permissions(member(n, mode) for n, mode in modes.items()))


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("python/a.py", FILE | 0o644),
        ("python/a.py", FILE | 0o004),
        ("python/a.py", 0),
        ("python/a", LINK | 0o700),
        ("python/", FOLDER | 0o755),
        ("bin/tool", FILE | 0o755),
        ("bin/data/a.txt", FILE | 0o644),
        ("extensions/agent", FILE | 0o755),
    ],
)
def test_what_everybody_can_read_is_not_spoken_of(name: str, mode: int) -> None:
    assert found(**{name: mode}) == []


@pytest.mark.parametrize(
    ("name", "mode", "severity", "message"),
    [
        (
            "python/a.py",
            FILE | 0o640,
            Severity.ERROR,
            "has mode 640: the user that functions run as can't read it",
        ),
        (
            "python/",
            FOLDER | 0o744,
            Severity.ERROR,
            "has mode 744: the user that functions run as can't look into it",
        ),
        (
            "extensions/agent",
            FILE | 0o644,
            Severity.ERROR,
            (
                "has mode 644: Lambda starts all that is in extensions/, and can't "
                "start it"
            ),
        ),
        (
            "bin/tool",
            FILE | 0o644,
            Severity.WARNING,
            "has mode 644: it can't be run as a program",
        ),
    ],
)
def test_modes_that_keep_functions_out_are_found(
    name: str, mode: int, severity: Severity, message: str
) -> None:
    assert found(**{name: mode}) == [
        Finding(
            check="permissions",
            severity=severity,
            path=name.rstrip("/"),
            message=message,
            remedy="Zip it with modes 644 and 755 (chmod -R a+rX .), or have "
            "layerforge build it.",
        )
    ]


def test_each_file_can_be_waived_by_itself() -> None:
    lacking = found(a=FILE | 0o600, b=FILE | 0o644, c=FILE | 0o600)

    assert [one.path for one in lacking] == ["a", "c"]
    assert len({one.message for one in lacking}) == 1  # and so they are told together
