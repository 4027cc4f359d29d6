"""Python layers: pip's requirements, wheels, /opt/python.

What a build with nothing to do needs is here; the rest is imported when it is called
for, as it takes longer to import than that build does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from packaging.utils import canonicalize_name

from layerforge.containers.image import Image
from layerforge.containers.settings import SystemPackages
from layerforge.ecosystems import Tools
from layerforge.ecosystems.python.inputs import inputs_digest
from layerforge.ecosystems.python.requirements import read_requirements
from layerforge.ecosystems.python.tags import environment
from layerforge.errors import LockError
from layerforge.imports import Importer
from layerforge.lock import Lock, Pin, lock_path
from layerforge.pack import Pack
from layerforge.spec import LayerSpec
from layerforge.target import Target
from layerforge.tree import FileEntry

_ROOT: Final = "python/"


@dataclass(frozen=True, slots=True)
class _Python:
    """What `Ecosystem` promises, for the Python runtimes."""

    root: str = _ROOT

    def inputs(self, spec: LayerSpec, target: Target) -> str:
        return inputs_digest(spec, target)

    def resolve(
        self,
        spec: LayerSpec,
        target: Target,
        tools: Tools,
        *,
        preferred: Sequence[Pin],
    ) -> tuple[Lock, Mapping[str, Pack]]:
        from layerforge.ecosystems.python.locking import make_lock  # noqa: PLC0415 - as above

        return make_lock(spec, target, tools, preferred=preferred)

    def check(self, lock: Lock, spec: LayerSpec, target: Target) -> None:
        markers = cast("dict[str, str]", environment(target))
        versions = {pin.name: pin.version for pin in lock.pins}
        for asked in read_requirements(spec.requirements).parsed:
            name = canonicalize_name(asked.name)
            if name in lock.provided:
                continue
            if asked.marker and not asked.marker.evaluate(markers):
                continue
            pinned = versions.get(name)
            if pinned is None or not asked.specifier.contains(pinned, True):
                has = f"pins {name} {pinned}" if pinned else "doesn't pin it"
                raise LockError(f"the requirements ask for {asked}, the lock {has}")

    def obtain(
        self, lock: Lock, spec: LayerSpec, target: Target, tools: Tools
    ) -> tuple[Pack, ...]:
        from layerforge.ecosystems.python.packs import (  # noqa: PLC0415 - as above
            obtain_packs,
        )

        return obtain_packs(lock, spec, target, tools)

    def lay_out(
        self, packs: Sequence[Pack], target: Target, tools: Tools
    ) -> tuple[FileEntry, ...]:
        from layerforge.ecosystems.python.scripts import (  # noqa: PLC0415 - as above
            with_shebangs,
        )

        return with_shebangs(packs, target, tools.store)

    def same(self, one: FileEntry, other: FileEntry) -> bool:
        from layerforge.ecosystems.python.namespace import (  # noqa: PLC0415 - as above
            same_or_namespace,
        )

        return same_or_namespace(one, other)

    def choose_compiler(self, target: Target, present: str, tools: Tools) -> str:
        from layerforge.ecosystems.python.bytecode import (  # noqa: PLC0415 - as above
            choose_interpreter,
        )

        return choose_interpreter(target, present, tools)

    def add_bytecode(
        self,
        entries: Sequence[FileEntry],
        target: Target,
        compiler: str,
        room: int,
        tools: Tools,
    ) -> tuple[FileEntry, ...]:
        from layerforge.ecosystems.python.bytecode import (  # noqa: PLC0415 - as above
            add_bytecode,
        )

        return add_bytecode(entries, target, compiler, room, tools)

    def estimate_bytecode(self, entries: Sequence[FileEntry]) -> int:
        from layerforge.ecosystems.python.bytecode import (  # noqa: PLC0415 - as above
            estimate_bytecode,
        )

        return estimate_bytecode(entries)

    def build_image(
        self, target: Target, packages: SystemPackages, tools: Tools
    ) -> Image:
        from layerforge.ecosystems.python.toolchain import (  # noqa: PLC0415 - as above
            have_build_image,
        )

        return have_build_image(target, packages, tools)

    def importer(self) -> Importer:
        from layerforge.ecosystems.python import probing  # noqa: PLC0415 - as above

        return probing

    def lock_path(self, folder: Path, layer: str, target: Target) -> Path:
        return lock_path(folder, layer, target)


ECOSYSTEM: Final = _Python()
