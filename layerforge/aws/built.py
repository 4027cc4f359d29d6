"""What lies on disk to be published: zips with their manifests, and their locks.

A zip is hashed whole, whatever its manifest says; a lock that has changed since is an
error, as what would be published isn't what is in the project.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from layerforge.aws.releases import BuiltZip
from layerforge.documents.licences import licences_of
from layerforge.errors import ConfigError, LayerforgeError, LockError
from layerforge.jobs import Selection, select_jobs
from layerforge.manifest import BuildReport, manifest_path, outputs, read_manifest
from layerforge.plan import Job, present_lock
from layerforge.spec import Project, PublishSpec

_ZIP: Final = ".zip"


def find_built(
    names: Iterable[str], folder: Path, project: Project
) -> tuple[BuiltZip, ...]:
    """Find what was built of layers, by name, or at paths of zips; all where none is.

    Raises `ConfigError` where something isn't there or isn't whole, `LockError` where
    a lock says something else by now.
    """
    names = tuple(names)
    zips = tuple(folder / name for name in names if name.endswith(_ZIP))
    layers = tuple(name for name in names if not name.endswith(_ZIP))
    found: list[BuiltZip] = []
    if layers or not names:
        jobs = select_jobs(Selection(folder=folder, names=layers), project)
        found += chain.from_iterable(_of_job(job, project) for job in jobs)
    return (*found, *(_of_path(path, project) for path in zips))


def _of_job(job: Job, project: Project) -> Iterator[BuiltZip]:
    whole = read_manifest(job.output)
    layer = project.layer(job.spec.name)
    publish = layer.publish if layer else project.publish
    for path in outputs(job.output, whole) if whole else (job.output,):
        report = _report(path, f"layerforge build {job.spec.name}")
        _refuse_old_lock(job, report)
        yield _whole(path, report, publish)


def _of_path(path: Path, project: Project) -> BuiltZip:
    report = _report(path, "layerforge build")
    layer = project.layer(report.part_of or report.layer)
    job = _job_of(report, project) if layer else None
    if job:
        _refuse_old_lock(job, report)
    return _whole(path, report, layer.publish if layer else project.publish)


def _job_of(report: BuildReport, project: Project) -> Job | None:
    """Find the job that a zip of the project's was built by, by its lock's name."""
    selection = Selection(
        folder=project.folder,
        names=(report.part_of or report.layer,),
        runtimes=report.runtimes[:1],
        architectures=(report.architecture,),
    )
    try:
        jobs = select_jobs(selection, project)
    except LayerforgeError:  # the layer is no longer what it was
        return None
    return next((job for job in jobs if job.lock_file.name == report.lock), None)


def _report(path: Path, command: str) -> BuildReport:
    if not path.is_file():
        raise ConfigError(f"there is no zip {path}", remedy=f"Build it: {command}")
    report = read_manifest(path)
    if report is None:
        raise ConfigError(
            f"there is no manifest {manifest_path(path)} beside the zip, or it can't "
            "be read",
            remedy=f"It tells what the zip is for. Build the zip: {command}",
        )
    return report


def _refuse_old_lock(job: Job, report: BuildReport) -> None:
    for each in (job, *job.others):
        present_lock(each)
    lock = present_lock(job)
    if lock is not None and lock.digest != report.lock_digest:
        raise LockError(
            f"{job.output} was built from another lock than {job.lock_file} is now",
            remedy=f"Build it anew: layerforge build {job.spec.name}",
        )


def _whole(path: Path, report: BuildReport, publish: PublishSpec) -> BuiltZip:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    if base64.b64encode(digest).decode() != report.code_sha256:
        raise ConfigError(
            f"{path} is not the zip that {manifest_path(path)} tells of: it was "
            "changed or replaced",
            remedy="Build it anew, or put its own manifest beside it.",
        )
    return BuiltZip(
        path=path, report=report, publish=publish, licences=licences_of(path)
    )
