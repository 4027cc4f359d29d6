"""Python layers: pip's requirements, wheels, /opt/python.

What a build with nothing to do needs is here; the rest is imported when it is called
for, as it takes longer to import than that build does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from packaging.utils import canonicalize_name

from layerforge.containers.settings import SystemPackages
from layerforge.ecosystems.python.inputs import inputs_digest
from layerforge.ecosystems.python.requirements import read_requirements
from layerforge.ecosystems.python.tags import environment
from layerforge.errors import ConfigError, LockError
from layerforge.files import replace_file
from layerforge.findings import Finding
from layerforge.lock import (
    Lock,
    Pin,
    dump_lock,
    dump_requirements,
    lock_path,
    parse_lock,
    read_lock,
)
from layerforge.spec import LayerSpec
from layerforge.target import Target

if TYPE_CHECKING:  # each costs start-up time
    from layerforge.bases import Base
    from layerforge.containers.image import Image
    from layerforge.imports import Importer
    from layerforge.pack import Pack
    from layerforge.tools import Tools
    from layerforge.tree import FileEntry, Tree
    from layerforge.weighed import Weighed

_ROOT: Final = "python/"


@dataclass(frozen=True, slots=True)
class _Python:
    """What `Ecosystem` promises, for the Python runtimes."""

    def root(self, _spec: LayerSpec, _target: Target) -> str:
        return _ROOT

    def resolve(
        self,
        spec: LayerSpec,
        target: Target,
        tools: Tools,
        *,
        preferred: Sequence[Pin],
        bases: Sequence[Base] = (),
    ) -> tuple[Lock, Mapping[str, Pack]]:
        from layerforge.ecosystems.python.locking import make_lock  # noqa: PLC0415 - as above

        lock, packs = make_lock(spec, target, tools, preferred=preferred, bases=bases)
        return lock, _made_to_run(packs, target, tools)

    def hold(self, lock: Lock, path: Path, spec: LayerSpec, target: Target) -> None:
        if lock.inputs != inputs_digest(spec, target):
            raise LockError(
                f"{path} was made from other requirements than {spec.name} has now"
            )

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

        packs = {pack.name: pack for pack in obtain_packs(lock, spec, target, tools)}
        return tuple(_made_to_run(packs, target, tools).values())

    def learn(
        self, lock: Lock, spec: LayerSpec, target: Target, tools: Tools
    ) -> Mapping[str, Pack]:
        from layerforge.ecosystems.python.packs import (  # noqa: PLC0415 - as above
            learn_locked,
        )

        return _made_to_run(learn_locked(lock, spec, target, tools), target, tools)

    def foresee(
        self, spec: LayerSpec, target: Target, tools: Tools, bases: Sequence[Base]
    ) -> tuple[Lock, Mapping[str, Pack]]:
        return self.resolve(spec, target, tools, preferred=(), bases=bases)

    def shake(
        self,
        _entries: Sequence[FileEntry],
        spec: LayerSpec,
        _target: Target,
        _tools: Tools,
    ) -> tuple[FileEntry, ...]:
        raise ConfigError(f"{spec.name}: no layer for Python can be shaken")

    def verify(self, tree: Tree, target: Target) -> tuple[Finding, ...]:
        from layerforge.ecosystems.python.checks import (  # noqa: PLC0415 - as above
            verify_python,
        )

        return verify_python(tree, target)

    def loaded(self, tree: Tree, target: Target) -> frozenset[str]:
        from layerforge.ecosystems.python.reach import (  # noqa: PLC0415 - as above
            find_loaded,
        )

        return find_loaded(tree, target)

    def lay_out(
        self, packs: Sequence[Pack], _target: Target, _tools: Tools
    ) -> tuple[FileEntry, ...]:
        return tuple(entry for pack in packs for entry in pack.entries)

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

    def importer(self, _tools: Tools) -> Importer:
        from layerforge.ecosystems.python import probing  # noqa: PLC0415 - as above

        return probing

    def spell(self, name: str) -> str:
        return canonicalize_name(name)

    def lock_path(self, folder: Path, spec: LayerSpec, target: Target) -> Path:
        return lock_path(folder, spec.name, target)

    def read_lock(self, path: Path, _spec: LayerSpec, _target: Target) -> Lock:
        return read_lock(path)

    def write_lock(
        self, path: Path, lock: Lock, _spec: LayerSpec, target: Target
    ) -> None:
        text = dump_lock(lock, target, path.parent)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            replace_file(path, text)

    def keep_weights(self, _lock: Lock, _spec: LayerSpec, _target: Target) -> bool:
        return False

    def recalls(self, name: str) -> bool:
        return name.startswith("pylock.") and name.endswith(".toml")

    def recall(self, data: bytes, path: Path) -> Weighed | None:
        from layerforge.weighed import weighed_of  # noqa: PLC0415 - as above

        return weighed_of(parse_lock(data, path))

    def export(self, lock: Lock) -> str:
        return dump_requirements(lock)


ECOSYSTEM: Final = _Python()


def _made_to_run(
    packs: Mapping[str, Pack], target: Target, tools: Tools
) -> Mapping[str, Pack]:
    """Give packs as they are in a layer for a target, scripts and all."""
    from layerforge.ecosystems.python.scripts import with_shebangs  # noqa: PLC0415 - as above

    return {
        name: with_shebangs(pack, target, tools.store) for name, pack in packs.items()
    }
