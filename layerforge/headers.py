"""The few HTTP headers that need reading and writing with care (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Which bytes of the whole an answer has, ``stop`` not included.

    ``None`` is what the server leaves open; ``total`` are the whole's bytes.
    """

    start: int
    stop: int | None
    total: int | None


def asked(start: int, stop: int | None = None) -> dict[str, str]:
    """Ask for the bytes from ``start`` to ``stop``, or the end, not compressed."""
    headers = {"Accept-Encoding": "identity"}
    if start or stop is not None:
        last = "" if stop is None else stop - 1
        headers["Range"] = f"bytes={start}-{last}"
    return headers


def extent(status: int, headers: Mapping[str, str]) -> Extent | None:
    """Read which bytes an answer has; nothing where a partial one doesn't say."""
    if status == HTTPStatus.PARTIAL_CONTENT:
        stated = headers.get("Content-Range", "")
        match = re.fullmatch(
            r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", stated
        )
        if match is None:
            return None
        first, last, total = match.groups()
        return Extent(
            start=int(first),
            stop=int(last) + 1,
            total=None if total == "*" else int(total),
        )
    length = headers.get("Content-Length", "")
    size = int(length) if re.fullmatch("[0-9]{1,18}", length) else None
    return Extent(start=0, stop=size, total=size)


def retry_after(stated: str, *, now: datetime) -> float | None:
    """Read a Retry-After header, a number or a date, as seconds from ``now``."""
    if re.fullmatch("[0-9]{1,18}", stated):
        return float(stated)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - start-up time

    try:
        when = parsedate_to_datetime(stated)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())
