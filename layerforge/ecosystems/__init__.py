"""What differs between languages, behind one protocol; chosen by one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:  # each costs start-up time
    from layerforge.bases import Base
    from layerforge.containers.image import Image
    from layerforge.containers.settings import SystemPackages
    from layerforge.findings import Finding
    from layerforge.imports import Importer
    from layerforge.lock import Lock, Pin
    from layerforge.pack import Pack
    from layerforge.spec import LayerSpec
    from layerforge.target import Target
    from layerforge.tools import Tools
    from layerforge.tree import FileEntry, Tree
    from layerforge.weighed import Weighed

_MODULES: Final = {
    "node": "layerforge.ecosystems.node",
    "python": "layerforge.ecosystems.python",
}


class Ecosystem(Protocol):
    """The few things that each language does its own way."""

    def root(self, spec: LayerSpec, target: Target) -> str:
        """Name the folder below /opt that its packages go to, with a slash."""

    def resolve(
        self,
        spec: LayerSpec,
        target: Target,
        tools: Tools,
        *,
        preferred: Sequence[Pin],
        bases: Sequence[Base] = (),
    ) -> tuple[Lock, Mapping[str, Pack]]:
        """Make a lock, and give what is known of each pin's archive, by its id.

        ``preferred`` pins stay where they can, and so do those of ``bases``, before
        them. Archives that aren't in the store are not fetched, where less tells what
        they need and weigh.
        """

    def hold(self, lock: Lock, path: Path, spec: LayerSpec, target: Target) -> None:
        """Raise `LockError` where the lock at ``path`` was made from other inputs."""

    def check(self, lock: Lock, spec: LayerSpec, target: Target) -> None:
        """Hold a lock's pins to the requirements, offline; raises `LockError`."""

    def obtain(
        self, lock: Lock, spec: LayerSpec, target: Target, tools: Tools
    ) -> tuple[Pack, ...]:
        """Have every pin's archive in the store, read, in the lock's order.

        What is a source is compiled in a container, once.
        """

    def learn(
        self, lock: Lock, spec: LayerSpec, target: Target, tools: Tools
    ) -> Mapping[str, Pack]:
        """Give what is known of each pin's archive, by its id.

        None is fetched that can be looked at from afar, or has been.
        """

    def foresee(
        self, spec: LayerSpec, target: Target, tools: Tools, bases: Sequence[Base]
    ) -> tuple[Lock, Mapping[str, Pack]]:
        """Give what `resolve` would for a first lock, and write to the store alone."""

    def shake(
        self,
        entries: Sequence[FileEntry],
        spec: LayerSpec,
        target: Target,
        tools: Tools,
    ) -> tuple[FileEntry, ...]:
        """Give only what the layer's entry points can reach."""

    def verify(self, tree: Tree, target: Target) -> tuple[Finding, ...]:
        """Find what this language's runtime would not take."""

    def loaded(self, tree: Tree, target: Target) -> frozenset[str]:
        """Name the native files that importing the layer's top-level modules loads."""

    def lay_out(
        self, packs: Sequence[Pack], target: Target, tools: Tools
    ) -> tuple[FileEntry, ...]:
        """Give all entries as the target needs them."""

    def same(self, one: FileEntry, other: FileEntry) -> bool:
        """Say whether two files at one path may be taken for one."""

    def choose_compiler(self, target: Target, present: str, tools: Tools) -> str:
        """Name the interpreter to compile bytecode with: ``present``, if it is here."""

    def add_bytecode(
        self,
        entries: Sequence[FileEntry],
        target: Target,
        compiler: str,
        room: int,
        tools: Tools,
    ) -> tuple[FileEntry, ...]:
        """Give the entries with what bytecode of theirs fits into ``room`` bytes."""

    def estimate_bytecode(self, entries: Sequence[FileEntry]) -> int:
        """Say about how many bytes bytecode would add."""

    def build_image(
        self, target: Target, packages: SystemPackages, tools: Tools
    ) -> Image:
        """Have the container image that sources are compiled in."""

    def importer(self, tools: Tools) -> Importer:
        """Give what finds and imports modules, for a proof."""

    def spell(self, name: str) -> str:
        """Spell a package's name as locks do."""

    def lock_path(self, folder: Path, spec: LayerSpec, target: Target) -> Path:
        """Say where a layer's lock is; ``folder`` is that of layerforge.toml."""

    def read_lock(self, path: Path, spec: LayerSpec, target: Target) -> Lock:
        """Read a layer's lock; raises `LockError`."""

    def write_lock(
        self, path: Path, lock: Lock, spec: LayerSpec, target: Target
    ) -> None:
        """Write what there is to write of a lock, where that has changed."""

    def keep_weights(self, lock: Lock, spec: LayerSpec, target: Target) -> bool:
        """Write what packages weigh in a build, unless that is part of their lock.

        Says whether that could be done: no build changes a lock.
        """

    def recalls(self, name: str) -> bool:
        """Say whether a file of this name has what a layer's packages weigh."""

    def recall(self, data: bytes, path: Path) -> Weighed | None:
        """Read such a file's bytes of an earlier day, if it says it of all packages.

        Raises `LockError` where it can't be read.
        """

    def export(self, lock: Lock) -> str:
        """Give a lock for the tools of its language that can't read it as it is.

        Raises `ConfigError` where there are none.
        """


def ecosystem_of(target: Target) -> Ecosystem:
    """Give the ecosystem of a target's language."""
    module = import_module(_MODULES[target.runtime.language])
    return cast("Ecosystem", module.ECOSYSTEM)


def all_ecosystems() -> tuple[Ecosystem, ...]:
    """Give the ecosystem of every language."""
    modules = map(import_module, _MODULES.values())
    return tuple(cast("Ecosystem", module.ECOSYSTEM) for module in modules)
