"""Plain tables, as wide as what is in them."""

from __future__ import annotations

from collections.abc import Sequence

_GAP = "  "


def columns(rows: Sequence[Sequence[str]], *, right: str = "") -> list[str]:
    """Lay rows out in columns; ``right`` names, by "<" and ">", how each is set."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    signs = right.ljust(len(widths), "<")
    return [
        _GAP.join(
            f"{cell:{sign}{width}}"
            for cell, sign, width in zip(row, signs, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def clipped(text: str, width: int) -> str:
    """Cut a text that is too long for its column, and show that it was cut."""
    return text if len(text) <= width else text[: width - 1] + "…"


def bytes_of(number: int) -> str:
    """Write a number of bytes so that it can be compared at a glance."""
    return f"{number:,}"


def signed(number: int) -> str:
    """Write by how many bytes something is more or less."""
    return f"{number:+,}" if number else "0"


def counted(number: int, noun: str) -> str:
    """Write how many there are: one file, two files."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def mebibytes(number: int) -> str:
    """Write bytes as MiB, which are 2^20 of them."""
    return f"{number / (1 << 20):.1f} MiB"
