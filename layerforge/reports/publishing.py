"""What was published where, and what is there, as tables of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from layerforge.aws.everywhere import Comparison, Outcome
from layerforge.aws.listing import ListedVersion
from layerforge.aws.releases import Release
from layerforge.aws.versions import PublishedVersion
from layerforge.reports.columns import bytes_of, clipped, columns

_NAME_WIDTH = 34
_ACCOUNT_WIDTH = 12
_WIDTH = 80
_NARROWEST = 10
_DATE = 10  # characters of an ISO 8601 time


def outcomes_text(outcomes: Sequence[Outcome]) -> str:
    """List releases with what became of them; errors are told apart from it."""
    head = ("layer", "account", "Region", "version", "")
    rows = [
        (
            *_place(one.release),
            str(one.version.version) if one.version else "",
            _became(one),
        )
        for one in outcomes
    ]
    return _table(head, rows, "<<<><")


def _became(one: Outcome) -> str:
    if one.error:
        return "published, and then failed" if one.version else "failed"
    return "published" if one.version and one.version.created_now else "unchanged"


def comparisons_text(comparisons: Sequence[Comparison], *, force: bool = False) -> str:
    """List releases with what publishing them would do."""
    head = ("layer", "account", "Region", "newest", "")
    rows = [
        (
            *_place(one.release),
            str(one.standing.newest.version)
            if one.standing and one.standing.newest
            else "none",
            would(one, force=force),
        )
        for one in comparisons
    ]
    return _table(head, rows, "<<<><")


def would(one: Comparison, *, force: bool = False) -> str:
    """Say what publishing would do, perhaps by ``force``."""
    if one.standing is None:
        return "failed"
    if force or not one.standing.is_there:
        return "would be published"
    return "other details" if one.standing.differences else "unchanged"


def versions_text(found: Iterable[ListedVersion]) -> str:
    """List versions with their dates, sizes, and who may use them."""
    head = ("layer", "version", "Region", "created", "bytes", "granted to")
    rows = [
        (
            clipped(one.version.layer, _NAME_WIDTH),
            str(one.version.version),
            one.version.region,
            one.version.created[:_DATE],
            bytes_of(one.version.zipped),
            ", ".join(one.grants) or "private",
        )
        for one in found
    ]
    return _table(head, rows, "<><<><") if rows else "no versions"


def release_document(release: Release) -> dict[str, Any]:
    """Give what should be where as JSON's values."""
    return {
        "layer": release.layer,
        "name": release.name,
        "account": release.account,
        "region": release.region,
        "zip": str(release.zip),
        "zipped": release.zipped,
        "code_sha256": release.code_sha256,
        "runtimes": list(release.runtimes),
        "architectures": list(release.architectures),
        "description": release.description,
        "licence": release.licence,
        "grants": [str(grant) for grant in release.grants],
    }


def version_document(version: PublishedVersion) -> dict[str, Any]:
    """Give what is there as JSON's values."""
    return {
        "arn": version.arn,
        "layer": version.layer,
        "region": version.region,
        "version": version.version,
        "created": version.created,
        "description": version.description,
        "licence": version.licence,
        "runtimes": list(version.runtimes),
        "architectures": list(version.architectures),
        "code_sha256": version.code_sha256,
        "zipped": version.zipped,
    }


def _place(release: Release) -> tuple[str, str, str]:
    name = clipped(release.name, _NAME_WIDTH)
    return name, clipped(release.account, _ACCOUNT_WIDTH), release.region


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], right: str) -> str:
    """Lay out rows, without the columns in which none has anything."""
    used = [index for index in range(len(head)) if any(row[index] for row in rows)]
    signs = "".join(right[index] for index in used)
    kept = [tuple(row[index] for index in used) for row in (head, *rows)]
    # What is too wide is taken from names first, then from what stands last.
    for index in (0, -1):
        excess = max(map(len, columns(kept, right=signs))) - _WIDTH
        if excess > 0:
            widest = max(len(row[index]) for row in kept)
            width = max(widest - excess, _NARROWEST)
            kept = [_with(row, index, clipped(row[index], width)) for row in kept]
    return "\n".join(columns(kept, right=signs))


def _with(row: tuple[str, ...], index: int, cell: str) -> tuple[str, ...]:
    cells = list(row)
    cells[index] = cell
    return tuple(cells)
