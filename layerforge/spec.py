"""What a user asks for, as values: layers, what they are made of, where they go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

from layerforge.containers.settings import ContainerSettings, SystemPackages
from layerforge.errors import ConfigError
from layerforge.findings import Waiver
from layerforge.limits import MOST_LAYERS
from layerforge.strip import Profile, StripRule
from layerforge.target import Arch, Runtime, Target

# https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html
LAYER_NAME: Final = r"[a-zA-Z0-9_-]{1,100}"  # AWS takes 140, a target is part of it
DESCRIPTION_LENGTH: Final = 256
LICENCE_LENGTH: Final = 512

_LEFT_OUT: Final = {"__pycache__", ".git", ".hg", ".svn", ".DS_Store"}
_PROJECT_FILES: Final = {"pyproject.toml", "uv.lock", "poetry.lock", "Pipfile.lock"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """Files of the user's own: ``source`` on disk goes to ``destination`` in /opt.

    Only what a checkout would have is taken: no bytecode, no version control, no
    notes of an operating system.
    """

    source: Path
    destination: str

    def files(self) -> Iterator[tuple[Path, str]]:
        """Give each file and link, with its path in /opt, in a fixed order.

        Raises `ConfigError` for a folder that can't be read.
        """
        place = PurePosixPath(self.destination)
        if not self.source.is_dir():
            yield self.source, str(place)
            return
        for folder, folders, names in os.walk(self.source, onerror=_refuse):
            folders[:] = sorted(set(folders) - _LEFT_OUT)
            linked = [name for name in folders if Path(folder, name).is_symlink()]
            for name in sorted({*names, *linked} - _LEFT_OUT):
                if not name.endswith((".pyc", ".pyo")):
                    path = Path(folder, name)
                    yield path, str(place / path.relative_to(self.source).as_posix())


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What is asked for: lines, or a file; with extras and groups of a project.

    ``language`` is a runtime's. ``folder`` is where lines are written, and what they
    are resolved to lies.
    """

    language: str = "python"
    lines: tuple[str, ...] = ()
    file: Path | None = None
    folder: Path = Path()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def is_project(self) -> bool:
        """Say whether the file has extras and groups to choose from."""
        return self.file is not None and self.file.name in _PROJECT_FILES


class Script(StrEnum):
    """What becomes of a package's install scripts."""

    RUN = "run"
    SKIP = "skip"


class StorageMode(StrEnum):
    """Whether Lambda copies a zip from its bucket, or refers to it for good."""

    COPY = "copy"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSpec:
    """Where and how a layer is published; empty means "by default".

    ``name``, ``description`` and ``bucket`` are templates.
    """

    regions: tuple[str, ...] = ()
    name: str = ""
    description: str = ""
    licence: str = ""
    bucket: str = ""
    storage_mode: StorageMode = StorageMode.COPY
    grants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishAccount:
    """An account that layers go to: by a profile, a role's ARN, or one from the other.

    Its ``regions``, where it has any, stand for those of layers.
    """

    name: str
    profile: str = ""
    role: str = ""
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """One layer as its user describes it, for each of its targets.

    ``max_unzipped`` is in bytes; ``rules`` are strip rules of a recipe's own. With
    ``container`` it is resolved in the runtime's own system; ``system_packages`` are
    what compiling needs there. ``imports`` are modules whose import proves it.

    For Node.js: ``install_scripts`` says of packages by name whether their scripts
    run; with ``shake`` only what ``entry_points`` reach stays; a ``versioned_folder``
    is the runtime's own. With ``one_zip`` one serves all runtimes.

    ``provided_by`` names layers that it stands on: what they have is left out. With
    ``split`` it is divided into several zips. ``waivers`` are findings that are meant
    to be; ``licence_texts`` asks for a file of all its packages' licences.
    """

    name: str
    requirements: Requirements = Requirements()
    runtimes: tuple[Runtime, ...] = ()
    architectures: tuple[Arch, ...] = ()
    include: tuple[Include, ...] = ()
    exclude: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    strip: Profile = Profile.SAFE
    bytecode: bool = False
    exclude_runtime_sdk: bool = False
    container: bool = False
    system_packages: SystemPackages = field(default_factory=SystemPackages)
    imports: tuple[str, ...] = ()
    install_scripts: Mapping[str, Script] = field(default_factory=dict)
    shake: bool = False
    entry_points: tuple[Path, ...] = ()
    versioned_folder: bool = False
    one_zip: bool = False
    provided_by: tuple[str, ...] = ()
    split: bool = False
    waivers: tuple[Waiver, ...] = ()
    licence_texts: bool = False
    max_unzipped: int | None = None
    collisions: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    licence: str = ""
    publish: PublishSpec = PublishSpec()
    rules: tuple[StripRule, ...] = ()

    @property
    def part_names(self) -> tuple[str, ...]:
        """What its parts are called, as many as there may be."""
        parts = range(1, MOST_LAYERS + 1) if self.split else ()
        return tuple(f"{self.name}-{part}" for part in parts)

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every runtime on every architecture, in the order they were named."""
        return tuple(
            Target(runtime=runtime, arch=arch)
            for runtime in self.runtimes
            for arch in self.architectures
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignLayer:
    """A version of a layer that is not the project's, by its ARN.

    ``unzipped`` is in bytes, None where nobody said it.
    """

    arn: str
    unzipped: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """A function that holds layers: those of the project by name, others by ARN.

    ``code`` is a zip, a folder that is zipped to deploy it, or bytes unzipped; None
    where it isn't said. ``targets`` are those that it may run on, as far as that
    follows from what it says and from its layers: all of them have a zip for each.
    """

    name: str
    layers: tuple[str | ForeignLayer, ...] = ()
    code: Path | int | None = None
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A configuration file's layers; ``folder`` is where its paths start from.

    ``runtimes``, ``architectures`` and ``waivers`` are those of ``[defaults]``,
    ``publish`` is what ``[publish]`` says: they hold for recipes and for layers named
    on the command line too.
    """

    folder: Path
    file: Path | None = None
    layers: tuple[LayerSpec, ...] = ()
    runtimes: tuple[Runtime, ...] = ()
    architectures: tuple[Arch, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    containers: ContainerSettings = field(default_factory=ContainerSettings)
    publish: PublishSpec = PublishSpec()
    accounts: tuple[PublishAccount, ...] = ()
    functions: tuple[FunctionSpec, ...] = ()

    def layer(self, name: str) -> LayerSpec | None:
        """Find a layer by its name."""
        return next((layer for layer in self.layers if layer.name == name), None)

    def owner(self, name: str) -> LayerSpec | None:
        """Find a layer by its name, or by that of a part of it."""
        parts = (layer for layer in self.layers if name in layer.part_names)
        return self.layer(name) or next(parts, None)


def include_signature(
    includes: Sequence[Include],
) -> list[tuple[str, str, int, int, int]]:
    """Tell cheaply whether included files may have changed: names, sizes and times.

    Raises `ConfigError` where they can't be looked at.
    """
    try:
        return [
            (
                str(source),
                place,
                found.st_size,
                found.st_mtime_ns,
                found.st_mode & 0o100,
            )
            for include in includes
            for source, place in include.files()
            for found in [source.lstat()]
        ]
    except OSError as error:
        raise unreadable(error) from error


def unreadable(error: OSError) -> ConfigError:
    """Say which of the user's own files can't be read."""
    return ConfigError(f"cannot read {error.filename}: {error.strerror}")


def _refuse(error: OSError) -> None:
    raise unreadable(error) from error
