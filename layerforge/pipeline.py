"""The story: from what a layer asks for to the zip that Lambda takes.

Each step takes values and gives values; what a step needs of the world is in `Tools`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import chain

from layerforge.audit import above, audit, refusal
from layerforge.bases import Base, without_provided
from layerforge.delivery import Made, deliver
from layerforge.ecosystems import ecosystem_of
from layerforge.errors import (
    DamagedLockError,
    LockError,
    UnsuitableLockError,
    VerifyError,
)
from layerforge.events import Noted
from layerforge.findings import Finding
from layerforge.include import read_includes
from layerforge.ledger import same_sizes, weighed, weighed_as
from layerforge.limits import MAX_UNZIPPED
from layerforge.lock import Lock, Pin
from layerforge.manifest import BuildReport
from layerforge.oversize import explain_size, refuse_hopeless
from layerforge.pack import Pack
from layerforge.plan import Job, held_lock, nothing_in, present_lock, whole_lock
from layerforge.records import remember_build
from layerforge.strip import Stripped, difference, strip
from layerforge.tools import Tools
from layerforge.tree import FileEntry, Tree, refuse_difference, unite
from layerforge.trim import as_trimmed, trim_libraries
from layerforge.verify import verify_size


def lock_layer(
    job: Job,
    tools: Tools,
    *,
    upgrade: bool = False,
    freed: Collection[str] = (),
) -> Lock:
    """Resolve a layer for its target, and write its lock.

    Pins of a present lock stay where they can, unless it is to ``upgrade``, or their
    names are ``freed``. No archive is fetched that can be weighed without. What the
    layer's bases have stands in the lock, and is not in what this gives.
    """
    ecosystem = ecosystem_of(job.target)
    bases = [_base_lock(base, tools) for base in job.bases]
    present = _lock_before(job, tools)
    preferred = () if upgrade else _preferred(job, present, freed)
    lock, packs = ecosystem.resolve(
        job.spec, job.target, tools, preferred=preferred, bases=bases
    )
    lock = weighed(lock, packs, job.stripping, trim=job.trims)
    own = without_provided(lock, [base.lock for base in bases])
    if job.spec.bytecode:
        before = present.interpreter if present else ""
        compiler = ecosystem.choose_compiler(job.target, before, tools)
        lock, own = (replace(each, interpreter=compiler) for each in (lock, own))
    _write_lock(job, lock, own)
    return own


def build_layer(job: Job, tools: Tools, *, probe: bool = False) -> BuildReport:
    """Build one layer, and leave zip and manifest in their places.

    With ``probe`` all its modules are imported first, in the runtime if it can be.

    Raises a `LayerforgeError`; the zip and the manifest of an earlier build are then
    still what they were. `records.last_build` tells whether it is worth doing.
    """
    made = _make(job, tools)
    locks = [made.lock]
    for other in job.others:
        made_too = _make(other, tools)
        refuse_difference(made.tree, made_too.tree, str(job), str(other))
        locks.append(made_too.lock)
    findings: list[Finding] = []
    for each in (job, *job.others):
        bases = _files_of_bases(each, tools)
        findings += _audited(made.tree, each, bases)
        if probe:
            from layerforge.proof import prove  # noqa: PLC0415 - asked for by few

            findings += prove(above(bases, made.tree), each, tools)
    made = replace(made, locks=tuple(locks))
    report = deliver(made, job, tuple(dict.fromkeys(findings)))
    remember_build(job, locks, tools.store)
    return report


def _make(job: Job, tools: Tools) -> Made:
    ecosystem = ecosystem_of(job.target)
    present = present_lock(job)
    lock = present or _first_lock(job, tools)
    refuse_hopeless(job, lock)
    packs = ecosystem.obtain(lock, job.spec, job.target, tools)
    stripping = job.stripping
    stripped = {pack.name: strip(pack.entries, stripping) for pack in packs}
    by_id = {pack.name: pack for pack in packs}
    lock = weighed_as(lock, by_id, stripped, stripping, trim=job.trims)
    if present is None:
        _write_weights(job, lock)
    elif lock != present:
        kept = ecosystem.keep_weights(lock, job.spec, job.target)
        if not kept and not same_sizes(lock, present):
            _note_weights(job, tools)
    left = [replace(pack, entries=stripped[pack.name].entries) for pack in packs]
    shaken = _shaken(_laid_out(left, job, tools), job, tools)
    united = _united(shaken.entries, job)
    if not united.entries:
        nothing = nothing_in(job, lock)
        raise VerifyError(f"{job}: {nothing.message}", remedy=nothing.remedy)
    _refuse_oversize(job, lock, united)
    trimmed = _trimmed(united, job, tools)
    return Made(
        lock=lock,
        locks=(lock,),
        removals=(
            *chain(*(each.removals for each in stripped.values())),
            *shaken.removals,
        ),
        united=united,
        trimmed=trimmed,
        tree=_with_bytecode(trimmed, job, lock, tools),
    )


def _laid_out(packs: Sequence[Pack], job: Job, tools: Tools) -> tuple[FileEntry, ...]:
    """Give the files of packages at their places, and the user's own."""
    entries = ecosystem_of(job.target).lay_out(packs, job.target, tools)
    return (*entries, *read_includes(job.spec.include, tools.store))


def _united(entries: Sequence[FileEntry], job: Job) -> Tree:
    same = ecosystem_of(job.target).same
    return unite(entries, same=same, chosen=job.spec.collisions)


def _files_of_bases(job: Job, tools: Tools) -> tuple[FileEntry, ...]:
    """Give the files that the layers below have, to judge this one with them."""
    files: list[FileEntry] = []
    for base in job.bases:
        ecosystem = ecosystem_of(base.target)
        packs = ecosystem.obtain(held_lock(base), base.spec, base.target, tools)
        left = [
            replace(pack, entries=strip(pack.entries, base.stripping).entries)
            for pack in packs
        ]
        files += _united(_laid_out(left, base, tools), base)
    return tuple(files)


def _lock_before(job: Job, tools: Tools) -> Lock | None:
    if not job.lock_file.exists():
        return None
    try:
        ecosystem = ecosystem_of(job.target)
        return ecosystem.read_lock(job.lock_file, job.spec, job.target)
    except DamagedLockError as error:
        tools.listen(Noted(message=f"{error.message}: it is made anew"))
        return None
    except UnsuitableLockError:
        return None  # what is asked for may have changed since: a resolution tells


def _preferred(
    job: Job, present: Lock | None, freed: Collection[str]
) -> tuple[Pin, ...]:
    pins = present.pins if present else ()
    spelled = set(map(ecosystem_of(job.target).spell, freed))
    unknown = spelled - {name for pin in pins for name in (pin.name, pin.known_as)}
    if unknown:
        raise LockError(
            f"{job.lock_file} pins no {', '.join(sorted(unknown))}",
            remedy="Name packages that the lock has with --upgrade-package.",
        )
    return tuple(pin for pin in pins if not {pin.name, pin.known_as} & spelled)


def _first_lock(job: Job, tools: Tools) -> Lock:
    message = f"no lock yet: resolving {job} into {job.lock_file}"
    tools.listen(Noted(message=message))
    return lock_layer(job, tools)


def _base_lock(job: Job, tools: Tools) -> Base:
    return Base(path=job.lock_file, lock=present_lock(job) or _first_lock(job, tools))


def _write_lock(job: Job, lock: Lock, own: Lock) -> None:
    """Write all that was resolved; what bases have is nothing that the layer weighs."""
    ecosystem = ecosystem_of(job.target)
    ecosystem.write_lock(job.lock_file, lock, job.spec, job.target)
    if job.bases:
        ecosystem.keep_weights(own, job.spec, job.target)


def _write_weights(job: Job, own: Lock) -> None:
    """Write what was weighed into a lock that may name more: what bases have."""
    whole = whole_lock(job)
    if whole:
        weights = {pin.id: pin.weight for pin in own.pins}
        pins = tuple(
            replace(pin, weight=weights.get(pin.id, pin.weight)) for pin in whole.pins
        )
        _write_lock(job, replace(whole, pins=pins, stripping=own.stripping), own)


def _note_weights(job: Job, tools: Tools) -> None:
    """Say that a lock's sizes are not a build's: a build never changes a lock."""
    message = (
        f"the sizes in {job.lock_file.name} are not those of this build: "
        f"{job.lock_command} takes them"
    )
    tools.listen(Noted(message=message))


def _refuse_oversize(job: Job, lock: Lock, tree: Tree) -> None:
    """Raise `VerifyError` before any work is done for a layer that is too large."""
    if job.spec.split:
        return  # its parts are held to the limit
    entries = as_trimmed(tree.entries) if job.trims else tree.entries
    unzipped = sum(entry.size for entry in entries)
    for finding in verify_size(unzipped, job.spec.max_unzipped):
        raise explain_size(finding, job, lock, entries)


def _shaken(entries: Sequence[FileEntry], job: Job, tools: Tools) -> Stripped:
    if not job.spec.shake:
        return Stripped(entries=tuple(entries), removals=())
    ecosystem = ecosystem_of(job.target)
    left = ecosystem.shake(entries, job.spec, job.target, tools)
    return difference(entries, left, rule="shake")


def _audited(tree: Tree, job: Job, bases: Sequence[FileEntry]) -> tuple[Finding, ...]:
    """Have a layer's findings; raises `VerifyError` with every error among them."""
    findings = audit(tree, job.target, job.spec.waivers, bases=bases)
    errors = [finding for finding in findings if finding.is_error]
    if errors:
        raise refusal(str(job), errors)
    return findings


def _trimmed(tree: Tree, job: Job, tools: Tools) -> Tree:
    if not job.trims:
        return tree
    return Tree(trim_libraries(tree.entries, tools.store, listen=tools.listen))


def _with_bytecode(tree: Tree, job: Job, lock: Lock, tools: Tools) -> Tree:
    if not job.spec.bytecode:
        return tree
    room = (job.spec.max_unzipped or MAX_UNZIPPED) - tree.size
    ecosystem = ecosystem_of(job.target)
    added = ecosystem.add_bytecode(
        tree.entries, job.target, lock.interpreter, room, tools
    )
    return unite(added)
