"""Sentences that fit a terminal."""

from __future__ import annotations

import re
import textwrap
from typing import Final

_INDENT: Final = "  "
_UNBROKEN: Final = "\N{NO-BREAK SPACE}"
# A command is to be copied whole, so it is never broken; it ends with its sentence.
_COMMAND: Final = re.compile(r"layerforge [a-z]+(?: [^\s.,;)]+(?:\.[^\s.,;)]+)*)*")


def wrapped(text: str, width: int) -> str:
    """Break lines that are longer than ``width`` columns between words.

    What continues a line is set in further than the line. A command of layerforge's
    stays whole, even where that is too long.
    """
    return "\n".join(_wrapped_line(line, width) for line in text.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    kept = _COMMAND.sub(lambda match: match[0].replace(" ", _UNBROKEN), line)
    pieces = textwrap.wrap(
        kept.lstrip(),
        width,
        initial_indent=indent,
        subsequent_indent=indent + _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(pieces).replace(_UNBROKEN, " ")


def printable(text: str) -> str:
    """Show what would steer a terminal: names in archives may be of anyone's making."""
    return "".join(
        each
        if each.isprintable() or each in "\n\t"
        else each.encode("unicode_escape").decode()
        for each in text
    )
