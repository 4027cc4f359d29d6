"""What a layer weighs, package by package, in at most 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from layerforge.limits import UNZIPPED_LIMIT
from layerforge.manifest import BuildReport
from layerforge.reports.columns import bytes_of, clipped, columns, counted, mebibytes
from layerforge.reports.paths import shown_place

_NAME_WIDTH = 34
_VERSION_WIDTH = 16
_WIDTH = 80
_SHOWN = 40  # packages; inspect and the manifest have them all


def size_table(report: BuildReport) -> str:
    """List the largest packages, what was left out, and the sums."""
    rows = [("package", "version", "bytes", "share")]
    packages = sorted(report.packages, key=lambda row: (-row.size, row.name))
    own = report.unzipped - sum(package.size for package in packages)
    weights = [
        (
            shown_place(package.name, package.location, _NAME_WIDTH),
            package.version,
            package.size,
        )
        for package in packages[:_SHOWN]
    ]
    if more := packages[_SHOWN:]:
        rest = sum(package.size for package in more)
        weights.append((f"{len(more)} more", "", rest))
    if own:
        weights.append(("files of your own", "", own))
    for name, version, size in weights:
        share = f"{size / max(report.unzipped, 1):.1%}"
        rows.append(
            (
                name,
                clipped(version, _VERSION_WIDTH),
                bytes_of(size),
                share,
            )
        )
    lines = [f"{report.layer} for {report.target}"]
    lines += [f"  {line}" for line in columns(rows, right="<<>>")]
    lines += _left_out(report)
    lines += _bytecode(report)
    of_limit = f"{report.unzipped / UNZIPPED_LIMIT:.1%} of Lambda's limit"
    lines.append(
        f"  unzipped {bytes_of(report.unzipped)} bytes "
        f"({mebibytes(report.unzipped)}), {of_limit}"
    )
    within = f" in {len(report.parts)} zips" if report.parts else ""
    lines.append(
        f"  zipped   {bytes_of(report.zipped)} bytes ({mebibytes(report.zipped)})"
        f"{within}, {counted(report.files, 'file')}"
    )
    return "\n".join(lines)


def parts_table(parts: Sequence[BuildReport]) -> str:
    """Say what is in each zip of a layer that was divided."""
    rows = [("part", "zipped", "unzipped", "")]
    for part in parts:
        ordered = sorted(part.packages, key=lambda row: (-row.size, row.name))
        names = ", ".join(package.name for package in ordered) or "files of your own"
        rows.append((part.layer, bytes_of(part.zipped), bytes_of(part.unzipped), names))
    room = _WIDTH - len(columns([row[:3] for row in rows])[0]) - 4
    fitted = [(*row[:3], clipped(row[3], room)) for row in rows]
    return "\n".join(f"  {line}" for line in columns(fitted, right="<>>"))


def _bytecode(report: BuildReport) -> list[str]:
    if report.bytecode:
        return [f"  bytecode {bytes_of(report.bytecode)} bytes, among those above"]
    if not report.bytecode_estimate:
        return []
    estimate = bytes_of(report.bytecode_estimate)
    return [f"  bytecode none; it would add about {estimate} bytes (bytecode = true)"]


def _left_out(report: BuildReport) -> list[str]:
    rows = [
        (removal.rule, counted(removal.files, "file"), bytes_of(removal.size))
        for removal in sorted(report.removals, key=lambda row: (-row.size, row.rule))
    ]
    if report.trimmed:
        rows.append(("tails of libraries", "", bytes_of(report.trimmed)))
    if not rows:
        return []
    return ["  left out", *(f"    {line}" for line in columns(rows, right="<>>"))]
