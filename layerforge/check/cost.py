"""What a change costs: layers as they were, layers as their locks are now. Pure.

Bytes are those that are kept of packages: files of the user's own aren't compared. A
forecast that was corrected since is no change: then it counts as it does now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from layerforge.check import Standing, Survey
from layerforge.check.history import Past
from layerforge.difference import changed
from layerforge.inventory import Package
from layerforge.weighed import Weighed, weighed_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageCost:
    """A package before and after; None where it was not, or is no more."""

    before: Package | None
    after: Package | None

    @property
    def growth(self) -> int:
        """Bytes that it takes more."""
        return (self.after.size if self.after else 0) - (
            self.before.size if self.before else 0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """A layer for a target before and after, in bytes; None where there was none.

    ``packages`` are those that changed, by how much they weigh more or less.
    """

    name: str
    target: str
    before: int | None
    after: int | None
    packages: tuple[PackageCost, ...]

    @property
    def growth(self) -> int:
        """Bytes that it has more."""
        return (self.after or 0) - (self.before or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCost:
    """A function before and after: what its own layers have, None where none knows."""

    name: str
    target: str
    before: int | None
    after: int

    @property
    def growth(self) -> int:
        """Bytes that they have more."""
        return self.after - (self.before or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """All that changed since ``revision``, the largest change first.

    ``unknown`` are layers whose locks can't be weighed now, ``unread`` files of then
    that can't be.
    """

    revision: str
    layers: tuple[LayerCost, ...]
    functions: tuple[FunctionCost, ...]
    unknown: tuple[str, ...]
    unread: tuple[str, ...]


def cost_since(past: Past, check: Survey, *, gone: bool = True) -> Cost:
    """Compare what was checked with the past, and what is ``gone`` since."""
    now = {(each.name, each.target): each for each in check.layers}
    weighed = {key: weighed_of(each.lock) for key, each in now.items() if each.lock}
    known = {key: each for key, each in weighed.items() if each}
    then = {
        key: _corrected(each, known[key]) if key in known else each
        for key, each in past.layers.items()
    }
    past = replace(past, layers=then)
    keys = known.keys() | (past.layers.keys() - now.keys() if gone else set())
    keys = {key for key in keys if not past.lost(*key)}
    layers = (
        _layer_cost(key, past.layers.get(key), known.get(key)) for key in sorted(keys)
    )
    functions = (_function_cost(each, past, known) for each in check.functions)
    return Cost(
        revision=past.revision,
        layers=_by_weight(each for each in layers if _changed(each)),
        functions=tuple(
            sorted(
                (each for each in functions if each and each.before != each.after),
                key=lambda each: (-abs(each.growth), each.name, each.target),
            )
        ),
        unknown=tuple(str(now[key]) for key in sorted(now.keys() - known.keys())),
        unread=past.unread,
    )


def _changed(layer: LayerCost) -> bool:
    return bool(layer.packages) or None in {layer.before, layer.after}


def _by_weight(layers: Iterable[LayerCost]) -> tuple[LayerCost, ...]:
    return tuple(
        sorted(layers, key=lambda each: (-abs(each.growth), each.name, each.target))
    )


def _layer_cost(
    key: tuple[str, str], before: Weighed | None, after: Weighed | None
) -> LayerCost:
    found = changed(_packages(before), _packages(after))
    packages = (PackageCost(before=old, after=new) for _, old, new in found)
    name, target = key
    return LayerCost(
        name=name,
        target=target,
        before=before.size if before else None,
        after=after.size if after else None,
        packages=tuple(sorted(packages, key=lambda each: -abs(each.growth))),
    )


def _corrected(before: Weighed, after: Weighed) -> Weighed:
    """Weigh again, as it is known now, what was weighed without its archive."""
    if before.stripping != after.stripping:
        return before
    now = {
        (each.key, each.version, each.digest): each.size
        for each in after.packages
        if each.key in before.predicted | after.predicted
    }
    packages = (
        replace(each, size=now.get((each.key, each.version, each.digest), each.size))
        for each in before.packages
    )
    return replace(before, packages=tuple(packages))


def _packages(weighed: Weighed | None) -> dict[str, Package]:
    """Give packages by their keys, without digests: a ledger has none."""
    packages = weighed.packages if weighed else ()
    return {each.key: replace(each, digest="") for each in packages}


def _function_cost(
    function: Standing, past: Past, known: Mapping[tuple[str, str], Weighed]
) -> FunctionCost | None:
    names = [part.title for part in function.own_layers]
    after = _sum(names, function.target, known)
    if after is None or any(past.lost(name, function.target) for name in names):
        return None
    then = past.functions.get(function.name)
    before = None if then is None else _sum(then, function.target, past.layers)
    return FunctionCost(
        name=function.name, target=function.target, before=before, after=after
    )


def _sum(
    names: Iterable[str], target: str, layers: Mapping[tuple[str, str], Weighed]
) -> int | None:
    """Add layers up, if all of them are known; those by ARN are others'."""
    own = [(name, target) for name in names if not name.startswith("arn:")]
    if any(key not in layers for key in own):
        return None
    return sum(layers[key].size for key in own)
