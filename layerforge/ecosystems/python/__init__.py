"""Python layers: pip's requirements, wheels, /opt/python."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from layerforge.ecosystems import Tools
from layerforge.ecosystems.python.artifacts import (
    fetch_packs,
    learn_packs,
    open_client,
    present_packs,
)
from layerforge.ecosystems.python.foreign import (
    export_requirements,
    read_foreign_pylock,
)
from layerforge.ecosystems.python.namespace import same_or_namespace
from layerforge.ecosystems.python.requirements import Asked, read_requirements
from layerforge.ecosystems.python.resolve import Resolver
from layerforge.ecosystems.python.uv import Uv
from layerforge.ecosystems.python.wheel import ROOT
from layerforge.errors import LockError
from layerforge.indexes import machine_settings
from layerforge.lock import Lock, Pin, lock_path
from layerforge.pack import Pack
from layerforge.spec import LayerSpec
from layerforge.target import Target
from layerforge.tree import FileEntry


@dataclass(frozen=True, slots=True)
class _Python:
    """What `Ecosystem` promises, for the Python runtimes."""

    root: str = ROOT

    def inputs(self, spec: LayerSpec, target: Target) -> str:
        return _digest(read_requirements(spec.requirements), spec, target)

    def resolve(
        self,
        spec: LayerSpec,
        target: Target,
        tools: Tools,
        *,
        preferred: Sequence[Pin],
        whole: bool,
    ) -> tuple[Lock, Mapping[str, Pack]]:
        asked = export_requirements(spec.requirements)
        indexes = tools.indexes.or_else(asked.indexes).or_else(machine_settings())
        file = spec.requirements.file
        folder = file.parent.resolve() if file else Path.cwd()
        uv = Uv(indexes=indexes, cache=tools.store.root / "uv", folder=folder)
        with open_client(indexes) as client:
            resolver = Resolver(
                uv=uv, client=client, target=target, provided=_provided(spec, target)
            )
            document = read_foreign_pylock(spec.requirements, uv)
            if document is None:
                pins = resolver.from_requirements(asked, preferred)
                wanted = asked.parsed
            else:
                pins = resolver.from_pylock(document, folder)
                wanted = tuple(Requirement(f"{p.name}=={p.version}") for p in pins)
            packs = learn_packs(pins, client, tools, whole=whole)
        resolution = resolver.audited(pins, packs, wanted)
        lock = Lock(
            layer=spec.name,
            target=str(target),
            inputs=self.inputs(spec, target),
            roots=resolution.roots,
            pins=resolution.pins,
            provided=_provided(spec, target),
        )
        return lock, packs

    def check(self, lock: Lock, spec: LayerSpec) -> None:
        versions = {pin.name: pin.version for pin in lock.pins}
        for asked in read_requirements(spec.requirements).parsed:
            name = canonicalize_name(asked.name)
            pinned = versions.get(name)
            if pinned and not asked.specifier.contains(pinned, True):
                raise LockError(
                    f"the requirements ask for {asked}, the lock pins {name} {pinned}",
                )

    def obtain(self, lock: Lock, tools: Tools) -> tuple[Pack, ...]:
        packs = present_packs(lock.pins, tools)
        missing = [pin for pin in lock.pins if pin.name not in packs]
        if missing:
            indexes = tools.indexes.or_else(machine_settings())
            with open_client(indexes) as client:
                packs |= fetch_packs(missing, client, tools)
        return tuple(packs[pin.name] for pin in lock.pins)

    def lay_out(
        self, packs: Sequence[Pack], target: Target, tools: Tools
    ) -> tuple[FileEntry, ...]:
        return tuple(
            _with_shebang(entry, target, tools) if entry.path in pack.scripts else entry
            for pack in packs
            for entry in pack.entries
        )

    def same(self, one: FileEntry, other: FileEntry) -> bool:
        return same_or_namespace(one, other)

    def lock_path(self, folder: Path, layer: str, target: Target) -> Path:
        return lock_path(folder, layer, target)


ECOSYSTEM: Final = _Python()


def _digest(asked: Asked, spec: LayerSpec, target: Target) -> str:
    parts = [asked.digest, str(target), *_provided(spec, target)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _provided(spec: LayerSpec, target: Target) -> tuple[str, ...]:
    return target.runtime.sdk if spec.exclude_runtime_sdk else ()


def _with_shebang(entry: FileEntry, target: Target, tools: Tools) -> FileEntry:
    """Have a script run by the runtime's own interpreter (PEP 427 leaves it open)."""
    if entry.content is None:
        return entry
    line = f"#!/var/lang/bin/python{target.runtime.version}"
    transform = f"first line {line}"
    content = tools.store.derived(entry.content.sha256, transform)
    if content is None:
        _, newline, rest = entry.content.inflated().partition(b"\n")
        script = line.encode() + newline + rest
        content = tools.store.derive(entry.content.sha256, transform, script)
    return replace(entry, content=content, executable=True)
