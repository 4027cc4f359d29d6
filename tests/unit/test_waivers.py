from __future__ import annotations

import pytest

from layerforge.fields import Wrong
from layerforge.findings import Finding, Severity, Waiver
from layerforge.waivers import a_waiver

WHY = "Nobody imports it."
SHAPE = '{check = "ID", path = "python/…", why = "…"}, path by choice'


def finding(path: str, check: str = "machine") -> Finding:
    return Finding(check=check, severity=Severity.ERROR, message="m", path=path)


def test_a_waiver_names_a_check_a_path_and_a_reason() -> None:
    given = {"check": "machine", "path": "python/a", "why": WHY}

    assert a_waiver(given) == Waiver(check="machine", path="python/a", why=WHY)


def test_a_waiver_may_be_of_all_paths() -> None:
    waiver = a_waiver({"check": "machine", "why": WHY})

    assert waiver.covers(finding("python/a.so"))
    assert waiver.covers(finding(""))


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("python/a", True),
        ("python/*", True),
        ("**/x.so", True),
        ("python/a/y.so", False),
        ("a/x.so", False),
    ],
)
def test_a_pattern_covers_files_and_what_is_in_folders(
    pattern: str, *, covered: bool
) -> None:
    waiver = Waiver(check="machine", path=pattern, why=WHY)

    assert waiver.covers(finding("python/a/x.so")) is covered


def test_all_of_a_folder_is_the_folder_too() -> None:
    waiver = Waiver(check="machine", path="python/a/**", why=WHY)

    assert waiver.covers(finding("python/a"))
    assert waiver.covers(finding("python/a/b/x.so"))
    assert not waiver.covers(finding("python/ab"))


def test_a_waiver_is_of_one_check() -> None:
    waiver = Waiver(check="machine", why=WHY)

    assert not waiver.covers(finding("python/a.so", check="library"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"check": "machine"}, SHAPE),
        ({"why": WHY}, SHAPE),
        ({"check": "machine", "why": WHY, "paths": "a"}, SHAPE),
        ({"check": "machin", "why": WHY}, "a check: layerforge explain lists them"),
        (
            {"check": "size", "why": WHY},
            "a check that can be waived: no reason makes this right",
        ),
        ({"check": "machine", "why": " "}, "a reason in why"),
        (
            {"check": "machine", "why": WHY, "path": "/opt/python/a"},
            "a path below /opt, such as python/demo",
        ),
        ({"check": "machine", "why": 1}, "a string"),
        ("machine", "a table"),
    ],
)
def test_anything_else_is_refused(given: object, expected: str) -> None:
    with pytest.raises(Wrong) as caught:
        a_waiver(given)

    assert caught.value.expected == expected
