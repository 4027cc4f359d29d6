"""Ranges and Retry-After, as RFC 9110 has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from layerforge.headers import Extent, asked, extent, retry_after

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_the_whole_is_asked_for_without_a_range() -> None:
    assert asked(0) == {"Accept-Encoding": "identity"}


def test_a_range_s_last_byte_is_included() -> None:
    assert asked(5, 10)["Range"] == "bytes=5-9"


def test_a_range_may_be_open() -> None:
    assert asked(5)["Range"] == "bytes=5-"


def test_a_range_may_begin_the_file() -> None:
    assert asked(0, 10)["Range"] == "bytes=0-9"


@pytest.mark.parametrize(
    ("stated", "total"), [("bytes 5-9/100", 100), ("bytes 5-9/*", None)]
)
def test_a_part_says_where_it_lies(stated: str, total: int | None) -> None:
    assert extent(206, {"Content-Range": stated}) == Extent(
        start=5, stop=10, total=total
    )


@pytest.mark.parametrize("stated", ["", "bytes */100", "lines 5-9/100", "bytes 5-9"])
def test_a_part_that_does_not_say_so_lies_nowhere(stated: str) -> None:
    assert extent(206, {"Content-Range": stated}) is None


@pytest.mark.parametrize(
    ("headers", "size"),
    [({"Content-Length": "100"}, 100), ({}, None), ({"Content-Length": "ten"}, None)],
)
def test_a_whole_is_as_long_as_announced(
    headers: dict[str, str], size: int | None
) -> None:
    assert extent(200, headers) == Extent(start=0, stop=size, total=size)


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 12:00:30 -0000", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("soon", None),
    ],
)
def test_a_wait_is_a_number_or_a_date(stated: str, seconds: float | None) -> None:
    assert retry_after(stated, now=NOW) == seconds


def test_a_date_s_wait_counts_from_now() -> None:
    later = NOW - timedelta(seconds=10)

    assert retry_after("Mon, 23 Nov 2026 12:00:30 GMT", now=later) == 40.0
