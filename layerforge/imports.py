"""What is imported to prove a layer, and what came of it; the language is any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from layerforge.containers.image import Image
from layerforge.containers.service import Containers
from layerforge.target import Target
from layerforge.tree import FileEntry


class How(StrEnum):
    """Where modules are imported, what proves most first.

    In the target's image under Lambda's own runtime interface; in an image without it;
    by an interpreter of this machine, whose libraries help.
    """

    RUNTIME = "runtime"
    IMAGE = "image"
    INTERPRETER = "interpreter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """A module to import; ``distribution`` is '' where it can't be told.

    Someone asked for a ``required`` one, so that nothing excuses its failure.
    """

    module: str
    distribution: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What importing one module gave; ``memory`` is what the process grew by, in bytes.

    ``error`` says what was raised, or how the process ended, ``cause`` what had been
    raised before that. ``missing`` names the module that wasn't found, if that is why,
    and ``alone`` tells that in a process of its own it could be imported. ``remedy`` is
    what the language knows of it.
    """

    module: str
    milliseconds: float
    memory: int
    error: str = ""
    cause: str = ""
    missing: str = ""
    alone: bool = False
    remedy: str = ""
    trace: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Modules imported in their order, by one process while none ended it.

    ``init_milliseconds`` is the time until a function that imports nothing answered,
    ``peak_memory`` the largest resident set, in bytes. Where nothing started at all
    there is a ``failure``, and ``log`` is what was said.
    """

    how: How
    init_milliseconds: float = 0
    peak_memory: int = 0
    modules: tuple[Imported, ...] = ()
    failure: str = ""
    log: tuple[str, ...] = ()


class Importer(Protocol):
    """How a language's modules are found and imported."""

    def find_imports(
        self, entries: Iterable[FileEntry], target: Target
    ) -> tuple[Import, ...]:
        """Name every module that a function would import by a name of its own."""

    def import_in_container(
        self,
        imports: Sequence[Import],
        target: Target,
        image: Image,
        volume: str,
        containers: Containers,
    ) -> Run:
        """Import modules in the runtime, the layer being in a volume.

        Raises `TaskError`, `EngineError`.
        """

    def import_here(
        self, imports: Sequence[Import], target: Target, layer: Path
    ) -> Run:
        """Import modules on this machine, the layer being in a folder.

        Raises `BuildError` where nothing here could.
        """
