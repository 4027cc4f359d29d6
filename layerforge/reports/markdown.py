"""GitHub's Markdown, for comments on pull requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_SIGNS: Final = re.compile(r"[\\`*_~<>\[\]|#&]")


def table(rows: Sequence[Sequence[str]], *, right: str = "") -> list[str]:
    """Write rows as a table of GitHub's, the first of them its head."""
    head, *others = rows
    signs = right.ljust(len(head), "<")
    rule = ["--:" if sign == ">" else "---" for sign in signs]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *others)]


def plain(text: str) -> str:
    """Write a text so that nothing in it is taken for Markdown or HTML."""
    return _SIGNS.sub(r"\\\g<0>", " ".join(text.split()))


def code(text: str) -> str:
    """Write a name as code; a pipe would end a table's cell even there."""
    text = text.replace("|", r"\|").replace("`", "'")
    return f"`{text}`"
