"""Who uses a layer, and what stays or goes because of it, in at most 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from layerforge.aws.prune import Pruning
from layerforge.aws.usage import Usage, User
from layerforge.aws.versions import PublishedVersion
from layerforge.reports.columns import clipped, columns, counted
from layerforge.reports.prose import wrapped

_WIDTH: Final = 80
_REGION_WIDTH: Final = 14
_NAME_WIDTH: Final = 22
_ALIAS_WIDTH: Final = 12
_LAYER_WIDTH: Final = 24
_DATE: Final = 10  # characters of an ISO 8601 time
_HEAD: Final = ("Region", "function", "aliases", "layer")
_HEAD_OF_VERSIONS: Final = ("Region", "layer", "version", "created", "")
_PLACES: Final = 3  # users named for a version; JSON has all


def usage_text(usage: Usage, word: str) -> str:
    """List the functions that hold any of a layer's versions."""
    looked = f"{counted(usage.functions, 'version')} of functions looked through"
    if not usage.users:
        return f"no function holds {word}; {looked}"
    rows = [_HEAD, *map(_row, usage.users)]
    return "\n".join([*columns(rows), looked])


def usage_document(usage: Usage) -> dict[str, Any]:
    """Give the same as JSON's values."""
    return {
        "functions": usage.functions,
        "users": [user_document(user) for user in usage.users],
    }


def user_document(user: User) -> dict[str, Any]:
    """Give a function's version that holds a layer as JSON's values."""
    function = user.function
    return {
        "region": function.region,
        "function": function.name,
        "version": function.version,
        "aliases": list(function.aliases),
        "runtime": function.runtime,
        "architecture": function.architecture,
        "layer": user.layer.arn,
    }


def pruning_text(pruning: Pruning) -> str:
    """List what is to be deleted, and what stays because it is in use."""
    rows = [_version_row(version, "delete") for version in pruning.delete]
    rows += [_version_row(version, "in use") for version in pruning.in_use]
    if not rows:
        return "nothing is old enough to go"
    lines = columns([_HEAD_OF_VERSIONS, *rows], right="<<><<")
    lines += [
        wrapped(
            f"  {version.layer}:{version.version} in {version.region} is held by "
            f"{_places(users)}",
            _WIDTH,
        )
        for version, users in pruning.in_use.items()
    ]
    return "\n".join(lines)


def pruning_document(pruning: Pruning) -> dict[str, Any]:
    """Give the same as JSON's values."""
    return {
        "delete": [version.arn for version in pruning.delete],
        "in_use": [
            {"arn": version.arn, "users": [user_document(user) for user in users]}
            for version, users in pruning.in_use.items()
        ],
    }


def _row(user: User) -> tuple[str, ...]:
    function = user.function
    return (
        clipped(function.region, _REGION_WIDTH),
        clipped(str(function), _NAME_WIDTH),
        clipped(", ".join(function.aliases), _ALIAS_WIDTH),
        _clipped_layer(str(user.layer)),
    )


def _version_row(version: PublishedVersion, what: str) -> tuple[str, ...]:
    return (
        clipped(version.region, _REGION_WIDTH),
        clipped(version.layer, _LAYER_WIDTH),
        str(version.version),
        version.created[:_DATE],
        what,
    )


def _places(users: Sequence[User]) -> str:
    names = [
        f"{user.function} ({', '.join(user.function.aliases)})"
        if user.function.aliases
        else str(user.function)
        for user in users
    ]
    more = len(names) - _PLACES
    shown = ", ".join(names[:_PLACES])
    return f"{shown} and {more} more" if more > 0 else shown


def _clipped_layer(layer: str) -> str:
    # The version at its end is what matters most.
    return layer if len(layer) <= _LAYER_WIDTH else f"…{layer[1 - _LAYER_WIDTH :]}"
