"""How one field of a table is read, and what is said of a wrong one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import pytest

from layerforge.errors import ConfigError
from layerforge.fields import (
    Fields,
    Problems,
    Wrong,
    a_flag,
    a_list_of,
    a_size,
    a_table,
    a_text,
    one_of,
)
from layerforge.strip import Profile

Reader = Callable[[object], object]


def problems_of(table: Mapping[str, Any], read: Reader) -> list[str]:
    """Read the field ``key`` of a table, and give the lines of what is wrong."""
    problems = Problems()
    fields = Fields(table, "top.", problems)
    fields.get("key", read, None)
    return told(problems)


def told(problems: Problems) -> list[str]:
    try:
        problems.refuse("file:")
    except ConfigError as error:
        return [line.strip() for line in error.message.splitlines()[1:]]
    return []


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1, 1),
        ("7 B", 7),
        ("200 MB", 200_000_000),
        ("190 MiB", 199_229_440),
        ("0.29 kb", 290),
        ("1.005 KB", 1005),
        ("2gib", 2_147_483_648),
        (" 3 GB ", 3_000_000_000),
    ],
)
def test_a_size_is_read_exactly(value: object, size: int) -> None:
    assert a_size(value) == size


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        True,
        1.5,
        "0 MB",
        "MB",
        "1 TB",
        "1,5 MB",
        "-1 MB",
        "\u0661 MB",
        "1e3 B",
        [],
    ],
)
def test_a_size_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(Wrong) as caught:
        a_size(value)

    assert caught.value.expected == 'bytes: a whole number, "200 MB" or "190 MiB"'


def test_a_size_may_be_far_too_large_to_be_a_float() -> None:
    assert a_size("1" + "0" * 400 + " GB") == 10**409


@pytest.mark.parametrize(
    ("value", "read", "line"),
    [
        (1, a_text(), "top.key: found 1, expected a string"),
        (None, a_text(), "top.key: found null, expected a string"),
        ("é", a_flag, 'top.key: found "é", expected true or false'),
        (0, a_flag, "top.key: found 0, expected true or false"),
        ({}, a_flag, "top.key: found a table, expected true or false"),
        ([], a_table, "top.key: found a list, expected a table"),
        ("x", a_list_of(a_text()), 'top.key: found "x", expected a list'),
        (
            date(2026, 1, 2),
            a_text(),
            'top.key: found "2026-01-02", expected a string',
        ),
        (
            "abc",
            a_text(form="[a-b]+"),
            'top.key: found "abc", expected the form [a-b]+',
        ),
        (
            "abc",
            a_text(most=2),
            'top.key: found "3 characters", expected at most 2 characters',
        ),
        (
            "x",
            one_of(Profile),
            'top.key: found "x", expected "none" or "safe" or "slim"',
        ),
        (
            ["safe"],
            one_of(Profile),
            'top.key: found a list, expected "none" or "safe" or "slim"',
        ),
    ],
)
def test_a_mistake_names_place_found_and_expected(
    value: object, read: Reader, line: str
) -> None:
    assert problems_of({"key": value}, read) == [line]


def test_every_mistake_of_a_list_is_told_at_its_own_place() -> None:
    assert problems_of({"key": ["a", 1, "b", True]}, a_list_of(a_text())) == [
        "top.key[1]: found 1, expected a string",
        "top.key[3]: found true, expected a string",
    ]


def test_places_in_lists_of_lists_are_told() -> None:
    read = a_list_of(a_list_of(a_text()))

    assert problems_of({"key": [["a"], ["b", 2]]}, read) == [
        "top.key[1][1]: found 2, expected a string"
    ]


def test_a_wrong_field_gives_the_default() -> None:
    fields = Fields({"key": 1}, "", Problems())

    assert fields.get("key", a_text(), "default") == "default"


def test_a_missing_field_is_looked_up_in_the_fallback() -> None:
    problems = Problems()
    fallback = Fields({"key": "from above"}, "above.", problems)
    fields = Fields({}, "below.", problems, fallback)

    assert fields.get("key", a_text(), "") == "from above"


def test_a_mistake_in_the_fallback_is_told_once_and_where_it_is() -> None:
    problems = Problems()
    fallback = Fields({"key": 1}, "above.", problems)

    for name in ("one.", "other."):
        Fields({}, name, problems, fallback).get("key", a_text(), "")

    assert told(problems) == ["above.key: found 1, expected a string"]


def test_an_inner_table_falls_back_field_by_field() -> None:
    problems = Problems()
    fallback = Fields({"inner": {"a": "above", "b": "above"}}, "", problems)
    inner = Fields({"inner": {"a": "below"}}, "", problems, fallback).table("inner")

    assert [inner.get(key, a_text(), "") for key in "ab"] == ["below", "above"]


def test_a_missing_field_that_must_be_there_is_told() -> None:
    problems = Problems()

    Fields({}, "top.", problems).missing("key", "a string")

    assert told(problems) == ["top.key: missing, expected a string"]


def test_unknown_fields_are_told_in_the_order_of_the_file() -> None:
    problems = Problems()
    fields = Fields({"runtims": 1, "zz": 2, "aa": 3}, "", problems)
    fields.get("runtimes", a_table, None)

    fields.finish()

    assert told(problems) == [
        "runtims: unknown; did you mean runtimes?",
        "zz: unknown; known here: runtimes",
        "aa: unknown; known here: runtimes",
    ]


def test_a_field_that_was_looked_for_is_known() -> None:
    problems = Problems()
    fields = Fields({"packags": []}, "top.", problems)

    assert not fields.has("packages")
    fields.finish()

    assert told(problems) == ["top.packags: unknown; did you mean packages?"]


def test_tables_with_impossible_names_or_no_tables_are_told() -> None:
    problems = Problems()
    fields = Fields({"all": {"good": {}, "b a d": {}, "three": 3}}, "top.", problems)

    names = [name for name, _ in fields.tables("all", "[a-z]+")]

    assert names == ["good"]
    assert told(problems) == [
        'top.all.b a d: found "b a d", expected a name of the form [a-z]+',
        "top.all.three: found 3, expected a table",
    ]


def test_nothing_wrong_raises_nothing() -> None:
    assert problems_of({"key": "x"}, a_text()) == []
