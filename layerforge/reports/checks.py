"""What layerforge checks, and what each check means, in at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

from layerforge.findings import Check
from layerforge.reports.columns import columns

_WIDTH: Final = 80
_INDENT: Final = "  "


def checks_text(checks: Iterable[Check]) -> str:
    """List checks, each with its severity and what it finds."""
    rows = [(check.id, check.severity, check.title) for check in checks]
    widths = [max(len(row[at]) for row in rows) + 2 for at in (0, 1)]
    lines: list[str] = []
    for name, severity, title in rows:
        begin = f"{name:{widths[0]}}{severity:{widths[1]}}"
        lines += textwrap.wrap(
            title,
            _WIDTH,
            initial_indent=begin,
            subsequent_indent=" " * len(begin),
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def check_text(check: Check) -> str:
    """Say what a check finds, why that matters, what helps, and how to waive it."""
    head = columns([("check", check.id), ("severity", check.severity)])
    parts = [
        check.title,
        "\n".join(f"{_INDENT}{line}" for line in head),
        _paragraph(check.why),
        _paragraph(f"try: {check.remedy}"),
        *_waiving(check),
    ]
    return "\n\n".join(parts)


def check_document(check: Check) -> dict[str, Any]:
    """Give the same as JSON's values."""
    return asdict(check)


def waiver_example(check: Check) -> str:
    """Give the lines of layerforge.toml that waive a check's findings at some paths."""
    return (
        "[layers.web]\n"
        "waive = [\n"
        f'    {{check = "{check.id}", path = "python/demo", why = "Never used."}},\n'
        "]"
    )


def _waiving(check: Check) -> list[str]:
    if not check.waivable:
        return ["It can't be waived: Lambda itself refuses such a layer."]
    told = (
        "Where it is meant to be, say so in layerforge.toml, with the reason. A folder "
        "stands for all that is in it; without a path the whole layer is meant."
    )
    example = textwrap.indent(waiver_example(check), _INDENT)
    return [_paragraph(told), example]


def _paragraph(text: str) -> str:
    return textwrap.fill(
        " ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False
    )
