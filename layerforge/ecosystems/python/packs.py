"""Every pin's pack: of the wheel that an index has, or that its source is made into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layerforge.client import Client
from layerforge.ecosystems.python.artifacts import (
    fetch_packs,
    find_indexes,
    known_packs,
    learn_wheels,
    open_client,
    present_packs,
)
from layerforge.ecosystems.python.requirements import read_requirements
from layerforge.ecosystems.python.sdist import Compiler
from layerforge.events import Noted
from layerforge.indexes import IndexSettings
from layerforge.lock import Lock, Pin
from layerforge.pack import Pack
from layerforge.spec import LayerSpec
from layerforge.target import Target
from layerforge.tools import Tools


def learn_packs(pins: Sequence[Pin], compiler: Compiler) -> Mapping[str, Pack]:
    """Give every pin's pack, by name, as far as a lock needs it.

    No wheel is fetched that can be looked at from afar. A source must be compiled,
    as nothing else tells what it needs and weighs.
    """
    sources = [pin for pin in pins if pin.source]
    wheels = [pin for pin in pins if not pin.source]
    compiled = compiler.packs(sources)
    return {**learn_wheels(wheels, compiler.client, compiler.tools), **compiled}


def learn_locked(
    lock: Lock, spec: LayerSpec, target: Target, tools: Tools
) -> Mapping[str, Pack]:
    """Do the same for the pins of a lock; of what must be compiled, that is said."""
    sources = [pin for pin in lock.pins if pin.source]
    known = known_packs([pin for pin in lock.pins if not pin.source], tools)
    if len(known) == len(lock.pins):
        return known
    if sources:
        named = ", ".join(map(str, sources))
        message = f"nothing less than compiling tells what {named} weighs"
        tools.listen(Noted(message=message))
    indexes = find_indexes(tools, read_requirements(spec.requirements).settings)
    with open_client(indexes) as client:
        compiler = _compiler(spec, target, indexes, client, tools)
        return learn_packs(lock.pins, compiler)


def obtain_packs(
    lock: Lock, spec: LayerSpec, target: Target, tools: Tools
) -> tuple[Pack, ...]:
    """Have every pin's wheel in the store, and give the packs in the lock's order."""
    sources = [pin for pin in lock.pins if pin.source]
    wheels = [pin for pin in lock.pins if not pin.source]
    packs = present_packs(wheels, tools)
    missing = [pin for pin in wheels if pin.name not in packs]
    if missing or sources:
        indexes = find_indexes(tools, read_requirements(spec.requirements).settings)
        with open_client(indexes) as client:
            packs |= fetch_packs(missing, client, tools)
            compiler = _compiler(spec, target, indexes, client, tools)
            packs |= compiler.packs(sources)
    return tuple(packs[pin.name] for pin in lock.pins)


def _compiler(
    spec: LayerSpec,
    target: Target,
    indexes: IndexSettings,
    client: Client,
    tools: Tools,
) -> Compiler:
    return Compiler(
        target=target,
        packages=spec.system_packages,
        indexes=indexes,
        client=client,
        tools=tools,
    )
