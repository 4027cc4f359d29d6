"""Brace expansion, as Bash has it and npm's patterns with it: ``a{b,c}`` is ab and ac.

https://www.gnu.org/software/bash/manual/html_node/Brace-Expansion.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

MAX_EXPANSIONS: Final = 100_000
"""So many, and no more, does npm make of one pattern."""

_WORTH: Final = re.compile(r"\{[^{\n]*\}")
_SEQUENCE: Final = re.compile(
    r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?|([a-z])\.\.([a-z])(?:\.\.(-?\d+))?",
    re.ASCII | re.IGNORECASE,
)
_PADDED: Final = re.compile(r"-?0\d", re.ASCII)
# Characters that Unicode keeps for a program's own use stand for escaped ones.
_ESCAPABLE: Final = "\\{},."
_HIDDEN: Final = {char: chr(0xFDD0 + at) for at, char in enumerate(_ESCAPABLE)}
_SHOWN: Final = str.maketrans({hidden: char for char, hidden in _HIDDEN.items()})


def expand(pattern: str) -> tuple[str, ...]:
    """Give what a pattern stands for, in order; itself, if it has no braces."""
    if not _WORTH.search(pattern):
        return (pattern,)
    if pattern.startswith("{}"):
        pattern = rf"\{{\}}{pattern[2:]}"
    hidden = re.sub(r"\\([\\{},.])", lambda match: _HIDDEN[match[1]], pattern)
    expanded = (each.translate(_SHOWN) for each in _expand(hidden))
    try:
        return tuple(islice((each for each in expanded if each), MAX_EXPANSIONS))
    except RecursionError:  # nobody means so many: npm leaves the rest as it is too
        return (pattern,)


def _expand(text: str) -> Iterator[str]:
    found = _first_pair(text)
    if found is None:
        yield text
        return
    start, stop = found
    before, body, after = text[:start], text[start + 1 : stop], text[stop + 1 :]
    if before.endswith("$"):  # a shell's variable
        choices = [f"{{{body}}}"]
    elif sequence := _SEQUENCE.fullmatch(body):
        choices = list(islice(_count(sequence), MAX_EXPANSIONS))
    elif "," in body:
        choices = _choices(body)
    elif re.search(r",(?!,).*\}", after):  # {a},b} is the one of a} and b
        yield from _expand(f"{before}{{{body}{_HIDDEN['}']}{after}")
        return
    else:
        yield text
        return
    ends = list(islice(_expand(after), MAX_EXPANSIONS)) if after else [""]
    yield from (before + choice + end for choice in choices for end in ends)


def _first_pair(text: str) -> tuple[int, int] | None:
    """Find the first outermost pair of braces, or what pairs up behind a lone one."""
    opened: list[int] = []
    inner: tuple[int, int] | None = None
    for at, char in enumerate(text):
        if char == "{":
            opened.append(at)
        elif char == "}" and opened:
            start = opened.pop()
            if not opened:
                return start, at
            if inner is None or start < inner[0]:
                inner = (start, at)
    return inner


def _choices(body: str) -> list[str]:
    parts = _split(body)
    if len(parts) == 1:  # {{a,b}} is {a} and {b}
        return [f"{{{each}}}" for each in islice(_expand(parts[0]), MAX_EXPANSIONS)]
    return [each for part in parts for each in islice(_expand(part), MAX_EXPANSIONS)]


def _split(body: str) -> list[str]:
    """Split at the commas that stand in no braces of their own."""
    found = _first_pair(body)
    if found is None:
        return body.split(",")
    start, stop = found
    *first, left = body[:start].split(",")
    right, *rest = _split(body[stop + 1 :])
    return [*first, f"{left}{body[start : stop + 1]}{right}", *rest]


def _count(sequence: re.Match[str]) -> Iterator[str]:
    low, high, step, first, last, stride = sequence.groups()
    by = max(abs(int(step or stride or 1)), 1)
    if low is None:
        begin, end = ord(first), ord(last)
    else:
        begin, end = int(low), int(high)
    by = by if begin <= end else -by
    numbers = range(begin, end + (1 if by > 0 else -1), by)
    if low is None:
        yield from (chr(number).replace("\\", "") for number in numbers)
        return
    padded = any(_PADDED.match(each) for each in (low, high, step or ""))
    width = max(len(low), len(high)) if padded else 0
    yield from (f"{number:0{width}}" for number in numbers)
