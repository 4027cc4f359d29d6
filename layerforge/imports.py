"""What is imported to prove a layer, and what came of it; the language is any."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from layerforge.containers.image import Image
from layerforge.containers.service import Containers
from layerforge.errors import BuildError
from layerforge.target import Target
from layerforge.tree import FileEntry

SECONDS: Final = 300  # for one module; under emulation a large one takes a minute
_MARKS: Final = ("<<<layerforge probe\n", "\nlayerforge probe>>>")


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

    Someone asked for a ``required`` one, so that nothing excuses its failure. Others of
    the layer depend on a ``dependency``, and use it in their own way.
    """

    module: str
    distribution: str = ""
    required: bool = False
    dependency: bool = False


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

    @property
    def separator(self) -> str:
        """Say what stands between a module's name and that of a part of it."""

    def find_imports(
        self, entries: Iterable[FileEntry], target: Target, *, shaken: bool = False
    ) -> tuple[Import, ...]:
        """Name every module that a function would import by a name of its own.

        Of a ``shaken`` layer's packages, some are there in part alone.
        """

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


Row = Mapping[str, Any]


def read_run(
    stdout: bytes,
    target: Target,
    plainly: How,
    explain: Callable[[Imported, Row], Imported],
) -> Run:
    """Read what a language's driver printed between its marks.

    It was ``plainly`` so where it had no emulator. ``explain`` adds what the language
    knows of a module's row. Raises `BuildError` where there is no answer.
    """
    _, begin, rest = stdout.decode(errors="replace").partition(_MARKS[0])
    text, end, _ = rest.rpartition(_MARKS[1])
    if not begin or not end:
        raise BuildError(
            f"importing the modules for {target} gave no answer",
            remedy="See what was said instead, with -v.",
        )
    document = json.loads(text)
    return Run(
        how=How.RUNTIME if document["emulated"] else plainly,
        init_milliseconds=document.get("init", 0),
        peak_memory=document.get("peak", 0),
        modules=tuple(
            explain(_imported(row), row) for row in document.get("modules", ())
        ),
        failure=document.get("failure", ""),
        log=tuple(document.get("log", ())),
    )


def _imported(row: Row) -> Imported:
    return Imported(
        module=row["module"],
        milliseconds=row["milliseconds"],
        memory=row["memory"],
        error=_error(row),
        cause=row.get("cause", ""),
        missing=row.get("missing", ""),
        alone=row.get("alone", False),
        trace=tuple(row.get("trace", ())),
    )


def _error(row: Row) -> str:
    if "error" not in row:
        return ""
    message = row["message"].removeprefix("Runtime exited with error: ")
    if row["error"] != "Crash":
        return f"{row['error']}: {message}".removesuffix(": ")
    if "timed out" in message:
        return f"it took longer than {SECONDS} seconds"
    return f"the process ended: {message}"
