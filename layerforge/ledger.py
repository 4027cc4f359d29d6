"""What each package weighs in a layer, before and after stripping and trimming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from layerforge.lock import Lock, Weight
from layerforge.pack import Pack
from layerforge.strip import Stripped, Stripping, strip
from layerforge.tree import FileEntry
from layerforge.trim import as_trimmed

_MARGIN: Final = 0.02  # of what a package weighs, predictions have been within


def weigh(pack: Pack, left: Sequence[FileEntry], *, trim: bool) -> Weight:
    """Say what one package weighs, in bytes, on its own: collisions aside.

    ``left`` are the entries that stripping leaves of it.
    """
    final = as_trimmed(left) if trim else left
    return Weight(
        unzipped=pack.size,
        kept=sum(entry.size for entry in final),
        predicted=pack.predicted and trim and any(map(_may_shrink, left)),
    )


def _may_shrink(entry: FileEntry) -> bool:
    """Say whether an entry may be a library, whose tail is cut when it is read."""
    return entry.elf is not None or ".so" in entry.path.rpartition("/")[2]


def same_sizes(measured: Lock, told: Lock) -> bool:
    """Say whether what a lock tells holds: a prediction does within its margin."""
    weights = {pin.id: pin.weight for pin in told.pins}
    return all(
        _holds(pin.weight, weights.get(pin.id)) for pin in measured.pins if pin.weight
    )


def _holds(measured: Weight, told: Weight | None) -> bool:
    if told is None or told.unzipped != measured.unzipped:
        return False
    margin = measured.kept * _MARGIN if told.predicted else 0
    return abs(told.kept - measured.kept) <= margin


def weighed(
    lock: Lock, packs: Mapping[str, Pack], stripping: Stripping, *, trim: bool
) -> Lock:
    """Give the lock with what each of its pins weighs; ``packs`` are by its id."""
    left = {name: strip(pack.entries, stripping) for name, pack in packs.items()}
    return weighed_as(lock, packs, left, stripping, trim=trim)


def weighed_as(
    lock: Lock,
    packs: Mapping[str, Pack],
    stripped: Mapping[str, Stripped],
    stripping: Stripping,
    *,
    trim: bool,
) -> Lock:
    """Do the same for packs that are ``stripped`` already."""
    pins = tuple(
        replace(
            pin,
            weight=weigh(packs[pin.id], stripped[pin.id].entries, trim=trim),
        )
        for pin in lock.pins
    )
    return replace(lock, pins=pins, stripping=stripping.digest)
