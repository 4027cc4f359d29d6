"""layerforge build."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any, Final

import click

from layerforge.cli.console import Console, error_document
from layerforge.cli.findings import tell_findings
from layerforge.cli.options import (
    console_of,
    console_options,
    container_options,
    index_options,
    jobs_of,
    output_options,
    selection_options,
    store_options,
    tools_of,
)
from layerforge.errors import LayerforgeError
from layerforge.findings import idle
from layerforge.manifest import BuildReport, outputs, read_manifest, to_document
from layerforge.plan import Job
from layerforge.project import find_project
from layerforge.records import last_build
from layerforge.reports.paths import shown_path
from layerforge.reports.sizes import parts_table, size_table
from layerforge.tools import Tools

# What has a build be of some layers or targets, so that others may need a waiver.
_CHOOSING: Final = ("names", "requirements", "package_json", "runtime", "arch")


@click.command(
    "build", epilog="Try: layerforge build pandas --runtime python3.13 --arch arm64"
)
@selection_options
@output_options
@click.option("--force", is_flag=True, help="Build even where nothing has changed.")
@click.option("--probe", is_flag=True, help="Import everything in the runtime first.")
@index_options
@container_options
@store_options
@console_options
def command(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Build layers of layerforge.toml, recipes, requirements or a package.json.

    Prints the path of each zip. The manifest lies beside it, the lock beside
    layerforge.toml or FILE.
    """
    console = console_of(options)
    force, probe = options.pop("force"), options.pop("probe")
    project = find_project(Path.cwd())
    chosen = any(options[name] for name in _CHOOSING)
    jobs = jobs_of(options, project)
    documents: list[dict[str, Any]] = []
    reports: list[BuildReport] = []
    failures: list[LayerforgeError] = []
    with tools_of(options, console, project) as tools:
        for job in jobs:
            try:
                report = _build(job, tools, force=force, probe=probe)
            except LayerforgeError as error:
                failures.append(error)
                documents.append({"job": str(job), "error": error_document(error)})
                console.error(error)
            else:
                reports.append(report)
                if console.json:
                    paths = [str(path) for path in outputs(job.output, report)]
                    place = {"paths": paths} if report.parts else {"path": paths[0]}
                    documents.append({**place, **to_document(report)})
                _show(job, report, console)
    if console.json:
        console.result("", {"format": 1, "layers": documents})
    if failures:
        raise click.exceptions.Exit(failures[0].exit_code)
    if not chosen:
        waivers = chain.from_iterable(job.spec.waivers for job in jobs)
        found = chain.from_iterable(report.findings for report in reports)
        tell_findings(tuple(idle(tuple(found), waivers)), console)


def _build(job: Job, tools: Tools, *, force: bool, probe: bool) -> BuildReport:
    report = None if force or probe else last_build(job, tools.store)
    if report:
        return report
    # Imported where there is something to do: it takes longer than to see that.
    from layerforge.pipeline import build_layer  # noqa: PLC0415

    return build_layer(job, tools, probe=probe)


def _show(job: Job, report: BuildReport, console: Console) -> None:
    tell_findings(report.findings, console)
    if report.unchanged:
        console.say(f"{report.layer} for {report.target}: unchanged")
    else:
        console.say(size_table(report))
    paths = outputs(job.output, report)
    if report.parts and not report.unchanged:
        parts = [part for part in map(read_manifest, paths) if part]
        console.say(parts_table(parts))
    if not console.json:
        console.result("\n".join(map(shown_path, paths)), {})
