"""What `check` judges, read: locks, what they were made from, files of the user's own.

Nothing is asked of a network, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from layerforge.check import (
    Bound,
    Kind,
    Part,
    Size,
    Standing,
    Survey,
    Told,
    gather,
    judge_function,
    judge_layer,
    judge_runtime,
    sum_of,
)
from layerforge.check.code import code_size
from layerforge.errors import ConfigError, LockError, guess
from layerforge.findings import Finding, Severity, waive
from layerforge.jobs import Selection, select_jobs
from layerforge.limits import MAX_UNZIPPED
from layerforge.lock import Lock
from layerforge.plan import Job, check_lock, nothing_in
from layerforge.spec import (
    ForeignLayer,
    FunctionSpec,
    Project,
    include_signature,
)
from layerforge.target import Runtime

if TYPE_CHECKING:
    from layerforge.manifest import BuildReport

_Layers = Mapping[tuple[str, str], Standing]


def survey(
    project: Project, folder: Path, today: date, names: Sequence[str] = ()
) -> Survey:
    """Check the layers and functions with these names, or all of them.

    ``folder`` is where the user stands. A function brings its own layers. Raises
    `ConfigError`; what is wrong with a lock or a size is a finding.
    """
    functions = _functions(project, names)
    jobs = _jobs(project, folder, functions, names)
    layers = tuple(_layer_standing(job) for job in jobs)
    known = {(layer.name, layer.target): layer for layer in layers}
    known |= {
        (part.name, part.target): part
        for job, layer in zip(jobs, layers, strict=True)
        for part in _parts_of(job, layer)
    }
    held = tuple(
        _function_standing(function, target, known, project)
        for function in functions
        for target in (*map(str, function.targets),) or ("",)
    )
    told = (*gather(layers), *gather(held), *_runtimes(jobs, today, project))
    return Survey(layers=layers, functions=held, told=told)


def _functions(project: Project, names: Sequence[str]) -> tuple[FunctionSpec, ...]:
    functions = {function.name: function for function in project.functions}
    layers = [layer.name for layer in project.layers]
    for name in names:
        if name not in functions and name not in layers:
            raise ConfigError(
                f"layerforge.toml has neither a layer nor a function {name}",
                remedy=guess(name, (*layers, *functions))
                + "Without a name, all are checked.",
            )
    return tuple(
        function
        for function in project.functions
        if not names or function.name in names
    )


def _jobs(
    project: Project,
    folder: Path,
    functions: Iterable[FunctionSpec],
    names: Sequence[str],
) -> tuple[Job, ...]:
    """Give a job for each layer and target, whether they share a zip or not."""
    held = (str(layer) for each in functions for layer in each.layers)
    wanted = {layer.name for layer in map(project.owner, held) if layer} | {*names}
    chosen = [layer.name for layer in project.layers if layer.name in wanted]
    if not (chosen if names else project.layers):
        return ()
    selection = Selection(folder=folder, names=tuple(chosen) if names else ())
    jobs = select_jobs(selection, project)
    return tuple(chain.from_iterable((job, *job.others) for job in jobs))


# -- layers ------------------------------------------------------------------------


def _layer_standing(job: Job) -> Standing:
    standing = Standing(
        kind=Kind.LAYER,
        name=job.spec.name,
        target=str(job.target),
        most=job.spec.max_unzipped or MAX_UNZIPPED,
        lock_file=job.lock_file,
    )
    try:
        lock = check_lock(job)
    except LockError as error:
        return replace(standing, findings=(_refused(job, error),))
    parts = _parts(job, lock)
    as_now = not lock.pins or lock.stripping == job.stripping.digest
    built = _built(job, lock)
    standing = replace(
        standing,
        parts=parts,
        size=_size(job, lock, parts, built, as_now=as_now),
        lock=lock,
        zips=len(built.parts) or 1 if built else 0,
    )
    found = [
        *_empty(job, lock, standing.size),
        *_unweighed(job, lock, as_now=as_now),
        *judge_layer(standing, divided=job.spec.split),
    ]
    return replace(standing, findings=waive(found, job.spec.waivers))


def _parts_of(job: Job, layer: Standing) -> Iterator[Standing]:
    """Give the zips that a layer was divided into, as a build of this lock tells."""
    built = _built(job, layer.lock) if job.spec.split and layer.lock else None
    if built is None or not built.parts:
        return
    from layerforge.manifest import outputs, read_manifest  # noqa: PLC0415 - as below

    for part in filter(None, map(read_manifest, outputs(job.output, built))):
        size = Size(bytes=part.unzipped)
        yield replace(layer, name=part.layer, size=size, zips=1, findings=())


def _refused(job: Job, error: LockError) -> Finding:
    again = f"layerforge lock {job.spec.name}"  # all its targets: one is seldom alone
    if not job.lock_file.exists():
        return Finding(
            check="lock-missing",
            severity=Severity.ERROR,
            message=f"there is no {job.lock_file}",
            remedy=f"Make it, and commit it: {again}",
        )
    remedy = error.remedy.replace(job.lock_command, again)
    return Finding(
        check="lock-stale",
        severity=Severity.ERROR,
        message=error.message,
        remedy=remedy or f"Bring it up to date: {again}",
    )


def _empty(job: Job, lock: Lock, size: Size | None) -> Iterator[Finding]:
    if size == Size(bytes=0) and not include_signature(job.spec.include):
        yield nothing_in(job, lock)


def _unweighed(job: Job, lock: Lock, *, as_now: bool) -> Iterator[Finding]:
    without = [str(pin) for pin in lock.pins if not pin.weight]
    if without:
        more = f" and {len(without) - 1} more" if len(without) > 1 else ""
        yield Finding(
            check="weights",
            severity=Severity.WARNING,
            message=f"no size is known of {without[0]}{more}: it can't be held to "
            "its limit",
            remedy=f"Weigh them: layerforge lock {job.spec.name}",
        )
    elif not as_now:
        yield Finding(
            check="weights",
            severity=Severity.NOTE,
            message="its packages were weighed when other rules said what is left out",
            remedy=f"Weigh them anew: layerforge lock {job.spec.name}",
        )


def _built(job: Job, lock: Lock) -> BuildReport | None:
    """Give what a build of this very lock tells, where a lock alone doesn't."""
    if not (job.spec.bytecode or job.spec.shake or job.spec.split):
        return None
    from layerforge.manifest import read_manifest  # noqa: PLC0415 - start-up time

    built = read_manifest(job.output)
    return built if built and built.lock_digest == lock.digest else None


def _size(
    job: Job,
    lock: Lock,
    parts: Iterable[Part],
    built: BuildReport | None,
    *,
    as_now: bool,
) -> Size | None:
    """Say what a layer has unzipped; of what is compiled or shaken a build tells."""
    if any(pin.weight is None for pin in lock.pins):
        return None
    if built and (job.spec.bytecode or job.spec.shake):
        bound = Bound.ABOUT if job.spec.include else Bound.EXACT
        return Size(bytes=built.unzipped, bound=bound)
    return Size(
        bytes=sum(part.size.bytes for part in parts if part.size),
        bound=_bound(job, lock, as_now=as_now),
    )


def _bound(job: Job, lock: Lock, *, as_now: bool) -> Bound:
    if job.spec.shake:
        return Bound.AT_MOST
    if job.spec.bytecode:
        return Bound.AT_LEAST
    predicted = any(pin.weight and pin.weight.predicted for pin in lock.pins)
    return Bound.EXACT if as_now and not predicted else Bound.ABOUT


def _parts(job: Job, lock: Lock) -> tuple[Part, ...]:
    packages = (
        Part(title=pin.id, size=Size(bytes=pin.weight.kept))
        for pin in lock.pins
        if pin.weight
    )
    own = sum(size for _, _, size, _, _ in include_signature(job.spec.include))
    files = [Part(title="files of your own", size=Size(bytes=own))] if own else []
    return (*packages, *files)


# -- functions ---------------------------------------------------------------------


def _function_standing(
    function: FunctionSpec, target: str, known: _Layers, project: Project
) -> Standing:
    code, found = code_size(function)
    layers = tuple(_held(layer, target, known) for layer in function.layers)
    parts = (Part(title="code", size=code), *layers)
    standing = Standing(
        kind=Kind.FUNCTION,
        name=function.name,
        target=target,
        parts=parts,
        size=sum_of(parts),
    )
    findings = (
        *found,
        *judge_function(standing),
        *_without_bases(function, project),
        *_unknown(function),
        *_unbuilt(function, target, known, project),
    )
    return replace(standing, findings=waive(findings, project.waivers))


def _held(layer: str | ForeignLayer, target: str, known: _Layers) -> Part:
    if isinstance(layer, ForeignLayer):
        size = None if layer.unzipped is None else Size(bytes=layer.unzipped)
        return Part(title=layer.arn.partition(":layer:")[2], size=size)
    own = known.get((layer, target))
    if own is None:
        return Part(title=layer, size=None)
    return Part(title=layer, size=own.size, zips=own.zips or 1)


def _without_bases(function: FunctionSpec, project: Project) -> Iterator[Finding]:
    owners = ((name, project.owner(name)) for name in map(str, function.layers))
    held = {owner.name: (name, owner) for name, owner in owners if owner}
    for title, layer in held.values():
        missing = [name for name in layer.provided_by if name not in held]
        if missing:
            bases = " and ".join(missing)
            yield Finding(
                check="bases",
                severity=Severity.WARNING,
                message=f"it holds {title}, which stands on {bases}, and not "
                f"{'that' if len(missing) == 1 else 'those'}",
                remedy=f"Add {bases} to its layers.",
            )


def _unknown(function: FunctionSpec) -> Iterator[Finding]:
    for layer in function.layers:
        if isinstance(layer, ForeignLayer) and layer.unzipped is None:
            yield Finding(
                check="unknown-size",
                severity=Severity.NOTE,
                message=f"the size of {layer.arn} isn't known here",
                remedy=f"Ask AWS (layerforge budget --function {function.name}), and "
                f'say it as {{arn = "{layer.arn}", unzipped = BYTES}}.',
            )


def _unbuilt(
    function: FunctionSpec, target: str, known: _Layers, project: Project
) -> Iterator[Finding]:
    """Note the parts of divided layers that only a build knows the sizes of.

    Raises `ConfigError` for one that no build of this lock makes.
    """
    for layer in map(str, function.layers):
        owner = project.owner(layer)
        if not owner or layer == owner.name or (layer, target) in known:
            continue
        whole = known.get((owner.name, target))
        if whole and whole.zips:
            _refuse_unmade(layer, whole, owner.part_names[: whole.zips], function)
        yield Finding(
            check="unknown-size",
            severity=Severity.NOTE,
            message=f"what is in {layer} isn't known before it is built",
            remedy=f"Build it: layerforge build {owner.name}",
        )


def _refuse_unmade(
    part: str, layer: Standing, parts: Sequence[str], function: FunctionSpec
) -> None:
    if len(parts) == 1:
        made, names = "as one zip", layer.name
    else:
        made, names = f"in {len(parts)} parts", ", ".join(parts)
    if len(parts) == 1 or part not in parts:
        raise ConfigError(
            f"function {function.name} holds {part}, and {layer} was built {made}",
            remedy=f"Name what there is in its layers: {names}",
        )


# -- runtimes ----------------------------------------------------------------------


def _runtimes(jobs: Iterable[Job], today: date, project: Project) -> Iterator[Told]:
    """Say of each runtime once what is wrong with it, at the first layer with it."""
    first: dict[Runtime, list[str]] = {}
    for job in jobs:
        names = first.setdefault(job.target.runtime, [])
        if job.spec.name not in names:
            names.append(job.spec.name)
    for runtime, names in first.items():
        for finding in waive(judge_runtime(runtime, today), project.waivers):
            about = f"{runtime} ({', '.join(names)})"
            yield Told(about=about, table=f"layers.{names[0]}", finding=finding)
