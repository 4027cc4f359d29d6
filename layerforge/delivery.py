"""What a build leaves behind: a zip, or several, each with its manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from layerforge import __version__
from layerforge.archive import fresh_archive
from layerforge.ecosystems import ecosystem_of
from layerforge.errors import BuildError
from layerforge.files import replace_file
from layerforge.findings import Finding, waive
from layerforge.hashes import labelled
from layerforge.limits import MAX_UNZIPPED
from layerforge.lock import Lock
from layerforge.manifest import (
    BuildReport,
    PackageReport,
    dump_manifest,
    manifest_path,
    outputs,
    read_manifest,
    summarise,
)
from layerforge.plan import Job
from layerforge.split import divide, verify_parts
from layerforge.strip import Removal
from layerforge.tree import Tree
from layerforge.verify import verify_zip

_TEXTS: Final = ".licences.txt"
_BESIDE: Final = (".json", ".cdx.json", _TEXTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A layer's tree, and as it was on the way: united, with tails cut, whole.

    ``lock`` is whole; ``locks`` are that and those of the job's others, each with just
    the pins that are in here: all of them, or a part's.
    """

    lock: Lock
    locks: tuple[Lock, ...]
    removals: tuple[Removal, ...]
    united: Tree
    trimmed: Tree
    tree: Tree

    def part(self, tree: Tree) -> Made:
        """Give what there is to say of some of its packages."""
        origins = {entry.origin for entry in tree}
        return Made(
            lock=self.lock,
            locks=tuple(_within(lock, origins) for lock in self.locks),
            removals=tuple(each for each in self.removals if each.origin in origins),
            united=_of(self.united, origins),
            trimmed=_of(self.trimmed, origins),
            tree=tree,
        )


def deliver(made: Made, job: Job, findings: Sequence[Finding]) -> BuildReport:
    """Write a layer's zip, or its parts' zips, with what lies beside them.

    All zips take their places together, when nothing else can fail, and then their
    manifests; those of an earlier build are what they were until then, and what it
    had more goes last. Raises `BuildError` where a file can't be written, and
    `VerifyError` for a layer that can't be divided.
    """
    before = read_manifest(job.output)
    _refuse_folders(job.output)
    root = ecosystem_of(job.target).root(job.spec, job.target)
    most = job.spec.max_unzipped or MAX_UNZIPPED
    trees = divide(made.tree, made.lock, root, most) if job.spec.split else (made.tree,)
    with ExitStack() as places:
        if len(trees) == 1:
            report = _deliver_one(made, job, findings, places)
            reports = [(job, report)]
        else:
            parts = _deliver_parts(made, job, findings, trees, places)
            report = _sum(made, job, findings, trees, [part for _, part in parts])
            reports = [*parts, (job, report)]
    for each, told in reports:
        replace_file(manifest_path(each.output), dump_manifest(told))
        _clear_texts(each.output, told)
    if before:
        _clear(job.output, before, report)
    return report


def _refuse_folders(output: Path) -> None:
    """Raise `BuildError` where a folder has the name of a file to be written."""
    for path in (output, *map(output.with_suffix, _BESIDE)):
        if path.is_dir():
            raise BuildError(
                f"cannot write {path}: it is a folder",
                remedy="Move it away. What was there before is untouched.",
            )


def _deliver_one(
    made: Made, job: Job, findings: Sequence[Finding], places: ExitStack
) -> BuildReport:
    from layerforge.documents.writing import write_documents  # noqa: PLC0415 - brings cyclonedx

    archive = places.enter_context(fresh_archive(made.tree, job.output))
    report = replace(
        _report(made, job),
        zip=archive.path.name,
        zipped=archive.zipped,
        code_sha256=archive.code_sha256,
        findings=(*findings, *waive(verify_zip(archive.zipped), job.spec.waivers)),
    )
    return write_documents(report, job, made.locks, made.tree, places)


def _deliver_parts(
    made: Made,
    job: Job,
    findings: Sequence[Finding],
    trees: Sequence[Tree],
    places: ExitStack,
) -> list[tuple[Job, BuildReport]]:
    parts = []
    for number, tree in enumerate(trees, 1):
        part = _part_of(job, number)
        _refuse_folders(part.output)
        own = [one for one in findings if _is_of(one, tree)]
        report = _deliver_one(made.part(tree), part, own, places)
        parts.append((part, replace(report, part_of=job.spec.name)))
    return parts


def _sum(
    made: Made,
    job: Job,
    findings: Sequence[Finding],
    trees: Sequence[Tree],
    parts: Sequence[BuildReport],
) -> BuildReport:
    named = {part.layer: tree for part, tree in zip(parts, trees, strict=True)}
    return replace(
        _report(made, job),
        zipped=sum(part.zipped for part in parts),
        findings=(
            *findings,
            *waive(verify_parts(named, made.lock), job.spec.waivers),
        ),
        parts=tuple(part.zip for part in parts),
    )


def _is_of(finding: Finding, tree: Tree) -> bool:
    """Say whether a finding is of a file of a part, or of a folder that it has."""
    place = finding.path
    return bool(place) and any(
        f"{entry.path}/".startswith(f"{place}/") for entry in tree
    )


def _part_of(job: Job, number: int) -> Job:
    """Give the job of a part: its number stands behind the layer's name."""
    name = job.spec.name
    numbered = f"{name}-{number}"
    stem = job.output.stem
    stem = (
        numbered + stem.removeprefix(name)
        if stem.startswith(f"{name}-")
        else f"{stem}-{number}"
    )
    return replace(
        job,
        spec=replace(job.spec, name=numbered),
        output=job.output.with_name(f"{stem}.zip"),
    )


def _clear_texts(output: Path, report: BuildReport) -> None:
    """Take licences away that nobody asks for any more."""
    if not report.licence_texts:
        with suppress(OSError):
            output.with_suffix(_TEXTS).unlink(missing_ok=True)


def _clear(output: Path, before: BuildReport, now: BuildReport) -> None:
    """Take away the zips that a layer no longer has, with what lies beside them."""
    for path in set(outputs(output, before)) - set(outputs(output, now)):
        beside = map(path.with_suffix, _BESIDE)
        for each in (path, *beside):
            if each != manifest_path(output):
                with suppress(OSError):
                    each.unlink(missing_ok=True)


def _within(lock: Lock, origins: set[str]) -> Lock:
    return replace(lock, pins=tuple(pin for pin in lock.pins if pin.id in origins))


def _of(tree: Tree, origins: set[str]) -> Tree:
    return Tree(tuple(entry for entry in tree if entry.origin in origins))


def _report(made: Made, job: Job) -> BuildReport:
    """Say all that is known before there is a zip."""
    ecosystem = ecosystem_of(job.target)
    return BuildReport(
        layer=job.spec.name,
        runtime=job.target.runtime.id,
        runtimes=tuple(each.target.runtime.id for each in (job, *job.others)),
        architecture=str(job.target.arch),
        description=job.spec.description,
        licence=job.spec.licence,
        zip="",
        zipped=0,
        unzipped=made.tree.size,
        files=len(made.tree),
        code_sha256="",
        tree_digest=made.tree.digest,
        lock=job.lock_file.name,
        lock_digest=made.lock.digest,
        packages=_package_reports(made),
        removals=summarise(made.removals),
        trimmed=made.united.size - made.trimmed.size,
        bytecode=made.tree.size - made.trimmed.size,
        bytecode_estimate=ecosystem.estimate_bytecode(made.trimmed.entries),
        findings=(),
        imports=job.spec.imports,
        provided_by=tuple(base.output.name for base in job.bases),
        layerforge=__version__,
    )


def _package_reports(made: Made) -> tuple[PackageReport, ...]:
    sizes, files = Counter[str](), Counter[str]()
    for entry in made.tree:
        sizes[entry.origin] += entry.size
        files[entry.origin] += 1
    return tuple(
        PackageReport(
            name=pin.name,
            version=pin.version,
            archive=pin.archive,
            digest=labelled(pin.digest),
            location=pin.location,
            size=sizes[pin.id],
            files=files[pin.id],
            required_by=made.lock.required_by(pin.id),
        )
        for pin in made.locks[0].pins
    )
