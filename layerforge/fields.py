"""Read a TOML table's fields, and collect everything that is wrong in it.

A reader turns a TOML value into one of the program's, or raises `Wrong` with what it
expected; `Fields` knows where the value stands, and goes on with the next field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TypeVar

from layerforge.errors import ConfigError

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_UNITS: Final = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}


class Wrong(Exception):  # noqa: N818 - not an error to catch, an answer to collect
    """A value isn't what a reader expected; ``at`` says where inside of it."""

    def __init__(self, expected: str, *, at: str = "", found: object = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.at = at
        self.found = found

    @property
    def parts(self) -> Sequence[Wrong]:
        """Every mistake in the value, each at its own place."""
        return (self,)


class Several(Wrong):
    """More than one mistake in one value."""

    def __init__(self, parts: Sequence[Wrong]) -> None:
        super().__init__("several things")
        self._parts = parts

    @property
    def parts(self) -> Sequence[Wrong]:
        """Every mistake in the value, each at its own place."""
        return self._parts


class Problems:
    """What is wrong in one document, by dotted path."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}

    def add(self, path: str, line: str) -> None:
        """Note one mistake; the first at a path is the one that counts."""
        self._lines.setdefault(path, f"{path}: {line}")

    def refuse(self, where: str) -> None:
        """Raise a `ConfigError` that lists all of them, if there are any."""
        if self._lines:
            lines = "".join(f"\n  {line}" for line in self._lines.values())
            raise ConfigError(where + lines)


class Fields:
    """A table at a dotted path; what it doesn't say is looked up in ``fallback``."""

    def __init__(
        self,
        table: Mapping[str, Any],
        path: str,
        problems: Problems,
        fallback: Fields | None = None,
    ) -> None:
        self._table = table
        self._path = path
        self._problems = problems
        self._fallback = fallback
        self._known: set[str] = set()

    def get(self, key: str, read: Callable[[object], T], default: T) -> T:
        """Read a field; where it is wrong or missing, give ``default``."""
        self._known.add(key)
        if key not in self._table:
            return self._fallback.get(key, read, default) if self._fallback else default
        try:
            return read(self._table[key])
        except Wrong as wrong:
            for part in wrong.parts:
                found = self._table[key] if part.found is None else part.found
                self.wrong(key + part.at, part.expected, found)
            return default

    def has(self, key: str) -> bool:
        """Say whether the table itself has a field; from now on it is a known one."""
        self._known.add(key)
        return key in self._table

    def wrong(self, key: str, expected: str, found: object) -> None:
        """Note a mistake at a field."""
        self._problems.add(
            self._path + key, f"found {_shown(found)}, expected {expected}"
        )

    def missing(self, key: str, expected: str) -> None:
        """Note that a field is not there, though it must be."""
        self._known.add(key)
        self._problems.add(self._path + key, f"missing, expected {expected}")

    def table(self, key: str, fallback: Fields | None = None) -> Fields:
        """Give the fields of a table inside; an empty one where it is missing.

        What it doesn't say is looked up in ``fallback``, or else where this table's is.
        """
        self._known.add(key)
        value = self._table.get(key, {})
        if not isinstance(value, dict):
            self.wrong(key, "a table", value)
            value = {}
        if fallback is None and self._fallback:
            fallback = self._fallback.table(key)
        return Fields(value, f"{self._path}{key}.", self._problems, fallback)

    def tables(
        self, key: str, names: str, fallback: Fields | None = None
    ) -> Iterator[tuple[str, Fields]]:
        """Give each table of a table of tables, with its name."""
        nothing: dict[str, Any] = {}
        for name, value in self.get(key, a_table, nothing).items():
            path = f"{key}.{name}"
            if not re.fullmatch(names, name):
                self.wrong(path, f"a name of the form {names}", name)
            elif not isinstance(value, dict):
                self.wrong(path, "a table", value)
            else:
                inside = f"{self._path}{path}."
                yield name, Fields(value, inside, self._problems, fallback)

    def finish(self) -> None:
        """Note the fields that nobody asked for."""
        for key in self._table:
            if key not in self._known:
                nearest = _nearest(key, self._known)
                self._problems.add(self._path + key, f"unknown{nearest}")


def a_table(value: object) -> dict[str, Any]:
    """Read a table."""
    if not isinstance(value, dict):
        raise Wrong("a table")
    return value


def a_flag(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise Wrong("true or false")
    return value


def a_text(*, most: int | None = None, form: str = "") -> Callable[[object], str]:
    """Read a string of at most so many characters, of a form."""

    def read(value: object) -> str:
        if not isinstance(value, str):
            raise Wrong("a string")
        if most is not None and len(value) > most:
            raise Wrong(f"at most {most} characters", found=f"{len(value)} characters")
        if form and not re.fullmatch(form, value):
            raise Wrong(f"the form {form}")
        return value

    return read


def a_list_of(read: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    """Read a list, item by item."""

    def read_all(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise Wrong("a list")
        return read_each(
            [(f"[{number}]", item, read) for number, item in enumerate(value)]
        )

    return read_all


def read_each(
    items: Iterable[tuple[str, object, Callable[[object], T]]],
) -> tuple[T, ...]:
    """Read every item (where it is, its value, its reader), whatever the others do."""
    results: list[T] = []
    wrongs: list[Wrong] = []
    for at, item, read in items:
        try:
            results.append(read(item))
        except Wrong as wrong:
            wrongs += [
                Wrong(
                    part.expected,
                    at=at + part.at,
                    found=item if part.found is None else part.found,
                )
                for part in wrong.parts
            ]
    if wrongs:
        raise Several(wrongs)
    return tuple(results)


def one_of(choices: type[E]) -> Callable[[object], E]:
    """Read one of an enumeration's values."""

    def read(value: object) -> E:
        if not isinstance(value, str) or value not in set(choices):
            raise Wrong(" or ".join(f'"{choice}"' for choice in choices))
        return choices(value)

    return read


def a_size(value: object) -> int:
    """Read bytes: a number, or a string such as ``200 MB`` (10^6) or ``190 MiB``."""
    size = 0
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    match = isinstance(value, str) and re.fullmatch(
        r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?b|b)\s*", value, re.ASCII | re.IGNORECASE
    )
    if match:
        from fractions import Fraction  # noqa: PLC0415 - start-up time

        size = int(Fraction(match[1]) * _UNITS[match[2].lower()])
    if size <= 0:
        raise Wrong('bytes: a whole number, "200 MB" or "190 MiB"')
    return size


def a_duration(value: object) -> int:
    """Read seconds: a number, or a string such as ``90 s``, ``30 min``, ``2h``."""
    seconds = 0
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    match = isinstance(value, str) and re.fullmatch(
        r"\s*(\d+)\s*(s|min|h|d)\s*", value, re.ASCII
    )
    if match:
        seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds <= 0:
        raise Wrong('a time: seconds, "30 min", "2h" or "30d"')
    return seconds


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    return json.dumps(value, ensure_ascii=False, default=str)


def _nearest(key: str, known: set[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only when something's wrong

    matches = get_close_matches(key, sorted(known), n=1)
    if matches:
        return f"; did you mean {matches[0]}?"
    return "; known here: " + ", ".join(sorted(known))
