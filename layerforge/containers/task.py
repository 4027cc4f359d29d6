"""A job for a container, as a value, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from layerforge.errors import BuildError
from layerforge.target import Arch

SECRETS_FOLDER: Final = "/run/layerforge"  # a tmpfs
LAST_LINES: Final = 20  # of what a program said, in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One command in one container, which is removed whatever happens.

    People read that it is ``doing`` ``name``, and has ``done`` it: "compiling lxml
    5.3.0". ``image`` is an image's ID. ``files`` are put in before the command starts,
    by absolute path: bytes, or a file or folder of this machine. ``secrets`` go by the
    standard input into a tmpfs at SECRETS_FOLDER, by name; one named ``environment`` is
    read by the shell (``export NAME=value``) before the command starts. The image needs
    sh, head and tar for those. ``environment`` is what anyone may see. Without
    ``network`` there is none. ``volumes`` are mounted read-only, by their place. Of
    ``output``, a folder that is made, the files come back.
    """

    name: str
    image: str
    arch: Arch
    command: tuple[str, ...]
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    output: str = ""
    doing: str = "running"
    done: str = "ran"

    def __str__(self) -> str:
        return f"{self.doing} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a job that ended well left: its standard output, and where files are."""

    stdout: bytes
    files: tuple[Path, ...] = ()


class EngineError(BuildError):
    """No engine answers, or it went away."""

    kind = "engine"


class ImageError(BuildError):
    """An image can't be had, or is not what it should be."""

    kind = "image"


class TaskError(BuildError):
    """A job failed; ``lines`` are the last 200 that it said, ``status`` how it ended.

    ``status`` is None where it was ended: out of time, or out of memory.
    """

    kind = "container"

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        lines: tuple[str, ...] = (),
        status: int | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.lines = lines
        self.status = status
