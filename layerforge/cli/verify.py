"""layerforge verify."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from layerforge.cli.console import Console, error_document
from layerforge.cli.options import (
    console_of,
    console_options,
    container_options,
    store_of,
    store_options,
)
from layerforge.containers.service import Containers
from layerforge.ecosystems import Tools, ecosystem_of
from layerforge.errors import ArchiveError, ConfigError, LayerforgeError, VerifyError
from layerforge.manifest import BuildReport, read_manifest
from layerforge.probe import ProbeReport, probe_zip
from layerforge.project import find_project
from layerforge.reports.columns import counted
from layerforge.reports.paths import shown_path
from layerforge.reports.probes import probe_document, probe_text
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import Tree
from layerforge.verify import Finding, Severity, verify, verify_size, verify_zip
from layerforge.zips import index_zip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verified:
    """What was found of one zip, by reading it and by running it."""

    target: Target
    findings: tuple[Finding, ...]
    probe: ProbeReport

    @property
    def error(self) -> VerifyError | None:
        wrong = [one for one in self.findings if one.severity is Severity.ERROR]
        failed = self.probe.failed
        if failed:
            count = counted(len(self.probe.modules), "module")
            return VerifyError(f"{len(failed)} of {count} can't be imported")
        return VerifyError(wrong[0].message, remedy=wrong[0].remedy) if wrong else None


@click.command("verify", epilog="Try: layerforge verify dist/web-python3.13-arm64.zip")
@click.argument(
    "archives",
    metavar="ZIP...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@click.option("--runtime", default="", help="The runtime, where no manifest tells.")
@click.option("--arch", default="", help="The architecture, where no manifest tells.")
@click.option("--local", is_flag=True, help="Import on this machine.")
@click.option("--import", "imports", multiple=True, help="A further module to import.")
@container_options
@store_options
@console_options
def command(archives: tuple[Path, ...], **options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Prove a layer before it is uploaded: import all that is in it.

    Its files are checked first. Then every module is imported in the runtime itself,
    in a container. Where none can be had, or with --local, that is done on this
    machine, which proves less.
    """
    console = console_of(options)
    image = options.pop("image")
    settings = find_project(Path.cwd()).containers
    settings = replace(settings, image=image) if image else settings
    documents: list[dict[str, Any]] = []
    failures: list[LayerforgeError] = []
    store = store_of(options)
    with console.listening() as listen, Containers(settings, listen) as containers:
        tools = Tools(store=store, containers=containers, listen=listen)
        for archive in archives:
            for document, failure in _each(archive, options, tools, console):
                documents.append(document)
                failures += [failure] if failure else []
    if console.json:
        console.result("", {"format": 1, "layers": documents})
    if failures:
        raise click.exceptions.Exit(failures[0].exit_code)


def _each(
    archive: Path,
    options: dict[str, Any],
    tools: Tools,
    console: Console,
) -> Iterator[tuple[dict[str, Any], LayerforgeError | None]]:
    """Verify one zip for each of its targets: show and give what was found."""
    manifest = read_manifest(archive)
    try:
        targets = _targets(archive, options["runtime"], options["arch"], manifest)
    except LayerforgeError as error:
        yield _refused(archive, {}, error, console), error
        return
    for target in targets:
        try:
            verified = _verified(archive, target, manifest, options, tools)
        except LayerforgeError as error:
            yield _refused(archive, {}, error, console), error
            continue
        _show(archive, verified, console)
        document, wrong = _document(verified), verified.error
        if wrong:
            yield _refused(archive, document, wrong, console), wrong
        else:
            yield {"path": shown_path(archive), **document}, None


def _refused(
    archive: Path, document: dict[str, Any], error: LayerforgeError, console: Console
) -> dict[str, Any]:
    told = {"path": shown_path(archive), **document, "error": error_document(error)}
    error.message = f"{shown_path(archive)}: {error.message}"
    console.error(error)
    return told


def _verified(
    archive: Path,
    target: Target,
    manifest: BuildReport | None,
    options: dict[str, Any],
    tools: Tools,
) -> _Verified:
    try:
        entries = index_zip(archive, links=True)
    except ArchiveError as error:
        remedy = "Build it anew: Lambda, or what reads it there, may refuse it as well."
        raise ArchiveError(error.message, remedy=remedy) from error
    tree = Tree(tuple(sorted(entries, key=lambda entry: entry.path)))
    findings = (
        *verify_size(tree.size, None),
        *verify(tree, target),
        *ecosystem_of(target).verify(tree, target),
        *verify_zip(archive.stat().st_size),
    )
    probe = probe_zip(
        archive,
        tree,
        target,
        tools,
        imports=(*(manifest.imports if manifest else ()), *options["imports"]),
        local=options["local"],
        shaken=manifest is not None and manifest.shaken,
    )
    return _Verified(target=target, findings=findings, probe=probe)


def _targets(
    archive: Path, runtime: str, arch: str, manifest: BuildReport | None
) -> tuple[Target, ...]:
    if not archive.is_file():
        raise ConfigError(
            "there is no such file",
            remedy="Name a zip; layerforge build prints the paths of those it makes.",
        )
    runtimes = (runtime,) if runtime else manifest.runtimes if manifest else ()
    arch = arch or (manifest.architecture if manifest else "")
    if not runtimes or not arch:
        raise ConfigError(
            "no manifest lies beside it that tells what it is for",
            remedy="Say it: --runtime python3.13 --arch arm64",
        )
    return tuple(
        Target(runtime=find_runtime(name), arch=find_arch(arch)) for name in runtimes
    )


def _document(verified: _Verified) -> dict[str, Any]:
    return {
        "target": str(verified.target),
        "findings": [asdict(finding) for finding in verified.findings],
        "probe": probe_document(verified.probe),
    }


def _show(archive: Path, verified: _Verified, console: Console) -> None:
    for finding in verified.findings:
        place = f"{finding.path}: " if finding.path else ""
        remedy = f"\n  {finding.remedy}" if finding.remedy else ""
        show = console.say if finding.severity is Severity.NOTE else console.warn
        show(f"{place}{finding.message}{remedy}")
    if not console.json:
        title = f"{shown_path(archive)} for {verified.target}"
        console.result(f"{title}\n{probe_text(verified.probe)}", {})
