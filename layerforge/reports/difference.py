"""What changes from one layer to another: for a terminal, for a pull request, as JSON.

"Before" is the layer that was named first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeAlias

from layerforge.difference import (
    Difference,
    FileChange,
    Layer,
    LibraryChange,
    PackageChange,
)
from layerforge.limits import UNZIPPED_LIMIT
from layerforge.reports.columns import bytes_of, clipped, columns, counted, signed
from layerforge.reports.markdown import code, table
from layerforge.reports.paths import shown_place

_NAME_WIDTH: Final = 32
_VERSION_WIDTH: Final = 14
_PATH_WIDTH: Final = 60
_LIBRARY_WIDTH: Final = 20
_NEEDING_WIDTH: Final = 24  # of a file that needs a library
_SHOWN: Final = 10  # files on a terminal
_LISTED: Final = 100  # files in Markdown: a comment on GitHub has 65,536 characters
_NOTHING: Final = "-"

_Row: TypeAlias = tuple[str, ...]


def difference_text(difference: Difference) -> str:
    """Say what changes, in at most 80 columns but for the names of the layers."""
    lines = [
        f"before  {difference.before.place}",
        f"after   {difference.after.place}",
        "",
    ]
    verdict = _verdict(difference)
    if verdict:
        lines.append(f"  {verdict}")
    if difference.same_bytes:
        return "\n".join(lines)
    lines += _indented(columns(_sums(difference), right="<>>>"))
    if difference.packages:
        rows = _package_rows(difference, _NAME_WIDTH)
        lines += ["", *_indented(columns(rows, right="<<<>"))]
    if difference.files:
        rows = _file_rows(difference, _SHOWN, lambda path: clipped(path, _PATH_WIDTH))
        lines += ["", f"  {_counts(difference.files)}"]
        lines += _indented(columns(rows, right=">"))
        lines += _indented(_rest(difference, _SHOWN))
    rows = _runtime_rows(difference, lambda path: clipped(path, _NEEDING_WIDTH))
    if rows:
        lines += ["", "  what the runtime must have", *_indented(columns(rows))]
    return "\n".join(lines)


def difference_markdown(difference: Difference) -> str:
    """Say what changes in GitHub's Markdown, for a comment on a pull request."""
    lines = [
        f"### {code(difference.before.place)} → {code(difference.after.place)}",
        "",
    ]
    verdict = _verdict(difference)
    if verdict:
        lines += [f"{verdict[:1].upper()}{verdict[1:]}.", ""]
    if difference.same_bytes:
        return "\n".join(lines[:-1])
    lines += table(_sums(difference), right="<>>>")
    if difference.packages:
        head, *rows = _package_rows(difference)
        rows = [(code(name), *others) for name, *others in rows]
        lines += ["", *table([head, *rows], right="<<<>")]
    rows = _runtime_rows(difference, code)
    if rows:
        lines += ["", *table([("the runtime must have", "", "for"), *rows])]
    if difference.files:
        rows = _file_rows(difference, _LISTED, code)
        summary = _counts(difference.files)
        lines += ["", f"<details><summary>{summary}</summary>", ""]
        lines += table([("bytes", "file"), *rows], right=">")
        lines += ["", *_rest(difference, _LISTED), "</details>"]
    return "\n".join(lines)


def difference_document(difference: Difference) -> dict[str, Any]:
    """Give the same as JSON's values, with every file."""
    return {
        "same_bytes": difference.same_bytes,
        "same_contents": difference.same_contents,
        "before": _layer_document(difference.before),
        "after": _layer_document(difference.after),
        "packages": [asdict(change) for change in difference.packages],
        "files": [asdict(change) for change in difference.files],
        "libraries": [asdict(change) for change in difference.libraries],
        "symbols": [asdict(change) for change in difference.symbols],
    }


def _layer_document(layer: Layer) -> dict[str, Any]:
    return {
        "place": layer.place,
        "code_sha256": layer.code_sha256,
        "zipped": layer.zipped,
        "unzipped": layer.unzipped,
        "files": len(layer.entries),
    }


def _verdict(difference: Difference) -> str:
    if difference.same_bytes:
        return f"the same zip, byte for byte: {difference.after.code_sha256}"
    if difference.same_contents:
        return "the same files, zipped otherwise"
    over = difference.after.unzipped - UNZIPPED_LIMIT + 1
    if over > 0:
        return f"after has {bytes_of(over)} bytes too many for Lambda"
    return ""


def _sums(difference: Difference) -> list[_Row]:
    before, after = difference.before, difference.after
    pairs = [
        ("unzipped", before.unzipped, after.unzipped),
        ("zipped", before.zipped, after.zipped),
        ("files", len(before.entries), len(after.entries)),
    ]
    rows = [
        (name, f"{one:,}", f"{other:,}", signed(other - one))
        for name, one, other in pairs
    ]
    return [("", "before", "after", "change"), *rows]


def _package_rows(difference: Difference, width: int = 0) -> list[_Row]:
    head = ("package", "before", "after", "bytes")
    return [head, *(_package_row(change, width) for change in difference.packages)]


def _package_row(change: PackageChange, width: int) -> _Row:
    versions = (
        _NOTHING if version is None else clipped(version or "?", _VERSION_WIDTH)
        for version in (change.before, change.after)
    )
    name = shown_place(change.name, change.location, width)
    return name, *versions, signed(change.growth)


def _file_rows(
    difference: Difference, most: int, shown: Callable[[str], str]
) -> list[_Row]:
    """Give the files that matter most: by how much larger or smaller they are."""
    ordered = sorted(
        difference.files, key=lambda change: (-abs(change.growth), change.path)
    )
    return [(signed(change.growth), shown(change.path)) for change in ordered[:most]]


def _runtime_rows(difference: Difference, shown: Callable[[str], str]) -> list[_Row]:
    symbols = [
        (each.family, f"{each.before or _NOTHING} → {each.after or _NOTHING}", "")
        for each in difference.symbols
    ]
    libraries = (_library_row(library, shown) for library in difference.libraries)
    return [*symbols, *libraries]


def _library_row(library: LibraryChange, shown: Callable[[str], str]) -> _Row:
    first, *others = library.needed_by
    more = f" and {counted(len(others), 'other')}" if others else ""
    since = "new" if library.needed else "no longer"
    return clipped(library.name, _LIBRARY_WIDTH), since, f"{shown(first)}{more}"


def _counts(files: Sequence[FileChange]) -> str:
    added = sum(change.before is None for change in files)
    removed = sum(change.after is None for change in files)
    changed = len(files) - added - removed
    return f"files: {added:,} added, {removed:,} removed, {changed:,} changed"


def _rest(difference: Difference, shown: int) -> list[str]:
    more = len(difference.files) - shown
    return [f"and {more:,} more"] if more > 0 else []


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
