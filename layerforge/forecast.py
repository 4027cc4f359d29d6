"""What a layer will weigh, before anything of it is fetched that needn't be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from layerforge.bases import Base, without_provided
from layerforge.ecosystems import ecosystem_of
from layerforge.include import ORIGIN, read_includes
from layerforge.limits import MAX_UNZIPPED, UNZIPPED_LIMIT
from layerforge.lock import Lock
from layerforge.pack import Pack
from layerforge.plan import Job, held_lock, present_lock
from layerforge.strip import strip
from layerforge.tools import Tools
from layerforge.tree import FileEntry
from layerforge.trim import as_trimmed


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageForecast:
    """What one package brings: ``unzipped`` bytes, of which ``kept`` stay in the layer.

    ``asked`` where the layer itself asks for it, ``predicted`` where ``kept`` is an
    estimate: of libraries that have not been read.
    """

    name: str
    version: str
    unzipped: int
    kept: int
    location: str = ""
    asked: bool = False
    required_by: tuple[str, ...] = ()
    predicted: bool = False

    @property
    def stripped(self) -> int:
        """Bytes that don't get into the layer, by whatever rule."""
        return max(0, self.unzipped - self.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a layer will weigh for one target, in bytes, unzipped.

    ``included`` are files of the user's own, and ``bytecode`` is what is compiled.
    What all of it would add is the ``bytecode_estimate``. The layer may have ``most``
    bytes, or, where it may be ``divided``, each of its parts.
    """

    layer: str
    target: str
    packages: tuple[PackageForecast, ...]
    included: int = 0
    bytecode: int = 0
    bytecode_estimate: int = 0
    most: int = MAX_UNZIPPED
    divided: bool = False

    @property
    def total(self) -> int:
        """Bytes of the whole layer."""
        kept = sum(package.kept for package in self.packages)
        return kept + self.included + self.bytecode

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing in it, for this target."""
        return not self.total

    @property
    def predicted(self) -> bool:
        """Say whether any of that is less than certain."""
        return bool(self.bytecode) or any(one.predicted for one in self.packages)

    @property
    def share(self) -> float:
        """The total as a part of Lambda's limit, which is 1.0."""
        return self.total / UNZIPPED_LIMIT

    @property
    def excess(self) -> int:
        """How many bytes are too many; in parts, a layer has no limit of its own."""
        return 0 if self.divided else max(0, self.total - self.most)


def forecast_layer(job: Job, tools: Tools) -> Forecast:
    """Say what a layer will weigh: by its lock, or by what a first one would pin.

    A job with no ``lock_words`` has no lock. Nothing is written but to the store.
    Raises `LockError` where a lock is stale, and what resolving and fetching do.
    """
    ecosystem = ecosystem_of(job.target)
    lock = present_lock(job) if job.lock_words else None
    if lock:
        packs = ecosystem.learn(lock, job.spec, job.target, tools)
    else:
        lock, packs = _foreseen(job, tools)
    stripping = job.stripping
    left = [
        replace(packs[pin.id], entries=strip(packs[pin.id].entries, stripping).entries)
        for pin in lock.pins
    ]
    entries = ecosystem.lay_out(left, job.target, tools)
    included = read_includes(job.spec.include, tools.store)
    if job.spec.shake:
        both = (*entries, *included)
        entries, included = ecosystem.shake(both, job.spec, job.target, tools), ()
    return weigh_layer(job, lock, packs, (*entries, *included))


def weigh_layer(
    job: Job, lock: Lock, packs: Mapping[str, Pack], entries: Sequence[FileEntry]
) -> Forecast:
    """Sum what is left of a layer's packages, and of its user's own files."""
    united = _united(entries, job.spec.collisions)
    final = as_trimmed(united) if job.trims else united
    sizes = Counter[str]()
    libraries = set[str]()
    for entry in final:
        sizes[entry.origin] += entry.size
        if entry.elf and job.trims:
            libraries.add(entry.origin)
    forecast = Forecast(
        layer=job.spec.name,
        target=str(job.target),
        packages=tuple(
            PackageForecast(
                name=pin.name,
                version=packs[pin.id].version or pin.version,
                location=pin.location,
                unzipped=packs[pin.id].size,
                kept=sizes[pin.id],
                asked=pin.id in lock.roots or not lock.required_by(pin.id),
                required_by=lock.required_by(pin.id),
                predicted=packs[pin.id].predicted and pin.id in libraries,
            )
            for pin in lock.pins
        ),
        included=sizes[ORIGIN],
        bytecode_estimate=ecosystem_of(job.target).estimate_bytecode(final),
        most=job.spec.max_unzipped or MAX_UNZIPPED,
        divided=job.spec.split,
    )
    if not job.spec.bytecode:
        return forecast
    room = max(0, forecast.most - forecast.total)  # a build adds what fits
    return replace(forecast, bytecode=min(forecast.bytecode_estimate, room))


def _foreseen(job: Job, tools: Tools) -> tuple[Lock, Mapping[str, Pack]]:
    bases = [Base(path=base.lock_file, lock=held_lock(base)) for base in job.bases]
    ecosystem = ecosystem_of(job.target)
    lock, packs = ecosystem.foresee(job.spec, job.target, tools, bases)
    return without_provided(lock, [base.lock for base in bases]), packs


def _united(
    entries: Iterable[FileEntry], chosen: Mapping[str, str]
) -> tuple[FileEntry, ...]:
    """Have each path once, as a layer has it; what can't be one, a build refuses."""
    kept: dict[str, FileEntry] = {}
    for entry in sorted(entries, key=lambda entry: (entry.path, entry.origin)):
        if entry.path not in kept or chosen.get(entry.path) == entry.origin:
            kept[entry.path] = entry
    return tuple(kept.values())
