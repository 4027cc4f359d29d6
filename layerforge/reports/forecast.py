"""What layers will weigh, package by package, for all targets, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from layerforge.errors import VerifyError
from layerforge.forecast import Forecast, PackageForecast
from layerforge.limits import MAX_UNZIPPED, UNZIPPED_LIMIT
from layerforge.reports.columns import bytes_of, clipped, columns
from layerforge.reports.paths import shown_place
from layerforge.reports.prose import wrapped

_WIDTH: Final = 80
_PACKAGE_WIDTH: Final = 30
_VERSION_WIDTH: Final = 14
_SHOWN: Final = 40  # packages; JSON has them all
_INDENT: Final = "  "
_ITSELF: Final = "the layer"
_HEAD: Final = ("package", "unzipped", "stripped", "kept", "required by")


class _Weight(NamedTuple):
    """What a package, or several, weigh for one target."""

    unzipped: int
    kept: int
    version: str = ""
    users: str = ""

    def row(self, title: str) -> tuple[str, ...]:
        """Give the cells of a table's row."""
        stripped = max(0, self.unzipped - self.kept)
        sizes = map(bytes_of, (self.unzipped, stripped, self.kept))
        version = clipped(self.version, _VERSION_WIDTH)
        return f"{title} {version}".rstrip(), *sizes, self.users


_ByTarget = Mapping[str, _Weight]


def forecast_tables(forecasts: Sequence[Forecast]) -> str:
    """Give a table for each layer, with all its targets."""
    layers = groupby(forecasts, key=lambda forecast: forecast.layer)
    return "\n\n".join(_table(layer, list(group)) for layer, group in layers)


def forecast_document(forecast: Forecast) -> dict[str, Any]:
    """Give a forecast as JSON's values, in bytes."""
    return {
        "layer": forecast.layer,
        "target": forecast.target,
        "unzipped": forecast.total,
        "predicted": forecast.predicted,
        "limit": UNZIPPED_LIMIT,
        "most": forecast.most,
        "excess": forecast.excess,
        "included": forecast.included,
        "bytecode": forecast.bytecode,
        "bytecode_estimate": forecast.bytecode_estimate,
        "packages": [
            _package_document(package)
            for package in sorted(forecast.packages, key=lambda one: -one.kept)
        ],
    }


def _package_document(package: PackageForecast) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version,
        "location": package.location,
        "unzipped": package.unzipped,
        "stripped": package.stripped,
        "kept": package.kept,
        "predicted": package.predicted,
        "asked": package.asked,
        "required_by": list(package.required_by),
    }


def refusal(forecasts: Sequence[Forecast]) -> VerifyError:
    """Say which targets a layer doesn't fit, and what helps."""
    lines = (
        f"{one.layer} for {one.target}: {_verdict(one)}"
        for one in forecasts
        if one.excess or one.is_empty
    )
    remedies = []
    if any(one.excess for one in forecasts):
        remedies.append(
            "Leave something out (--strip slim, --exclude-runtime-sdk, fewer "
            "packages), or split the layer: a function takes five, but their sum has "
            "the same limit."
        )
    if any(one.is_empty for one in forecasts):
        remedies.append(
            "Lambda takes no empty zip: ask for a package that the target needs, and "
            "that no base has."
        )
    return VerifyError("\n".join(lines), remedy=" ".join(remedies))


def _table(layer: str, forecasts: Sequence[Forecast]) -> str:
    targets = [forecast.target for forecast in forecasts]
    rows: list[tuple[str, ...]] = [_HEAD]
    for name, found in _weights(forecasts):
        rows += _rows(name, found, targets)
    lines = [
        *_with_users(rows),
        "",
        *columns([*_verdicts(forecasts)], right="<>>"),
        *_notes(forecasts),
    ]
    title = wrapped(f"{layer} for {', '.join(targets)}", _WIDTH)
    return "\n".join([title, *(f"{_INDENT}{line}".rstrip() for line in lines)])


def _with_users(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Lay rows out; who requires a package stands below, if not all have room beside.

    What the layer itself asks for needs no line of its own then.
    """
    room = _WIDTH - len(_INDENT)
    whole = columns(rows, right="<>>>")
    if max(map(len, whole)) <= room:
        yield from whole
        return
    _, *users = (row[-1] for row in rows)
    head, *lines = columns([row[:-1] for row in rows], right="<>>>")
    yield head
    for line, names in zip(lines, users, strict=True):
        yield line
        if names not in {"", _ITSELF}:
            yield from wrapped(f"{_INDENT}required by {names}", room).split("\n")


def _weights(forecasts: Sequence[Forecast]) -> Iterator[tuple[str, _ByTarget]]:
    """Give what is in the layer by its name: the heaviest package first, sums last."""
    packages: dict[str, dict[str, _Weight]] = {}
    for forecast in forecasts:
        for package in forecast.packages:
            name = shown_place(package.name, package.location)
            weights = packages.setdefault(name, {})
            weights[forecast.target] = _weight(package)
    ordered = sorted(
        packages.items(), key=lambda pair: -max(one.kept for one in pair[1].values())
    )
    yield from ordered[:_SHOWN]
    if more := ordered[_SHOWN:]:
        yield f"{len(more)} more", _sums([weights for _, weights in more])
    own = {one.target: _Weight(one.included, one.included) for one in forecasts}
    if any(forecast.included for forecast in forecasts):
        yield "files of your own", own
    bytecode = {one.target: _Weight(one.bytecode, one.bytecode) for one in forecasts}
    if any(forecast.bytecode for forecast in forecasts):
        yield "bytecode", bytecode
    yield "all", _sums([*packages.values(), own, bytecode])


def _weight(package: PackageForecast) -> _Weight:
    users = ", ".join([*([_ITSELF] if package.asked else []), *package.required_by])
    return _Weight(package.unzipped, package.kept, package.version, users)


def _sums(rows: Sequence[_ByTarget]) -> _ByTarget:
    targets = {target: None for row in rows for target in row}
    return {
        target: _Weight(
            sum(row[target].unzipped for row in rows if target in row),
            sum(row[target].kept for row in rows if target in row),
        )
        for target in targets
    }


def _rows(
    name: str, weights: _ByTarget, targets: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    """Give one row where all targets have the same, and else one for each."""
    found = set(weights.values())
    if len(found) == 1 and len(weights) == len(targets):
        (weight,) = found
        width = _PACKAGE_WIDTH - len(weight.version) - 1
        yield weight.row(shown_place(name, "", width))
        return
    yield name, *[""] * (len(_HEAD) - 1)
    for target, weight in weights.items():
        yield weight.row(f"{_INDENT}{target}")


def _verdicts(forecasts: Sequence[Forecast]) -> Iterator[tuple[str, ...]]:
    about = "about " if any(forecast.predicted for forecast in forecasts) else ""
    yield "target", f"{about}bytes", "of the limit", ""
    for one in forecasts:
        yield one.target, bytes_of(one.total), f"{one.share:.1%}", _verdict(one)


def _verdict(forecast: Forecast) -> str:
    if forecast.is_empty:
        return "nothing is in it"
    if forecast.divided and forecast.total > forecast.most:
        return "in parts"
    return _excess(forecast) if forecast.excess else "fits"


def _excess(forecast: Forecast) -> str:
    own = "" if forecast.most == MAX_UNZIPPED else " for max-unzipped"
    return f"{bytes_of(forecast.excess)} bytes too many{own}"


def _notes(forecasts: Sequence[Forecast]) -> Iterator[str]:
    yield f"Lambda's limit is {bytes_of(UNZIPPED_LIMIT)} bytes: a layer must be smaller"
    left_out = [one.bytecode_estimate for one in forecasts if not one.bytecode]
    if any(left_out):
        estimate = bytes_of(max(left_out))
        yield f"bytecode would add about {estimate} bytes (bytecode = true)"
