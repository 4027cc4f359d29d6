"""How a function's bytes are spread over code and layers, in at most 80 columns."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from layerforge.aws.budget import Budget, Part
from layerforge.limits import UNZIPPED_LIMIT
from layerforge.reports.columns import bytes_of, clipped, columns, mebibytes
from layerforge.reports.prose import wrapped

_WIDTH: Final = 80
_TITLE_WIDTH: Final = 36
_HEAD: Final = ("part", "zipped", "unzipped", "share")


def budget_text(budget: Budget) -> str:
    """List code and layers with their bytes, the sum, and what is left."""
    function = budget.function
    title = f"{function} ({function.runtime}, {function.architecture})"
    rows = [_HEAD, *(_row(part, budget) for part in budget.parts)]
    share = f"{budget.used / UNZIPPED_LIMIT:.1%} of Lambda's limit"
    least = "at least " if budget.unknown else ""
    size = f"{least}{bytes_of(budget.used)} bytes ({mebibytes(budget.used)})"
    lines = [
        f"{title} in {function.region}",
        *(f"  {line}" for line in columns(rows, right="<>>>")),
        f"  unzipped {size}, {share}",
        f"  {_left(budget)}",
        *(_unknown(part) for part in budget.unknown),
    ]
    return "\n".join(wrapped(line, _WIDTH) for line in lines)


def budget_document(budget: Budget) -> dict[str, Any]:
    """Give the same as JSON's values, in bytes; null is what isn't known."""
    return {
        "function": budget.function.name,
        "version": budget.function.version,
        "region": budget.function.region,
        "unzipped": budget.used,
        "limit": UNZIPPED_LIMIT,
        "left": budget.left,
        "parts": [asdict(part) for part in budget.parts],
    }


def _row(part: Part, budget: Budget) -> tuple[str, ...]:
    known = part.unzipped is not None
    return (
        clipped(part.title, _TITLE_WIDTH),
        bytes_of(part.zipped) if part.zipped else "",
        bytes_of(part.unzipped or 0) if known else "?",
        f"{(part.unzipped or 0) / max(budget.used, 1):.1%}" if known else "",
    )


def _left(budget: Budget) -> str:
    if budget.left < 0:
        return f"{bytes_of(-budget.left)} bytes too many"
    most = "at most " if budget.unknown else ""
    return f"{most}{bytes_of(budget.left)} bytes are left"


def _unknown(part: Part) -> str:
    return f"  {part.title}: not known: {part.reason}"
