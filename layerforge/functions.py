"""``[functions]`` of layerforge.toml, read: what holds the layers, for its budget.

[functions.api]
layers = ["web", "base", "arn:aws:lambda:eu-west-1:123456789012:layer:theirs:3"]
code = "build/api.zip"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from layerforge.fields import Fields, Wrong, a_list_of, a_size, a_text, read_each
from layerforge.spec import ForeignLayer, FunctionSpec, LayerSpec
from layerforge.target import Arch, Runtime, Target

# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
FUNCTION_NAME: Final = r"[a-zA-Z0-9_-]{1,64}"
ARN: Final = r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:layer:[a-zA-Z0-9_-]+:\d+"

_KEYS: Final = {"arn", "unzipped"}


def read_functions(
    top: Fields,
    layers: Sequence[LayerSpec],
    folder: Path,
    *,
    a_runtime: Callable[[object], Runtime],
    an_arch: Callable[[object], Arch],
) -> tuple[FunctionSpec, ...]:
    """Read every function, in the order in which they stand there.

    A layer that isn't for a function's runtime and architecture is a mistake.
    """
    known = {layer.name: layer for layer in layers}
    known |= {name: layer for layer in layers for name in layer.part_names}
    nothing: tuple[str | ForeignLayer, ...] = ()
    functions = []
    for name, fields in top.tables("functions", FUNCTION_NAME):
        held = fields.get("layers", a_list_of(_a_layer_of(known)), nothing)
        _refuse_twins(held, known, fields)
        runtime = fields.get("runtime", a_runtime, None)
        arch = fields.get("architecture", an_arch, None)
        function = FunctionSpec(
            name=name,
            layers=held,
            code=fields.get("code", _code_in(folder), None),
            targets=_targets(held, known, runtime, arch, fields),
        )
        fields.finish()
        functions.append(function)
    return tuple(functions)


def _a_layer_of(
    known: Mapping[str, LayerSpec],
) -> Callable[[object], str | ForeignLayer]:
    arn = a_text(form=ARN)

    def read(value: object) -> str | ForeignLayer:
        if isinstance(value, dict):
            if "arn" not in value or value.keys() - _KEYS:
                raise Wrong('a layer: {arn = "…", unzipped = 12345678}')
            (name,) = read_each([(".arn", value["arn"], arn)])
            sizes = [value["unzipped"]] if "unzipped" in value else []
            told = read_each([(".unzipped", size, a_size) for size in sizes])
            return ForeignLayer(arn=name, unzipped=told[0] if told else None)
        name = a_text()(value)
        if name.startswith("arn:"):
            return ForeignLayer(arn=arn(name))
        if name not in known:
            raise Wrong(f"a layer ({', '.join(known) or 'there is none'}), or an ARN")
        return name

    return read


def _refuse_twins(
    held: Sequence[str | ForeignLayer],
    known: Mapping[str, LayerSpec],
    fields: Fields,
) -> None:
    """Refuse what Lambda does: a layer twice, in two versions or as a part of it."""
    seen: set[str] = set()
    for number, layer in enumerate(held):
        found = layer.arn if isinstance(layer, ForeignLayer) else layer
        name = found.rpartition(":")[0] or found
        if name in seen:
            fields.wrong(f"layers[{number}]", "each layer once, in one version", found)
        seen.add(name)
    for number, owner in _own(held, known):
        if owner.name in seen and held[number] != owner.name:
            expected = f"no part of {owner.name} beside {owner.name} itself"
            fields.wrong(f"layers[{number}]", expected, held[number])


def _code_in(folder: Path) -> Callable[[object], Path | int]:
    def read(value: object) -> Path | int:
        try:
            return a_size(value)
        except Wrong:
            if isinstance(value, str) and value.strip() and value.isprintable():
                return folder / value
        raise Wrong('a zip, a folder, or bytes: 12000000, "12 MB"')

    return read


def _targets(
    held: Sequence[str | ForeignLayer],
    known: Mapping[str, LayerSpec],
    runtime: Runtime | None,
    arch: Arch | None,
    fields: Fields,
) -> tuple[Target, ...]:
    """Give the targets that all layers have, of those that the function allows."""

    def allowed(target: Target) -> bool:
        return runtime in {None, target.runtime} and arch in {None, target.arch}

    left = None
    for number, layer in _own(held, known):
        made_for = _targets_of(layer)
        if not made_for:
            continue  # whoever makes jobs of it says so
        fitting = [
            target
            for target in made_for
            if allowed(target) and (left is None or target in left)
        ]
        if not fitting:
            fields.wrong(
                f"layers[{number}]",
                f"a layer for {_wanted(left, runtime, arch)}, and it is for "
                f"{', '.join(map(str, made_for))}",
                layer.name,
            )
            return ()
        left = fitting
    if left is None and runtime and arch:
        return (Target(runtime=runtime, arch=arch),)
    return tuple(left or ())


def _targets_of(layer: LayerSpec) -> list[Target]:
    """Give a layer's targets; [defaults] may name runtimes of other languages."""
    language = layer.requirements.language
    return [one for one in layer.targets if one.runtime.language == language]


def _own(
    held: Sequence[str | ForeignLayer], known: Mapping[str, LayerSpec]
) -> Iterator[tuple[int, LayerSpec]]:
    for number, layer in enumerate(held):
        if not isinstance(layer, ForeignLayer):
            yield number, known[layer]


def _wanted(
    left: Sequence[Target] | None, runtime: Runtime | None, arch: Arch | None
) -> str:
    if left is None:
        return " on ".join(str(part) for part in (runtime, arch) if part)
    return " or ".join(map(str, left))
