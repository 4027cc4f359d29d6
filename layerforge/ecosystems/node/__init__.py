"""Node.js layers: package-lock.json, npm's tarballs, /opt/nodejs.

What a build with nothing to do needs is here; the rest is imported when it is called
for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from layerforge.containers.settings import SystemPackages
from layerforge.ecosystems.node.installation import read_installation, to_lock
from layerforge.ecosystems.node.ledgerfile import (
    parse_ledger,
    with_ledger,
    write_ledger,
)
from layerforge.ecosystems.node.lockfiles import (
    LEDGER,
    hold_to_inputs,
    ledger_path,
    lock_path,
)
from layerforge.ecosystems.node.packagelock import MODULES
from layerforge.errors import BuildError, ConfigError
from layerforge.findings import Finding
from layerforge.lock import Lock, Pin
from layerforge.spec import LayerSpec
from layerforge.target import Target
from layerforge.tools import Tools
from layerforge.tree import FileEntry, Tree, same_file

if TYPE_CHECKING:  # each costs start-up time
    from layerforge.bases import Base
    from layerforge.containers.image import Image
    from layerforge.imports import Importer
    from layerforge.pack import Pack
    from layerforge.weighed import Weighed


def _base(spec: LayerSpec, target: Target) -> str:
    """Name the folder below /opt that holds node_modules, with a slash."""
    return (
        f"nodejs/node{target.runtime.version}/" if spec.versioned_folder else "nodejs/"
    )


def _refuse_pythons(spec: LayerSpec, target: Target) -> None:
    """Refuse what options can ask of any layer, and Node.js has no use for."""
    if spec.bytecode:
        raise _no_bytecode(target)
    if spec.container:
        raise ConfigError(
            "packages for Node.js are the same wherever they are resolved",
            remedy="Leave out --container: install scripts run in one all the same.",
        )


def _no_bytecode(target: Target) -> ConfigError:
    return ConfigError(
        f"bytecode is asked for, and {target.runtime} has none",
        remedy="Leave out --bytecode.",
    )


@dataclass(frozen=True, slots=True)
class _Node:
    """What `Ecosystem` promises, for the Node.js runtimes."""

    def root(self, spec: LayerSpec, target: Target) -> str:
        return _base(spec, target) + MODULES

    def resolve(
        self,
        spec: LayerSpec,
        target: Target,
        tools: Tools,
        *,
        preferred: Sequence[Pin],
        bases: Sequence[Base] = (),
    ) -> tuple[Lock, Mapping[str, Pack]]:
        from layerforge.ecosystems.node.locking import make_lock  # noqa: PLC0415 - as above

        _refuse_pythons(spec, target)
        return make_lock(
            spec, target, _base(spec, target), tools, preferred=preferred, bases=bases
        )

    def hold(self, _lock: Lock, path: Path, spec: LayerSpec, target: Target) -> None:
        _refuse_pythons(spec, target)
        hold_to_inputs(path, spec)

    def check(self, _lock: Lock, _spec: LayerSpec, _target: Target) -> None:
        """Find nothing more: `hold` has seen to all of it."""

    def obtain(
        self, lock: Lock, spec: LayerSpec, target: Target, tools: Tools
    ) -> tuple[Pack, ...]:
        from layerforge.ecosystems.node.packs import obtain_packs  # noqa: PLC0415 - as above

        return obtain_packs(lock, spec, target, _base(spec, target), tools)

    def learn(
        self, lock: Lock, spec: LayerSpec, target: Target, tools: Tools
    ) -> Mapping[str, Pack]:
        from layerforge.ecosystems.node.foresight import learn_packs  # noqa: PLC0415 - as above

        return learn_packs(lock, spec, target, _base(spec, target), tools)

    def foresee(
        self, spec: LayerSpec, target: Target, tools: Tools, bases: Sequence[Base]
    ) -> tuple[Lock, Mapping[str, Pack]]:
        from layerforge.ecosystems.node.foresight import (  # noqa: PLC0415 - as above
            WHOLE,
            set_aside,
        )

        tools.listen(WHOLE)
        with set_aside(spec) as aside:
            return self.resolve(aside, target, tools, preferred=(), bases=bases)

    def shake(
        self,
        entries: Sequence[FileEntry],
        spec: LayerSpec,
        target: Target,
        tools: Tools,
    ) -> tuple[FileEntry, ...]:
        from layerforge.ecosystems.node.shake import shake  # noqa: PLC0415 - as above

        return shake(entries, spec, target, tools)

    def verify(self, tree: Tree, target: Target) -> tuple[Finding, ...]:
        from layerforge.ecosystems.node.binaries import find_missing  # noqa: PLC0415 - as above
        from layerforge.ecosystems.node.esm import find_refused  # noqa: PLC0415 - as above
        from layerforge.ecosystems.node.sdk import find_partial_sdk  # noqa: PLC0415 - as above

        return (
            *find_missing(tree, target),
            *find_refused(tree, target),
            *find_partial_sdk(tree, target),
        )

    def loaded(self, tree: Tree, target: Target) -> frozenset[str]:
        from layerforge.ecosystems.node.reach import find_loaded  # noqa: PLC0415 - as above

        return find_loaded(tree, target)

    def lay_out(
        self, packs: Sequence[Pack], _target: Target, _tools: Tools
    ) -> tuple[FileEntry, ...]:
        return tuple(chain.from_iterable(pack.entries for pack in packs))

    def same(self, one: FileEntry, other: FileEntry) -> bool:
        return same_file(one, other)

    def choose_compiler(self, target: Target, _present: str, _tools: Tools) -> str:
        raise _no_bytecode(target)

    def add_bytecode(
        self,
        entries: Sequence[FileEntry],
        _target: Target,
        _compiler: str,
        _room: int,
        _tools: Tools,
    ) -> tuple[FileEntry, ...]:
        return tuple(entries)

    def estimate_bytecode(self, _entries: Sequence[FileEntry]) -> int:
        return 0

    def build_image(
        self, target: Target, packages: SystemPackages, tools: Tools
    ) -> Image:
        from layerforge.ecosystems.node.toolchain import (  # noqa: PLC0415 - as above
            have_build_image,
        )

        return have_build_image(target, packages, tools)

    def importer(self, tools: Tools) -> Importer:
        from layerforge.ecosystems.node.probing import NodeImporter  # noqa: PLC0415 - as above

        return NodeImporter(tools=tools)

    def spell(self, name: str) -> str:
        return name

    def lock_path(self, _folder: Path, spec: LayerSpec, _target: Target) -> Path:
        return lock_path(spec)

    def read_lock(self, path: Path, spec: LayerSpec, target: Target) -> Lock:
        lock = to_lock(read_installation(path, spec, target), path, spec, target)
        return with_ledger(lock, ledger_path(spec, target))

    def write_lock(
        self, _path: Path, lock: Lock, spec: LayerSpec, target: Target
    ) -> None:
        write_ledger(lock, ledger_path(spec, target))

    def keep_weights(self, lock: Lock, spec: LayerSpec, target: Target) -> bool:
        try:
            write_ledger(lock, ledger_path(spec, target))
        except BuildError:
            return False
        return True

    def recalls(self, name: str) -> bool:
        return name.startswith(LEDGER) and name.endswith(".toml")

    def recall(self, data: bytes, path: Path) -> Weighed | None:
        return parse_ledger(data, path)

    def export(self, lock: Lock) -> str:
        raise ConfigError(
            f"a requirements file is for Python, and {lock.layer} is for Node.js",
            remedy="Use its lock as it is: npm ci installs from package-lock.json.",
        )


ECOSYSTEM: Final = _Node()
