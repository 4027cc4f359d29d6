"""layerforge verify --static: archives are read, and nothing of them is run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from layerforge.cli.console import Console, error_document
from layerforge.cli.findings import painted
from layerforge.errors import ConfigError, LayerforgeError, VerifyError
from layerforge.examination import (
    Examined,
    Question,
    ReadArchive,
    examine,
    is_package,
    read_package,
)
from layerforge.findings import Finding, Waiver
from layerforge.manifest import BuildReport, read_manifest
from layerforge.reports.columns import bytes_of, counted
from layerforge.reports.findings import findings_sum, findings_text
from layerforge.reports.paths import shown_path
from layerforge.spec import Project
from layerforge.target import Target, find_arch, find_runtime
from layerforge.verify.purpose import Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What is said of an archive: in words, as JSON's values, and as an error."""

    text: str
    document: dict[str, Any]
    error: LayerforgeError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The words of a command line that say what is asked of every zip."""

    runtime: str = ""
    arch: str = ""
    only: frozenset[str] = frozenset()
    most: int | None = None
    waiving: bool = True

    def question(self, archive: Path, project: Project) -> Question:
        """Put the question to a zip, with what its manifest and its layer say."""
        manifest = read_manifest(archive)
        layer = project.layer(manifest.part_of or manifest.layer) if manifest else None
        return Question(
            targets=targets_of(self.runtime, self.arch, manifest),
            runtime=find_runtime(self.runtime) if self.runtime else None,
            arch=find_arch(self.arch) if self.arch else None,
            only=self.only,
            most=self.most or (layer.max_unzipped if layer else None),
            waivers=waivers_for(manifest, project) if self.waiving else (),
            bases=bases_of(archive, manifest),
        )


def targets_of(
    runtime: str, arch: str, manifest: BuildReport | None
) -> tuple[Target, ...]:
    """Give the targets that were named, or that a manifest names; none otherwise."""
    runtimes = (runtime,) if runtime else manifest.runtimes if manifest else ()
    arch = arch or (manifest.architecture if manifest else "")
    if not runtimes or not arch:
        return ()
    return tuple(
        Target(runtime=find_runtime(name), arch=find_arch(arch)) for name in runtimes
    )


def waivers_for(manifest: BuildReport | None, project: Project) -> tuple[Waiver, ...]:
    """Give the waivers of a manifest's layer, or else those of ``[defaults]``."""
    layer = project.layer(manifest.part_of or manifest.layer) if manifest else None
    return layer.waivers if layer else project.waivers


def bases_of(archive: Path, manifest: BuildReport | None) -> tuple[Path, ...]:
    """Give the zips of the layers that one stands on, as far as they lie beside it."""
    named = manifest.provided_by if manifest else ()
    return tuple(filter(Path.is_file, map(archive.with_name, named)))


def error_of(findings: tuple[Finding, ...]) -> VerifyError | None:
    """Make an error of findings: the first one's words, if it is the only one."""
    wrong = [one for one in findings if one.is_error]
    if not wrong:
        return None
    if len(wrong) > 1:
        return VerifyError(f"{len(wrong)} errors were found")
    place = f"{wrong[0].path}: " if wrong[0].path else ""
    return VerifyError(f"{place}{wrong[0].message}", remedy=wrong[0].remedy)


def verify_statically(
    archives: tuple[Path, ...], asked: Asked, project: Project, console: Console
) -> None:
    """Read and check every archive; the first failure gives the exit status."""
    documents: list[dict[str, Any]] = []
    failures: list[LayerforgeError] = []
    for archive in archives:
        for told in _tell(archive, asked, project, console):
            document = {"path": shown_path(archive), **told.document}
            if told.error:
                failures.append(told.error)
                document["error"] = error_document(told.error)
            documents.append(document)
            if told.text and not console.json:
                console.result(painted(told.text, terminal=sys.stdout.isatty()), {})
    if console.json:
        console.result("", {"format": 1, "archives": documents})
    if failures:
        raise click.exceptions.Exit(failures[0].exit_code)


def _tell(
    archive: Path, asked: Asked, project: Project, console: Console
) -> Iterator[_Told]:
    try:
        if not archive.is_file():
            raise ConfigError(
                "there is no such file",
                remedy="Name a layer's zip, a wheel, an sdist or an npm tarball.",
            )
        if is_package(archive):
            yield _tell_package(archive, read_package(archive), console)
        else:
            for examined in examine(archive, asked.question(archive, project)):
                yield _tell_layer(archive, examined, console)
    except LayerforgeError as error:
        yield _Told(text="", document={}, error=error)
        message = error.message.removeprefix(f"{archive.name}: ")
        error.message = f"{shown_path(archive)}: {message}"
        console.error(error)


def _tell_package(archive: Path, read: ReadArchive, console: Console) -> _Told:
    files = counted(read.files, "file")
    size = f"{bytes_of(read.unzipped)} bytes unzipped"
    named = f" of {read.package}" if read.package else ""
    text = f"{shown_path(archive)}: a {read.kind}{named}, reads well: {files}, {size}"
    return _Told(text="" if console.quiet else text, document=asdict(read))


def _tell_layer(archive: Path, examined: Examined, console: Console) -> _Told:
    purpose, findings = examined.purpose, examined.findings
    named = f" for {purpose.target}" if purpose else ""
    size = f"{bytes_of(examined.unzipped)} bytes unzipped"
    lines = [f"{shown_path(archive)}{named}: {size}, {findings_sum(findings)}"]
    lines += [f"  {line}" for line in _assumptions(purpose)]
    text = findings_text(findings, indent="  ", verbose=console.verbose)
    lines += [text] if text else []
    document = {
        "kind": "layer",
        "target": str(purpose.target) if purpose else None,
        "assumed": list(purpose.assumed) if purpose else [],
        "zipped": examined.zipped,
        "unzipped": examined.unzipped,
        "findings": [asdict(finding) for finding in findings],
    }
    error = error_of(findings)
    silent = console.quiet and not any(one.severity != "note" for one in findings)
    whole = "" if silent else "\n".join(lines)
    return _Told(text=whole, document=document, error=error)


def _assumptions(purpose: Purpose | None) -> list[str]:
    if not purpose or not purpose.assumed:
        return []
    told = (
        f"nothing tells its {' or '.join(purpose.assumed)}: give --runtime and --arch"
    )
    return [told]
