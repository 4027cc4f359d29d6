"""What a build would do, decided before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layerforge.bases import without_provided
from layerforge.ecosystems import ecosystem_of
from layerforge.errors import LockError
from layerforge.findings import Finding, Severity
from layerforge.lock import Lock, Pin
from layerforge.spec import LayerSpec
from layerforge.strip import Profile, Stripping, StripRule, rules_for
from layerforge.target import Target

if TYPE_CHECKING:  # start-up time
    from layerforge.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One zip to make: what goes in, for which target, and where files lie.

    ``lock_words`` are what a user types to make its lock anew; a layer that is only
    thought of has none, and no lock. ``others`` are the same layer for other runtimes,
    which the one zip must suit as it is. ``bases`` are the layers that it stands on,
    for the same target; what they stand on comes before.
    """

    spec: LayerSpec
    target: Target
    lock_file: Path
    output: Path
    lock_words: tuple[str, ...]
    others: tuple[Job, ...] = ()
    bases: tuple[Job, ...] = ()

    def __str__(self) -> str:
        return f"{self.spec.name} for {self.target}"

    @property
    def lock_command(self) -> str:
        """The command line that makes the lock anew."""
        import shlex  # noqa: PLC0415 - for errors and notes alone

        return shlex.join(self.lock_words)

    @property
    def stripping(self) -> Stripping:
        """The rules of the layer's profile, of its recipe, and the user's own."""
        profile = self.spec.strip
        root = ecosystem_of(self.target).root(self.spec, self.target)
        rules = (
            *rules_for(self.target, profile),
            *(rule for rule in self.spec.rules if profile.includes(rule.profile)),
        )
        if self.spec.exclude:
            own = StripRule(
                id="exclude", why="The layer leaves it out.", drop=self.spec.exclude
            )
            rules = (*rules, own)
        return Stripping(root=root, rules=rules, keep=self.spec.keep)

    @property
    def trims(self) -> bool:
        """Say whether libraries lose their tails."""
        return self.spec.strip is not Profile.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """What a build of a job would start from; no lock means that it would resolve.

    ``present`` and ``missing`` are pins by where their archives are; ``compiled`` are
    those of them, and commits, that a container makes into wheels.
    """

    job: Job
    lock: Lock | None
    present: tuple[Pin, ...] = ()
    missing: tuple[Pin, ...] = ()
    compiled: tuple[Pin, ...] = ()


def plan_build(job: Job, store: Store) -> BuildPlan:
    """Say what a build would do; fetches nothing, writes nothing.

    Raises `LockError` where the lock no longer fits its inputs.
    """
    lock = present_lock(job)
    if lock is None:
        return BuildPlan(job=job, lock=None)
    archives = [pin for pin in lock.pins if pin.filename]
    present = tuple(
        pin
        for pin in archives
        if store.artifact(pin.digest).exists() or (pin.path and pin.path.is_dir())
    )
    return BuildPlan(
        job=job,
        lock=lock,
        present=present,
        missing=tuple(pin for pin in archives if pin not in present),
        compiled=tuple(pin for pin in lock.pins if pin.source),
    )


def present_lock(job: Job) -> Lock | None:
    """Read a job's lock, if there is one, without what its bases have.

    Raises `LockError` where it is stale, or doesn't agree with those of its bases.
    """
    lock = whole_lock(job)
    return lock and without_provided(lock, [held_lock(base) for base in job.bases])


def held_lock(job: Job) -> Lock:
    """Read a lock that has to be there; raises `LockError`."""
    lock = present_lock(job)
    if lock is None:
        raise LockError(
            f"there is no lock of {job} ({job.lock_file})",
            remedy=f"Make it: {job.lock_command}",
        )
    return lock


def whole_lock(job: Job) -> Lock | None:
    """Read a job's lock, if there is one; raises `LockError` where it is stale."""
    if not job.lock_file.exists():
        return None
    ecosystem = ecosystem_of(job.target)
    lock = ecosystem.read_lock(job.lock_file, job.spec, job.target)
    remedy = f"Bring it up to date: {job.lock_command}"
    if lock.target != str(job.target):
        raise LockError(
            f"{job.lock_file} is a lock for {lock.target}, not for {job.target}",
            remedy=remedy,
        )
    try:
        ecosystem.hold(lock, job.lock_file, job.spec, job.target)
    except LockError as error:
        error.remedy = error.remedy or remedy
        raise
    if job.spec.bytecode and not lock.interpreter:
        raise LockError(
            f"{job.lock_file} names no interpreter to compile bytecode with",
            remedy=remedy,
        )
    return lock


def check_lock(job: Job) -> Lock:
    """Hold a job's lock to its inputs, offline; raises `LockError`."""
    lock = held_lock(job)
    ecosystem_of(job.target).check(lock, job.spec, job.target)
    return lock


def nothing_in(job: Job, lock: Lock) -> Finding:
    """Say why a layer is empty, and what helps."""
    bases = " and ".join(base.spec.name for base in job.bases)
    provided = bases and not lock.pins
    return Finding(
        check="empty",
        severity=Severity.ERROR,
        message=f"nothing is in it: {bases} has all of it"
        if provided
        else "nothing is in it, and Lambda takes no empty zip",
        remedy=f"Take {bases} instead, or ask for more."
        if provided
        else "Ask for a package, or leave less out.",
    )
