"""How a Python layer's lock is made: read, resolve, learn, audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from layerforge.ecosystems import Tools
from layerforge.ecosystems.python.artifacts import learn_packs, open_client
from layerforge.ecosystems.python.foreign import (
    export_requirements,
    read_foreign_pylock,
)
from layerforge.ecosystems.python.inputs import inputs_digest, provided_packages
from layerforge.ecosystems.python.resolve import Resolver
from layerforge.ecosystems.python.uv import Uv
from layerforge.indexes import machine_settings
from layerforge.lock import Lock, Pin
from layerforge.pack import Pack
from layerforge.spec import LayerSpec
from layerforge.target import Target


def make_lock(
    spec: LayerSpec,
    target: Target,
    tools: Tools,
    *,
    preferred: Sequence[Pin],
) -> tuple[Lock, Mapping[str, Pack]]:
    """Resolve a layer for a target, and give what is known of each pin's wheel."""
    asked = export_requirements(spec.requirements)
    indexes = tools.indexes.or_else(asked.indexes).or_else(machine_settings())
    file = spec.requirements.file
    folder = file.parent.resolve() if file else Path.cwd()
    uv = Uv(indexes=indexes, cache=tools.store.root / "uv", folder=folder)
    provided = provided_packages(spec, target)
    with open_client(indexes) as client:
        resolver = Resolver(
            uv=uv,
            client=client,
            target=target,
            provided=provided,
        )
        document = read_foreign_pylock(spec.requirements, uv)
        if document is None:
            pins = resolver.from_requirements(asked, preferred)
            wanted = asked.parsed
        else:
            pins = resolver.from_pylock(document, folder)
            wanted = tuple(Requirement(f"{p.name}=={p.version}") for p in pins)
        packs = learn_packs(pins, client, tools)
    resolution = resolver.audited(pins, packs, wanted)
    lock = Lock(
        layer=spec.name,
        target=str(target),
        inputs=inputs_digest(spec, target),
        roots=resolution.roots,
        pins=resolution.pins,
        provided=provided,
    )
    return lock, packs
