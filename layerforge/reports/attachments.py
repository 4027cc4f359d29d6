"""Which functions come to hold which layers, in at most 80 columns."""

from __future__ import annotations

from typing import Any, Final

from layerforge.aws.attachment import Attachment
from layerforge.aws.functions import HeldLayer
from layerforge.aws.moves import Moves
from layerforge.aws.usage import User
from layerforge.reports.budget import budget_document
from layerforge.reports.columns import clipped, columns
from layerforge.reports.prose import wrapped
from layerforge.reports.usage import user_document

_WIDTH: Final = 80
_REGION_WIDTH: Final = 14
_NAME_WIDTH: Final = 17
_LAYER_WIDTH: Final = 24
_HEAD: Final = ("Region", "function", "layer", "now", "then", "")


def moves_text(moves: Moves) -> str:
    """List what changes for each function, and what stays as it is."""
    rows = [_row(one, wish.layer) for one in moves.planned for wish in one.wishes]
    lines = columns([_HEAD, *rows], right="<<<>><") if rows else []
    lines += [] if rows else ["no function is to change"]
    lines += [wrapped(_fixed(user), _WIDTH) for user in moves.fixed]
    return "\n".join(lines)


def moves_document(moves: Moves) -> dict[str, Any]:
    """Give the same as JSON's values."""
    return {
        "functions": [_document(planned) for planned in moves.planned],
        "fixed": [user_document(user) for user in moves.fixed],
    }


def _fixed(user: User) -> str:
    aliases = ", ".join(user.function.aliases)
    by = f" (alias {aliases})" if aliases else ""
    return (
        f"  {user.function}{by} in {user.function.region} keeps {user.layer}: a "
        "published version can't be changed, publish a new one"
    )


def _document(planned: Attachment) -> dict[str, Any]:
    return {
        "function": planned.function.name,
        "region": planned.function.region,
        "before": [layer.arn for layer in planned.function.layers],
        "after": [layer.arn for layer in planned.after],
        "changes": planned.changes,
        "refusals": list(planned.refusals),
        "warnings": list(planned.warnings),
        "budget": budget_document(planned.budget) if planned.budget else None,
    }


def _row(planned: Attachment, layer: HeldLayer) -> tuple[str, ...]:
    held = planned.function.layers
    before = next((str(one.version) for one in held if one.layer == layer.layer), "")
    if planned.refusals:
        what = "refused"
    elif layer.arn in {one.arn for one in held}:
        what = "held"
    else:
        what = "ok"
    return (
        clipped(planned.function.region, _REGION_WIDTH),
        clipped(str(planned.function), _NAME_WIDTH),
        clipped(layer.name, _LAYER_WIDTH),
        before,
        str(layer.version),
        what,
    )
