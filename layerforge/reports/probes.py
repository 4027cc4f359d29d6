"""What importing a layer's modules gave, in at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any, Final

from layerforge.imports import How
from layerforge.probe import ProbeReport, ProbeResult
from layerforge.reports.columns import clipped, columns, counted
from layerforge.reports.prose import wrapped

_WIDTH: Final = 80
_MODULE_WIDTH: Final = 34
_PACKAGE_WIDTH: Final = 20
_MOST: Final = 40  # rows of modules that could be imported, the slowest
_REASON: Final = 4  # columns that a reason is set in
_LONGEST: Final = 240  # characters of a reason; JSON has all

_PLACES: Final = {
    How.RUNTIME: "in the runtime, under Lambda's runtime interface",
    How.IMAGE: "in its image, without Lambda's runtime interface: this proves less",
    How.INTERPRETER: "on this machine, whose own libraries help: this proves less",
}


def probe_text(report: ProbeReport) -> str:
    """List modules with what they took: what failed first, then the slowest."""
    failed = sorted(
        (row for row in report.modules if not row.ok),
        key=lambda row: (row.optional, _why(row)),
    )
    fine = _slowest(report.modules)
    rows = [_HEAD, *map(_row, failed), *map(_row, fine)]
    table = [f"  {line}" for line in columns(rows, right="<<<>>")]
    lines = [wrapped(f"  imported {_PLACES[report.how]}", _WIDTH), table[0]]
    below = iter(table[1:])
    for _, group in groupby(failed, _why):  # one reason for all that share it
        alike = list(group)
        lines += [next(below) for _ in alike]
        lines += _reasons(alike)
    return "\n".join([*lines, *below, *_more(report.modules), *_sums(report)])


def probe_document(report: ProbeReport) -> dict[str, Any]:
    """Give the same as JSON's values: sizes in bytes, times in milliseconds."""
    return {
        "how": report.how.value,
        "init_milliseconds": report.init_milliseconds,
        "import_milliseconds": round(report.import_milliseconds, 3),
        "peak_memory": report.peak_memory,
        "modules": [asdict(row) for row in report.modules],
    }


_HEAD: Final = ("module", "package", "result", "ms", "MiB")


def _row(row: ProbeResult) -> tuple[str, ...]:
    result = "ok" if row.ok else "optional" if row.optional else "FAILED"
    return (
        clipped(row.module, _MODULE_WIDTH),
        clipped(row.distribution, _PACKAGE_WIDTH),
        result,
        f"{row.milliseconds:,.0f}",
        f"{row.memory / (1 << 20):.1f}",
    )


def _slowest(rows: Iterable[ProbeResult]) -> list[ProbeResult]:
    fine = [row for row in rows if row.ok]
    if len(fine) <= _MOST:
        return fine
    return sorted(fine, key=lambda row: -row.milliseconds)[:_MOST]


def _more(rows: Iterable[ProbeResult]) -> list[str]:
    more = sum(row.ok for row in rows) - _MOST
    return [f"  and {more} more, all ok"] if more > 0 else []


def _why(row: ProbeResult) -> tuple[str, str, str]:
    return row.error, row.cause, row.remedy


def _reasons(alike: Sequence[ProbeResult]) -> list[str]:
    """Say why modules failed, and what helps, below their rows."""
    error, cause, remedy = _why(alike[0])
    texts = [row.module for row in alike if len(row.module) > _MODULE_WIDTH]
    texts.append(clipped(" ".join(error.split()), _LONGEST))
    texts += [f"after {clipped(' '.join(cause.split()), _LONGEST)}"] if cause else []
    texts += [f"try: {remedy}"] if remedy else []
    return [wrapped(" " * _REASON + text, _WIDTH) for text in texts]


def _sums(report: ProbeReport) -> Sequence[str]:
    modules = counted(len(report.modules), "module")
    total, init = report.import_milliseconds, report.init_milliseconds
    peak = report.peak_memory / (1 << 20)
    return (
        f"  {modules} in {total:,.0f} ms; the runtime by itself took {init:,.0f} ms",
        f"  at most {peak:.1f} MiB of memory",
    )
