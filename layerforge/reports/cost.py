"""What a change costs, since a revision: for a terminal, a pull request, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from layerforge.check.cost import Cost, FunctionCost, LayerCost, PackageCost
from layerforge.inventory import Package
from layerforge.reports.columns import bytes_of, clipped, columns, counted, signed
from layerforge.reports.markdown import code, table
from layerforge.reports.paths import shown_place

_NAME_WIDTH: Final = 24
_VERSION_WIDTH: Final = 14
_SHOWN: Final = 10  # packages of a layer on a terminal
_LISTED: Final = 200  # rows in Markdown: a comment on GitHub has 65,536 characters
_NOTHING: Final = "-"

_Row = tuple[str, ...]


def cost_text(cost: Cost) -> str:
    """Say what layers and functions weigh more or less, in at most 80 columns."""
    blocks = [f"since {cost.revision}: {_total(cost)}"]
    blocks += [_layer(alike) for alike in _alike(cost.layers)]
    if cost.functions:
        rows = [_function_row(each) for each in cost.functions]
        head = ("function", "target", "before", "after", "change")
        blocks.append("\n".join(columns([head, *rows], right="<<>>>")))
    return "\n\n".join([*blocks, *_left_out(cost)])


def cost_markdown(cost: Cost) -> str:
    """Say the same in GitHub's Markdown, for a comment on a pull request."""
    blocks = [f"### Since {code(cost.revision)}: {_total(cost)}"]
    if cost.layers:
        head = ("layer", "target", "before", "after", "change")
        rows = [(code(each.name), each.target, *_sizes(each)) for each in cost.layers]
        blocks.append("\n".join(table([head, *rows], right="<<>>>")))
        blocks.append(_packages_markdown(cost))
    if cost.functions:
        head = ("function", "target", "before", "after", "change")
        functions = [
            (code(name), *others)
            for name, *others in map(_function_row, cost.functions)
        ]
        blocks.append("\n".join(table([head, *functions], right="<<>>>")))
    return "\n\n".join(filter(None, [*blocks, *_left_out(cost)]))


def cost_document(cost: Cost) -> dict[str, Any]:
    """Give the same as JSON's values, in bytes; null is what was or is not."""
    return {
        "revision": cost.revision,
        "layers": [
            {
                "name": layer.name,
                "target": layer.target,
                "before": layer.before,
                "after": layer.after,
                "growth": layer.growth,
                "packages": [_package_document(each) for each in layer.packages],
            }
            for layer in cost.layers
        ],
        "functions": [
            {**asdict(each), "growth": each.growth} for each in cost.functions
        ],
        "unknown": list(cost.unknown),
        "unread": list(cost.unread),
    }


def _total(cost: Cost) -> str:
    if not cost.layers:
        known = not (cost.unknown or cost.unread)
        return "no package changed" if known else "no change is known"
    growth = sum(layer.growth for layer in cost.layers)
    number = len(cost.layers)
    zips = "one zip" if number == 1 else f"{number:,} zips"
    return f"{signed(growth)} bytes in {zips}"


def _alike(layers: Iterable[LayerCost]) -> list[list[LayerCost]]:
    """Put together what changed in the same way for several targets of a layer."""
    groups: dict[LayerCost, list[LayerCost]] = {}
    for layer in layers:
        groups.setdefault(replace(layer, target=""), []).append(layer)
    return [*groups.values()]


def _layer(alike: Sequence[LayerCost]) -> str:
    layer = alike[0]
    others = len(alike) - 1
    more = f" and {counted(others, 'other target')}" if others else ""
    before, after, change = _sizes(layer)
    lines = [
        f"{layer.name} for {layer.target}{more}",
        f"  {before} → {after} bytes, {change}",
    ]
    if layer.packages:
        head = ("package", "before", "after", "bytes", "change")
        rows = [head, *map(_package_row, layer.packages[:_SHOWN])]
        lines += [f"  {line}" for line in columns(rows, right="<<<>>")]
    if len(layer.packages) > _SHOWN:
        lines.append(f"  and {len(layer.packages) - _SHOWN:,} more")
    return "\n".join(lines)


def _packages_markdown(cost: Cost) -> str:
    rows: list[_Row] = [
        (code(layer.name), layer.target, *_package_cells(each))
        for layer in cost.layers
        for each in layer.packages
    ]
    if not rows:
        return ""
    head = (
        "layer",
        "target",
        "package",
        "version before",
        "version after",
        "bytes before",
        "bytes after",
        "change",
    )
    lines = table([head, *rows[:_LISTED]], right="<<<<<>>>")
    more = len(rows) - _LISTED
    summary = f"<details><summary>{counted(len(rows), 'package')}</summary>"
    rest = ["", f"and {more:,} more"] if more > 0 else []
    return "\n".join([summary, "", *lines, *rest, "", "</details>"])


def _package_row(change: PackageCost) -> _Row:
    package = change.after or change.before
    name = shown_place(package.name, package.location, _NAME_WIDTH) if package else ""
    return (
        name,
        clipped(_version(change.before), _VERSION_WIDTH),
        clipped(_version(change.after), _VERSION_WIDTH),
        _size(change.after),
        signed(change.growth),
    )


def _package_cells(change: PackageCost) -> _Row:
    package = change.after or change.before
    return (
        code(shown_place(package.name, package.location)) if package else "",
        _version(change.before),
        _version(change.after),
        _size(change.before),
        _size(change.after),
        signed(change.growth),
    )


def _function_row(function: FunctionCost) -> _Row:
    name = clipped(function.name, _NAME_WIDTH)
    return name, function.target or "?", *_sizes(function)


def _sizes(cost: LayerCost | FunctionCost) -> _Row:
    before = _NOTHING if cost.before is None else bytes_of(cost.before)
    after = _NOTHING if cost.after is None else bytes_of(cost.after)
    return before, after, signed(cost.growth)


def _version(package: Package | None) -> str:
    return _NOTHING if package is None else package.version or "?"


def _size(package: Package | None) -> str:
    return _NOTHING if package is None else bytes_of(package.size)


def _package_document(change: PackageCost) -> dict[str, Any]:
    return {
        "before": asdict(change.before) if change.before else None,
        "after": asdict(change.after) if change.after else None,
        "growth": change.growth,
    }


def _left_out(cost: Cost) -> Iterable[str]:
    yield from _listed("not weighed now", cost.unknown)
    yield from _listed(f"without sizes in {cost.revision}", cost.unread)


def _listed(title: str, names: Sequence[str]) -> Iterable[str]:
    if names:
        yield f"{title}: {', '.join(names)}"
