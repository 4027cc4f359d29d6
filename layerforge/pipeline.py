"""The story: from what a layer asks for to the zip that Lambda takes.

Each step takes values and gives values; what a step needs of the world is in `Tools`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from layerforge import __version__
from layerforge.archive import write_archive
from layerforge.ecosystems import Tools, ecosystem_of
from layerforge.errors import DamagedLockError, LockError
from layerforge.events import Noted
from layerforge.files import replace_file
from layerforge.include import read_includes
from layerforge.ledger import weighed
from layerforge.limits import MAX_UNZIPPED
from layerforge.lock import Lock, Pin, dump_lock, read_lock
from layerforge.manifest import (
    BuildReport,
    PackageReport,
    dump_manifest,
    manifest_path,
    summarise,
)
from layerforge.oversize import explain_size, refuse_hopeless
from layerforge.pack import Pack
from layerforge.plan import Job, present_lock
from layerforge.proof import prove
from layerforge.records import remember_build
from layerforge.strip import strip
from layerforge.tree import Tree, unite
from layerforge.trim import as_trimmed, trim_libraries
from layerforge.verify import verify, verify_size, verify_zip


def lock_layer(
    job: Job,
    tools: Tools,
    *,
    upgrade: bool = False,
    freed: Collection[str] = (),
) -> Lock:
    """Resolve a layer for its target, and write its lock.

    Pins of a present lock stay where they can, unless it is to ``upgrade``, or their
    names are ``freed``. No archive is fetched that can be weighed without.
    """
    ecosystem = ecosystem_of(job.target)
    present = _lock_before(job, tools)
    preferred = () if upgrade else _preferred(job, present, freed)
    lock, packs = ecosystem.resolve(job.spec, job.target, tools, preferred=preferred)
    lock = weighed(lock, packs, job.stripping, trim=job.trims)
    if job.spec.bytecode:
        before = present.interpreter if present else ""
        compiler = ecosystem.choose_compiler(job.target, before, tools)
        lock = replace(lock, interpreter=compiler)
    _write_lock(job, lock)
    return lock


def build_layer(job: Job, tools: Tools, *, probe: bool = False) -> BuildReport:
    """Build one layer for one target, and leave zip and manifest in their places.

    With ``probe`` all its modules are imported first, in the runtime if it can be.

    Raises a `LayerforgeError`; the zip and the manifest of an earlier build are then
    still what they were. `records.last_build` tells whether it is worth doing.
    """
    ecosystem = ecosystem_of(job.target)
    present = present_lock(job)
    lock = present or _first_lock(job, tools)
    refuse_hopeless(job, lock)
    packs = ecosystem.obtain(lock, job.spec, job.target, tools)
    lock = _weighed_anew(job, lock, packs)
    if present is None:
        _write_lock(job, lock)
    elif lock != present:
        _note_weights(job, tools)
    entries = ecosystem.lay_out(packs, job.target, tools)
    stripped = strip(entries, job.stripping)
    included = read_includes(job.spec.include, tools.store)
    united = unite(
        [*stripped.entries, *included],
        same=ecosystem.same,
        chosen=job.spec.collisions,
    )
    _refuse_oversize(job, lock, united)
    trimmed = _trimmed(united, job, tools)
    tree = _with_bytecode(trimmed, job, lock, tools)
    findings = verify(tree, job.target)
    if probe:
        findings += prove(tree, job, tools)
    archive = write_archive(tree, job.output)
    report = BuildReport(
        layer=job.spec.name,
        runtime=job.target.runtime.id,
        architecture=str(job.target.arch),
        description=job.spec.description,
        licence=job.spec.licence,
        zip=archive.path.name,
        zipped=archive.zipped,
        unzipped=archive.unzipped,
        files=archive.files,
        code_sha256=archive.code_sha256,
        tree_digest=archive.tree_digest,
        lock=job.lock_file.name,
        lock_digest=lock.digest,
        packages=_package_reports(lock, tree),
        removals=summarise(stripped.removals),
        trimmed=united.size - trimmed.size,
        bytecode=tree.size - trimmed.size,
        bytecode_estimate=ecosystem.estimate_bytecode(trimmed.entries),
        findings=(*findings, *verify_zip(archive.zipped)),
        imports=job.spec.imports,
        layerforge=__version__,
    )
    replace_file(manifest_path(job.output), dump_manifest(report))
    remember_build(job, lock, tools.store)
    return report


def _lock_before(job: Job, tools: Tools) -> Lock | None:
    if not job.lock_file.exists():
        return None
    try:
        return read_lock(job.lock_file)
    except DamagedLockError as error:
        tools.listen(Noted(message=f"{error.message}: it is made anew"))
        return None


def _preferred(
    job: Job, present: Lock | None, freed: Collection[str]
) -> tuple[Pin, ...]:
    pins = present.pins if present else ()
    unknown = set(freed) - {pin.name for pin in pins}
    if unknown:
        raise LockError(
            f"{job.lock_file} pins no {', '.join(sorted(unknown))}",
            remedy="Name packages that the lock has with --upgrade-package.",
        )
    return tuple(pin for pin in pins if pin.name not in freed)


def _first_lock(job: Job, tools: Tools) -> Lock:
    message = f"no lock yet: resolving {job} into {job.lock_file}"
    tools.listen(Noted(message=message))
    return lock_layer(job, tools)


def _write_lock(job: Job, lock: Lock) -> None:
    text = dump_lock(lock, job.target, job.lock_file.parent)
    if not job.lock_file.exists() or job.lock_file.read_text(encoding="utf-8") != text:
        replace_file(job.lock_file, text)


def _weighed_anew(job: Job, lock: Lock, packs: Sequence[Pack]) -> Lock:
    by_name = {pack.name: pack for pack in packs}
    return weighed(lock, by_name, job.stripping, trim=job.trims)


def _note_weights(job: Job, tools: Tools) -> None:
    """Say that a lock's sizes are not a build's: a build never changes a lock."""
    message = (
        f"the sizes in {job.lock_file.name} are not those of this build: "
        f"{job.lock_command} takes them"
    )
    tools.listen(Noted(message=message))


def _refuse_oversize(job: Job, lock: Lock, tree: Tree) -> None:
    """Raise `VerifyError` before any work is done for a layer that is too large."""
    entries = as_trimmed(tree.entries) if job.trims else tree.entries
    unzipped = sum(entry.size for entry in entries)
    for finding in verify_size(unzipped, job.spec.max_unzipped):
        raise explain_size(finding, job, lock, entries)


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


def _package_reports(lock: Lock, tree: Tree) -> tuple[PackageReport, ...]:
    sizes, files = Counter[str](), Counter[str]()
    for entry in tree:
        sizes[entry.origin] += entry.size
        files[entry.origin] += 1
    return tuple(
        PackageReport(
            name=pin.name,
            version=pin.version,
            archive=pin.archive,
            sha256=pin.sha256,
            size=sizes[pin.name],
            files=files[pin.name],
            required_by=lock.required_by(pin.name),
        )
        for pin in lock.pins
    )
