"""What the last build of each zip was made from, so that nothing is done twice.

A record holds while the zip is the file that was written then: by its size, its
modification time and its inode. Who publishes a zip hashes it all the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from layerforge import __version__
from layerforge.compressor import COMPRESSOR
from layerforge.errors import BuildError
from layerforge.lock import Lock
from layerforge.manifest import BuildReport, is_whole, outputs, read_manifest
from layerforge.plan import Job, present_lock
from layerforge.spec import include_signature
from layerforge.store import Store


def last_build(job: Job, store: Store) -> BuildReport | None:
    """Give the last build's report, if a build now would give the same zip.

    Raises `LockError` where the lock is stale.
    """
    record = store.load("records", _name(job))
    if record is None or job.spec.shake:  # what it keeps, any file may decide
        return None
    present = [present_lock(each) for each in (job, *job.others)]
    locks = [lock for lock in present if lock]
    if len(locks) < len(present) or record != _record(job, locks):
        return None
    report = read_manifest(job.output)
    return replace(report, unchanged=True) if report else None


def remember_build(job: Job, locks: Sequence[Lock], store: Store) -> None:
    """Keep what the zip that has just been written was made from, if that can be.

    ``locks`` are the job's, and those of its others.
    """
    with suppress(BuildError):  # the zip is there: the next build just won't know it
        store.save("records", _name(job), _record(job, locks))


def _name(job: Job) -> str:
    return hashlib.sha256(str(job.output.absolute()).encode()).hexdigest()


def _record(job: Job, locks: Sequence[Lock]) -> bytes:
    report = read_manifest(job.output)
    if report is None or not is_whole(job.output, report):
        return b""
    found = [path.stat() for path in outputs(job.output, report)]
    zips = [(each.st_size, each.st_mtime_ns, each.st_ino) for each in found]
    return json.dumps([_build_key(job, locks), zips]).encode()


def _build_key(job: Job, locks: Sequence[Lock]) -> str:
    """Digest all that decides what a build makes: equal keys, equal zips."""
    spec = job.spec
    decisive = [
        __version__,
        COMPRESSOR,
        [str(each.target) for each in (job, *job.others)],
        [lock.digest for lock in locks],
        job.stripping.digest,
        job.trims,
        spec.bytecode and [lock.interpreter for lock in locks],
        include_signature(spec.include),
        sorted(spec.collisions.items()),
        spec.max_unzipped,
        spec.description,
        spec.licence,
        spec.imports,
        spec.split,
        spec.licence_texts,
        [(each.check, each.path, each.why) for each in spec.waivers],
        repr(spec.system_packages),
        job.lock_file.name,
    ]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
