"""layerforge verify."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerforge.archive import write_archive
from layerforge.audit import above
from layerforge.cli.console import Console, error_document
from layerforge.cli.findings import find_check, tell_findings
from layerforge.cli.options import (
    console_of,
    console_options,
    container_options,
    store_of,
    store_options,
)
from layerforge.cli.static import (
    Asked,
    error_of,
    named,
    status_of,
    verify_statically,
)
from layerforge.containers.service import Containers
from layerforge.errors import ConfigError, LayerforgeError, VerifyError
from layerforge.examination import Question, examine_tree, read_bases, read_layer
from layerforge.fields import Wrong, a_size
from layerforge.findings import Finding
from layerforge.manifest import BuildReport, read_manifest
from layerforge.project import find_project
from layerforge.reports.columns import counted
from layerforge.reports.paths import shown_path
from layerforge.spec import Project
from layerforge.target import Target
from layerforge.tools import Tools
from layerforge.tree import FileEntry

if TYPE_CHECKING:
    from layerforge.probe import ProbeReport


class _Size(click.ParamType[int]):
    """Bytes, as layerforge.toml has them: a number, "200 MB", "190 MiB"."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        given = str(value)
        try:
            return a_size(int(given) if given.isdecimal() else given)
        except Wrong as wrong:
            self.fail(f"{value!r} is not {wrong.expected}", param, ctx)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """A zip, what its build told of it, what is asked, and the files that lie below."""

    archive: Path
    manifest: BuildReport | None
    question: Question
    bases: tuple[FileEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verified:
    """What was found of one zip, by reading it and by running it."""

    target: Target
    findings: tuple[Finding, ...]
    probe: ProbeReport

    @property
    def error(self) -> VerifyError | None:
        failed = self.probe.failed
        if failed:
            count = counted(len(self.probe.modules), "module")
            return VerifyError(f"{len(failed)} of {count} can't be imported")
        return error_of(self.findings)


@click.command(
    "verify", epilog="Try: layerforge verify --static dist/web-python3.13-arm64.zip"
)
@click.argument(
    "archives",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@click.option("--runtime", multiple=True, help="A runtime, where no manifest tells.")
@click.option("--arch", multiple=True, help="x86_64 or arm64, the same.")
@click.option("--static", is_flag=True, help="Import nothing: read and check alone.")
@click.option("--only", multiple=True, help="A check to keep to, with --static.")
@click.option("--max-unzipped", type=_Size(), help="A limit of yours, with --static.")
@click.option("--no-waivers", is_flag=True, help="Tell what layerforge.toml waives.")
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

    With --static nothing is run, and any layer's zip will do, whoever built it: where
    nothing says what it is for, its files are asked. A wheel, an sdist or an npm
    tarball is read as strictly as a build reads it.
    """
    console = console_of(options)
    _refuse_mixture(options)
    if options["static"]:
        asked = Asked(
            runtimes=options["runtime"],
            architectures=options["arch"],
            only=frozenset(find_check(name).id for name in options["only"]),
            most=options["max_unzipped"],
            waiving=not options["no_waivers"],
        )
        verify_statically(archives, asked, console)
    else:
        _prove(archives, options, find_project(Path.cwd()), console)


def _refuse_mixture(options: dict[str, Any]) -> None:
    """Raise `ConfigError` for options of the static checks and of imports at once."""
    wrong = ("local", "imports") if options["static"] else ("only", "max_unzipped")
    for name in wrong:
        if options[name]:
            option = "--" + name.removesuffix("s").replace("_", "-")
            raise ConfigError(
                f"{option} is for verify {'without' if options['static'] else 'with'} "
                "--static",
                remedy="Leave one of them out." if options["static"] else "Give both.",
            )


def _prove(
    archives: tuple[Path, ...],
    options: dict[str, Any],
    project: Project,
    console: Console,
) -> None:
    image = options.pop("image")
    settings = project.containers
    settings = replace(settings, image=image) if image else settings
    documents: list[dict[str, Any]] = []
    failures: list[LayerforgeError] = []
    store = store_of(options)
    with console.listening() as listen, Containers(settings, listen) as containers:
        tools = Tools(store=store, containers=containers, listen=listen)
        for archive in archives:
            for document, failure in _each(archive, options, project, tools, console):
                documents.append(document)
                failures += [failure] if failure else []
    if console.json:
        console.result("", {"format": 1, "layers": documents})
    if failures:
        raise click.exceptions.Exit(status_of(failures))


def _each(
    archive: Path,
    options: dict[str, Any],
    project: Project,
    tools: Tools,
    console: Console,
) -> Iterator[tuple[dict[str, Any], LayerforgeError | None]]:
    """Verify one zip for each of its targets: show and give what was found."""
    manifest = read_manifest(archive)
    try:
        targets = _targets(archive, options["runtime"], options["arch"], manifest)
        asked = Asked(waiving=not options["no_waivers"])
        question = asked.question(archive, project, console.warn)
        layer = _Layer(
            archive=archive,
            manifest=manifest,
            question=question,
            bases=read_bases(question.bases),
        )
    except LayerforgeError as error:
        yield _refused(archive, {}, error, console), error
        return
    for target in targets:
        try:
            verified = _verified(layer, target, options, tools)
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
    layer: _Layer, target: Target, options: dict[str, Any], tools: Tools
) -> _Verified:
    from layerforge.probe import probe_zip  # noqa: PLC0415 - nothing static needs it

    archive, manifest, bases = layer.archive, layer.manifest, layer.bases
    tree = read_layer(archive)
    whole = above(bases, tree)
    with tempfile.TemporaryDirectory(prefix="layerforge-") as folder:
        # What a layer stands on is there when a function imports it.
        trial = Path(folder, archive.name)
        probe = probe_zip(
            write_archive(whole, trial).path if bases else archive,
            whole,
            target,
            tools,
            imports=(*(manifest.imports if manifest else ()), *options["imports"]),
            local=options["local"],
            shaken=manifest is not None and manifest.shaken,
        )
    findings = examine_tree(archive, tree, target, layer.question, bases)
    return _Verified(target=target, findings=findings, probe=probe)


def _targets(
    archive: Path,
    runtimes: Sequence[str],
    architectures: Sequence[str],
    manifest: BuildReport | None,
) -> tuple[Target, ...]:
    if not archive.is_file():
        raise ConfigError(
            "it is a folder" if archive.is_dir() else "there is no such file",
            remedy="Name a zip; layerforge build prints the paths of those it makes.",
        )
    found = product(*named(runtimes, architectures, manifest))
    targets = tuple(Target(runtime=runtime, arch=arch) for runtime, arch in found)
    if not targets:
        raise ConfigError(
            "no manifest lies beside it that tells what it is for",
            remedy="Say it: --runtime python3.13 --arch arm64",
        )
    return targets


def _document(verified: _Verified) -> dict[str, Any]:
    from layerforge.reports.probes import probe_document  # noqa: PLC0415 - as above

    return {
        "target": str(verified.target),
        "findings": [asdict(finding) for finding in verified.findings],
        "probe": probe_document(verified.probe),
    }


def _show(archive: Path, verified: _Verified, console: Console) -> None:
    from layerforge.reports.probes import probe_text  # noqa: PLC0415 - as above

    tell_findings(verified.findings, console)
    if not console.json:
        title = f"{shown_path(archive)} for {verified.target}"
        console.result(f"{title}\n{probe_text(verified.probe)}", {})
