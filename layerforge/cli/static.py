"""layerforge verify --static: archives are read, and nothing of them is run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
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
from layerforge.findings import Finding, Severity, Waiver
from layerforge.manifest import BuildReport, outputs, read_manifest
from layerforge.project import find_project
from layerforge.reports.columns import bytes_of, counted
from layerforge.reports.findings import findings_sum, findings_text
from layerforge.reports.paths import shown_path
from layerforge.spec import Project
from layerforge.target import Arch, Runtime, find_arch, find_runtime
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

    runtimes: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    only: frozenset[str] = frozenset()
    most: int | None = None
    waiving: bool = True

    @property
    def needs_project(self) -> bool:
        """Say whether layerforge.toml has a part in the answer."""
        return self.waiving or self.most is None

    def question(
        self, archive: Path, project: Project, warn: Callable[[str], None]
    ) -> Question:
        """Put the question to a zip, with what its manifest and its layer say."""
        manifest = read_manifest(archive)
        layer = project.layer(manifest.part_of or manifest.layer) if manifest else None
        runtimes, architectures = named(self.runtimes, self.architectures, manifest)
        question = Question(
            runtimes=runtimes,
            architectures=architectures,
            only=self.only,
            most=self.most or (layer.max_unzipped if layer else None),
            waivers=waivers_for(manifest, project) if self.waiving else (),
        )
        if question.is_of_the_directory:
            return question
        return replace(question, bases=bases_of(archive, manifest, warn))


def named(
    runtimes: Sequence[str],
    architectures: Sequence[str],
    manifest: BuildReport | None,
) -> tuple[tuple[Runtime, ...], tuple[Arch, ...]]:
    """Give what a command line says that a zip is for, or else what a manifest says."""
    if manifest:
        runtimes = runtimes or manifest.runtimes
        architectures = architectures or (manifest.architecture,)
    return tuple(map(find_runtime, runtimes)), tuple(map(find_arch, architectures))


def waivers_for(manifest: BuildReport | None, project: Project) -> tuple[Waiver, ...]:
    """Give the waivers of a manifest's layer, or else those of ``[defaults]``."""
    layer = project.layer(manifest.part_of or manifest.layer) if manifest else None
    return layer.waivers if layer else project.waivers


def bases_of(
    archive: Path, manifest: BuildReport | None, warn: Callable[[str], None]
) -> tuple[Path, ...]:
    """Give the zips beside one of the layers that it stands on; warn of those missing.

    What such a layer has is then told as missing, and its imports fail.
    """
    found: list[Path] = []
    for base in map(archive.with_name, manifest.provided_by if manifest else ()):
        report = read_manifest(base)
        found += outputs(base, report) if report else (base,)
    missing = {path.name for path in found if not path.is_file()}
    for name in sorted(missing):
        warn(f"{shown_path(archive)} stands on {name}, which is not beside it")
    return tuple(path for path in found if path.name not in missing)


def error_of(findings: tuple[Finding, ...]) -> VerifyError | None:
    """Make an error of findings: the first one's words, if it is the only one."""
    wrong = [one for one in findings if one.is_error]
    if not wrong:
        return None
    if len(wrong) > 1:
        return VerifyError(f"{len(wrong)} errors were found")
    place = f"{wrong[0].path}: " if wrong[0].path else ""
    return VerifyError(f"{place}{wrong[0].message}", remedy=wrong[0].remedy)


def status_of(failures: Iterable[LayerforgeError]) -> int:
    """Give the lowest exit status that applies, whatever the order of archives."""
    return min((error.exit_code for error in failures), default=0)


def verify_statically(
    archives: tuple[Path, ...], asked: Asked, console: Console
) -> None:
    """Read and check every archive; the lowest exit status that applies is given."""
    _refuse_idle(archives, asked)
    layers = [archive for archive in archives if not is_package(archive)]
    project = Project(folder=Path.cwd())
    if layers and asked.needs_project:
        project = _project(console)
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
        raise click.exceptions.Exit(status_of(failures))


def _refuse_idle(archives: Sequence[Path], asked: Asked) -> None:
    """Raise `ConfigError` for options that would say nothing."""
    if asked.most is not None and asked.only and "size" not in asked.only:
        raise ConfigError(
            "--max-unzipped is for the check size, which --only leaves out",
            remedy="Add --only size, or leave --max-unzipped out.",
        )
    options = {
        "--runtime": asked.runtimes,
        "--arch": asked.architectures,
        "--only": asked.only,
        "--max-unzipped": asked.most is not None,
    }
    given = [option for option, value in options.items() if value]
    for archive in filter(is_package, archives if given else ()):
        raise ConfigError(
            f"{given[0]} is for layers' zips, and {shown_path(archive)} is a package's "
            "archive",
            remedy="Read packages in a command of their own, without it.",
        )


def _project(console: Console) -> Project:
    """Read layerforge.toml; zips can be checked without what it says."""
    try:
        return find_project(Path.cwd())
    except ConfigError as error:
        console.warn(
            f"waivers and limits of layerforge.toml are not known: {error.message}"
        )
        return Project(folder=Path.cwd())


def _tell(
    archive: Path, asked: Asked, project: Project, console: Console
) -> Iterator[_Told]:
    try:
        if not archive.is_file():
            raise ConfigError(
                "it is a folder" if archive.is_dir() else "there is no such file",
                remedy="Name a layer's zip, a wheel, an sdist or an npm tarball.",
            )
        if is_package(archive):
            yield _tell_package(archive, read_package(archive), console)
        else:
            question = asked.question(archive, project, console.warn)
            for examined in examine(archive, question):
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
    serious = [
        one for one in findings if not one.waived and one.severity is not Severity.NOTE
    ]
    shown = serious if console.quiet else findings
    text = findings_text(shown, indent="  ", verbose=console.verbose)
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
    whole = "" if console.quiet and not serious else "\n".join(lines)
    return _Told(text=whole, document=document, error=error)


def _assumptions(purpose: Purpose | None) -> list[str]:
    if not purpose or not purpose.assumed:
        return []
    told = (
        f"nothing tells its {' or '.join(purpose.assumed)}: give --runtime and --arch"
    )
    return [told]
