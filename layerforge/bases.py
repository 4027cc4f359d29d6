"""Layers that stand on others: what those have already is left out.

A lock names everything that its layer needs, so that one resolution is for all of them
and the lock is good by itself. What a base has is taken out when the lock is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from layerforge.errors import LockError
from layerforge.lock import Lock, Pin


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a layer stands on: another's lock, and where that is."""

    path: Path
    lock: Lock


def without_provided(lock: Lock, bases: Sequence[Lock]) -> Lock:
    """Leave out of a lock what the locks of its ``bases`` pin.

    Raises `LockError` where they pin another version, with who wants which.
    """
    if not bases:
        return lock
    provided = _provided(bases)
    clashes = [
        (pin.id, (lock, pin), provided[pin.id])
        for pin in lock.pins
        if pin.id in provided and not _same(pin, provided[pin.id][1])
    ]
    if clashes:
        _, (lock, _), (base, _) = clashes[0]
        moved = f"Where {base.layer} has changed since: layerforge lock {lock.layer}. "
        raise _disagreement(clashes, lock.target, moved + "Otherwise have one of them")
    own = [pin for pin in lock.pins if pin.id not in provided]
    left = {pin.id for pin in own}
    return replace(
        lock,
        roots=tuple(root for root in lock.roots if root not in provided),
        provided=tuple(sorted({*lock.provided, *provided})),
        pins=tuple(
            replace(
                pin,
                dependencies=tuple(name for name in pin.dependencies if name in left),
            )
            for pin in own
        ),
    )


_Holder = tuple[Lock, Pin]


def _provided(bases: Iterable[Lock]) -> dict[str, _Holder]:
    provided: dict[str, _Holder] = {}
    clashes = []
    for base in bases:
        for pin in base.pins:
            present = provided.setdefault(pin.id, (base, pin))
            if not _same(pin, present[1]):
                clashes.append((pin.id, present, (base, pin)))
    if clashes:
        raise _disagreement(clashes, clashes[0][1][0].target, "Have one of them")
    return provided


def _same(one: Pin, other: Pin) -> bool:
    return (one.name, one.version) == (other.name, other.version)


def _disagreement(
    clashes: Sequence[tuple[str, _Holder, _Holder]], target: str, remedy: str
) -> LockError:
    lines = "".join(
        f"\n  {identifier}: {_told(*one)}, {_told(*other)}"
        for identifier, one, other in clashes
    )
    identifier, (lock, _), (base, _) = clashes[0]
    return LockError(
        f"{lock.layer} and {base.layer} need different versions for {target}:{lines}",
        remedy=f"{remedy} ask for {identifier} as both can have it, and lock both: "
        f"layerforge lock {base.layer} {lock.layer}",
    )


def _told(lock: Lock, pin: Pin) -> str:
    users = ", ".join(lock.wanted_by(pin.id, "its own requirements"))
    return f"{lock.layer} has {pin.version} (for {users})"
