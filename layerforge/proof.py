"""A build's last step, where it is asked for: the layer is run before it is kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

from layerforge.archive import write_archive
from layerforge.errors import VerifyError
from layerforge.events import Noted
from layerforge.findings import Finding, Severity
from layerforge.plan import Job
from layerforge.probe import ProbeReport, ProbeResult, probe_zip
from layerforge.tools import Tools
from layerforge.tree import Tree


def prove(tree: Tree, job: Job, tools: Tools) -> tuple[Finding, ...]:
    """Import all that is in a layer, and warn of what nobody may need.

    Raises `VerifyError` with every module that is broken, and what `probe_zip` does.
    """
    with tempfile.TemporaryDirectory(prefix="layerforge-") as folder:
        trial = write_archive(tree, Path(folder, job.output.name))
        report = probe_zip(
            trial.path,
            tree,
            job.target,
            tools,
            imports=job.spec.imports,
            shaken=job.spec.shake,
        )
    if report.failed:
        raise _broken(report, job)
    tools.listen(Noted(message=_told(report)))
    return tuple(_warning(row) for row in report.modules if not row.ok)


def _broken(report: ProbeReport, job: Job) -> VerifyError:
    lines = [f"{row.module}: {_why(row)}" for row in report.failed]
    remedies = dict.fromkeys(row.remedy for row in report.failed if row.remedy)
    return VerifyError(
        f"{job}: {len(report.failed)} of {len(report.modules)} modules can't be "
        "imported:\n  " + "\n  ".join(lines),
        remedy=" ".join(remedies),
    )


def _told(report: ProbeReport) -> str:
    peak = report.peak_memory / (1 << 20)
    return (
        f"imported {len(report.modules)} modules ({report.how}): "
        f"{report.import_milliseconds:,.0f} ms, at most {peak:.1f} MiB of memory"
    )


def _why(row: ProbeResult) -> str:
    return f"{row.error} (after {row.cause})" if row.cause else row.error


def _warning(row: ProbeResult) -> Finding:
    return Finding(
        check="import",
        severity=Severity.WARNING,
        message=f"{row.module} can't be imported: {_why(row)}",
        remedy=row.remedy,
    )
