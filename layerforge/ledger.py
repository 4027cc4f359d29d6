"""What each package weighs in a layer, before and after stripping and trimming."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from layerforge.lock import Lock, Weight
from layerforge.pack import Pack
from layerforge.strip import Stripping, strip
from layerforge.trim import as_trimmed


def weigh(pack: Pack, stripping: Stripping, *, trim: bool) -> Weight:
    """Say what one package weighs, in bytes, on its own: collisions aside."""
    kept = strip(pack.entries, stripping).entries
    final = as_trimmed(kept) if trim else kept
    return Weight(
        unzipped=pack.size,
        kept=sum(entry.size for entry in final),
        predicted=pack.predicted,
    )


def weighed(
    lock: Lock, packs: Mapping[str, Pack], stripping: Stripping, *, trim: bool
) -> Lock:
    """Give the lock with what each of its pins weighs."""
    pins = tuple(
        replace(pin, weight=weigh(packs[pin.id], stripping, trim=trim))
        for pin in lock.pins
    )
    return replace(lock, pins=pins, stripping=stripping.digest)
