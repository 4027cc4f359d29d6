"""Is everything within Lambda's limits, by what locks and layerforge.toml say? Pure.

What is judged was read by `survey`; sizes are bytes unzipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final

from layerforge.errors import LockError, VerifyError
from layerforge.findings import Finding, Severity
from layerforge.limits import (
    MAX_UNZIPPED,
    MOST_LAYERS,
    UNZIPPED_LIMIT,
    excess,
    shown,
)
from layerforge.lock import Lock
from layerforge.target import Runtime

LOCK_CHECKS: Final = frozenset({"lock-missing", "lock-stale"})
"""The checks whose errors are those of locks."""

_NEAR: Final = 50  # a 50th: so near the limit a prediction may be wrong
_MIB: Final = 1 << 20
_LARGEST: Final = 3  # parts that an error names
_LEAST: Final = _MIB // 20  # bytes; what has less would be named with 0.0 MiB
_LIMIT: Final = f'Lambda\'s "250 MB" are {UNZIPPED_LIMIT:,} bytes'


class Bound(StrEnum):
    """How far a size can be relied on, as a word to set before it."""

    EXACT = ""
    ABOUT = "about"
    AT_LEAST = "at least"
    AT_MOST = "at most"
    PERHAPS = "perhaps"  # it may be far less, or more


_NO_LESS: Final = frozenset({Bound.AT_MOST, Bound.PERHAPS})  # what is may fit


class Kind(StrEnum):
    """What has a limit, by the tables of layerforge.toml that speak of it."""

    LAYER = "layers"
    FUNCTION = "functions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes unzipped."""

    bytes: int
    bound: Bound = Bound.EXACT

    def __str__(self) -> str:
        return f"{self.bound} {shown(self.bytes)}".lstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A package of a layer, a layer of a function, or its code; None is not known.

    ``zips`` are those that a layer was divided into: a function holds each as one.
    """

    title: str
    size: Size | None
    zips: int = 1

    def __str__(self) -> str:
        return self.title if self.zips == 1 else f"{self.title} ({self.zips} zips)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A layer or a function for one target, '' where none is known, with what it has.

    ``most`` is its limit in bytes. ``size`` is None where no lock tells; ``lock_file``,
    ``lock`` and ``zips`` (see `Part`; 0 before a build tells) are a layer's.
    """

    kind: Kind
    name: str
    target: str
    parts: tuple[Part, ...] = ()
    size: Size | None = None
    most: int = MAX_UNZIPPED
    lock_file: Path | None = None
    lock: Lock | None = None
    zips: int = 0
    findings: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        name = f"function {self.name}" if self.kind is Kind.FUNCTION else self.name
        return f"{name} for {self.target}" if self.target else name

    @property
    def own_layers(self) -> tuple[Part, ...]:
        """The layers of a function that are the project's: no ARN names them."""
        return tuple(part for part in self.parts[1:] if ":" not in part.title)

    @property
    def table(self) -> str:
        """The table of layerforge.toml that speaks of it."""
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A finding, what it is about, and the table of layerforge.toml to look at."""

    about: str
    table: str
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All that was checked, and all that was found."""

    layers: tuple[Standing, ...]
    functions: tuple[Standing, ...]
    told: tuple[Told, ...]

    def status(self, *, strict: bool) -> int:
        """Give the exit status: the lowest that applies; 0 where nothing is wrong.

        Warnings count if it is to be ``strict``.
        """
        found = [told.finding for told in self.told if not told.finding.waived]
        statuses = {
            (LockError if one.check in LOCK_CHECKS else VerifyError).exit_code
            for one in found
            if one.is_error or (strict and one.severity is Severity.WARNING)
        }
        return min(statuses, default=0)


def sum_of(parts: Iterable[Part]) -> Size:
    """Add parts up; of what is not equally sure the sum is about right."""
    sizes = [part.size for part in parts]
    known = [size for size in sizes if size]
    bounds = {size.bound for size in known} - {Bound.EXACT}
    if len(known) < len(sizes):
        bounds.add(Bound.AT_LEAST)
    if len(bounds) > 1:
        bounds = {Bound.PERHAPS if Bound.AT_MOST in bounds else Bound.ABOUT}
    bound = bounds.pop() if bounds else Bound.EXACT
    return Size(bytes=sum(size.bytes for size in known), bound=bound)


def judge_layer(layer: Standing, *, divided: bool = False) -> Iterator[Finding]:
    """Hold a layer to its limit.

    One that is ``divided`` has no limit of its own, but functions that hold it all do.
    """
    if layer.size is None:
        return
    if divided:
        from layerforge.split import verify_together  # noqa: PLC0415 - few are

        if layer.size.bound not in _NO_LESS:
            yield from verify_together(layer.size.bytes, layer.size.bound)
        return
    over = layer.size.bytes - layer.most
    if over > 0 and _is_sure(layer, over):
        yield Finding(
            check="size",
            severity=Severity.ERROR,
            message=f"it has {layer.size} unzipped, "
            f"{excess(layer.size.bytes, layer.most)}{_and_largest(layer.parts)}",
            remedy="Leave something out: exclude, exclude-runtime-sdk, or "
            'strip = "slim".',
        )
    elif _is_near(layer, over):
        yield _near(layer, over)


def judge_function(function: Standing) -> Iterator[Finding]:
    """Hold code and layers to the one limit that they have together, and to five."""
    layers = function.parts[1:]
    count = sum(layer.zips for layer in layers)
    if count > MOST_LAYERS:
        yield Finding(
            check="layer-count",
            severity=Severity.ERROR,
            message=f"it has {count} layers, and Lambda takes {MOST_LAYERS}: "
            f"{', '.join(map(str, layers))}",
            remedy="Put what is always used together into one layer.",
        )
    if function.size is None:
        return
    over = function.size.bytes - function.most
    if over > 0 and _is_sure(function, over):
        yield Finding(
            check="budget",
            severity=Severity.ERROR,
            message=f"with its layers it has {function.size} unzipped, {over:,} too "
            f"many: {_LIMIT} for all together{_and_largest(function.parts)}",
            remedy="Have it hold less, or be two functions: layers share its limit.",
        )
    elif _is_near(function, over):
        yield _near(function, over)


def judge_runtime(runtime: Runtime, today: date) -> Iterator[Finding]:
    """Say what becomes of functions on a runtime that is deprecated by now."""
    if not runtime.deprecated or runtime.deprecated > today:
        return
    days = (("created", runtime.blocks_create), ("updated", runtime.blocks_update))
    blocks = "".join(
        f", none can be {done} {'since' if day <= today else 'from'} {day}"
        + ("" if day <= today else " on")
        for done, day in days
        if day
    )
    yield Finding(
        check="runtime",
        severity=Severity.WARNING,
        message=f"deprecated since {runtime.deprecated}: functions get no patches"
        f"{blocks}",
        remedy="Build for a newer runtime: layerforge runtimes",
    )


def gather(standings: Sequence[Standing]) -> tuple[Told, ...]:
    """Give all findings, what several targets of a layer have in common but once."""
    groups: dict[tuple[str, str, str], list[Standing]] = {}
    first: dict[tuple[str, str, str], Finding] = {}
    for standing in standings:
        for finding in standing.findings:
            message = finding.message.replace(str(standing.lock_file), "")
            key = (standing.table, finding.check, message)
            groups.setdefault(key, []).append(standing)
            first.setdefault(key, finding)
    return tuple(
        Told(about=_all_of(groups[key]), table=key[0], finding=finding)
        for key, finding in first.items()
    )


def _all_of(standings: Sequence[Standing]) -> str:
    others = len(standings) - 1
    targets = "target" if others == 1 else "targets"
    return f"{standings[0]}{f' and {others} other {targets}' if others else ''}"


def _is_sure(standing: Standing, over: int) -> bool:
    """Say whether what is too large will still be so once it is built."""
    bound = standing.size and standing.size.bound
    if bound is Bound.ABOUT:
        return over > standing.most // _NEAR
    return bound not in _NO_LESS


def _is_near(standing: Standing, over: int) -> bool:
    """Say whether building may show that it is on the limit's other side."""
    bound = standing.size and standing.size.bound
    if bound in _NO_LESS:
        return over > 0
    return bound is Bound.ABOUT and abs(over) <= standing.most // _NEAR


def _near(standing: Standing, over: int) -> Finding:
    side = f"{over:,} more than" if over > 0 else f"{-over:,} less than"
    names = standing.name
    if standing.kind is Kind.FUNCTION:
        names = " ".join(each.title for each in standing.own_layers)
    return Finding(
        check="near-limit",
        severity=Severity.WARNING,
        message=f"it has {standing.size} unzipped, {side} the {standing.most:,} that "
        f"it may have: only a build tells{_and_largest(standing.parts)}",
        remedy=f"Build, and take the sizes: layerforge build {names} && layerforge "
        f"lock {names}",
    )


def _and_largest(parts: Iterable[Part]) -> str:
    known = [(part.size.bytes, part.title) for part in parts if part.size]
    largest = sorted(known, key=lambda pair: (-pair[0], pair[1]))[:_LARGEST]
    named = [
        f"{title} {size / _MIB:.1f} MiB" for size, title in largest if size > _LEAST
    ]
    return f". The largest: {', '.join(named)}" if named else ""
