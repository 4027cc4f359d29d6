"""From what is asked for to a lock that is true for its target.

uv resolves; which wheel of a version is taken is decided here, by the target's exact
tags. Where uv has no platform for the target's glibc, it resolves for a newer one, and
versions without a wheel that really loads are ruled out, until none is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

from packaging.pylock import Package, Pylock, PylockValidationError
from packaging.requirements import Requirement
from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)

from layerforge.client import Client
from layerforge.ecosystems.python.agreement import Metadata, audit, loads, reached
from layerforge.ecosystems.python.requirements import Asked
from layerforge.ecosystems.python.simple import (
    Project,
    read_links,
    read_project,
)
from layerforge.ecosystems.python.tags import environment, wheel_tags
from layerforge.ecosystems.python.uv import Unresolved, Uv
from layerforge.errors import FetchError, LockError
from layerforge.indexes import hide_credentials
from layerforge.lock import Pin, commit_archive, sorted_pins
from layerforge.pack import Pack
from layerforge.target import Target

_ROUNDS: Final = 12
_SOURCE: Final = (".tar.gz", ".zip")
_SHOWN: Final = 4  # file names, in an error


class NoWheel(LockError):  # noqa: N818 - what was found, before it is an error
    """A package has no wheel that loads on the target, in any version asked for."""

    def __init__(self, message: str, *, remedy: str, name: str) -> None:
        super().__init__(message, remedy=remedy)
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Pins with their dependencies, and the names that the requirements ask for."""

    pins: tuple[Pin, ...]
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """Finds versions and files for one layer and target."""

    uv: Uv
    client: Client
    target: Target
    provided: tuple[str, ...] = ()

    def from_requirements(
        self, asked: Asked, preferred: Sequence[Pin] = ()
    ) -> tuple[Pin, ...]:
        """Resolve for wheels; raises `NoWheel`, or `LockError` where nothing fits."""
        unusable: list[str] = []
        for _ in range(_ROUNDS):
            try:
                document = self.uv.compile(
                    asked,
                    self.target,
                    excluded=self.provided,
                    unusable=unusable,
                    preferred=preferred,
                )
            except Unresolved as error:
                raise self._explained(error, unusable) from error
            pins, wheelless = self._choose(document, Path("/"))
            if not wheelless:
                hold_to_hashes(pins, asked.hashes)
                return pins
            unusable += [self._rule_out(package) for package in wheelless]
        raise LockError(
            f"{self.target}: versions with wheels for it were not found in {_ROUNDS} "
            f"rounds; ruled out so far: {'; '.join(unusable)}",
            remedy="Name versions in the requirements.",
        )

    def from_pylock(self, document: Mapping[str, Any], folder: Path) -> tuple[Pin, ...]:
        """Take a whole lock, whose paths start from ``folder``.

        What has no wheel for the target is pinned by its source. Raises `NoWheel`
        where there is none of that either.
        """
        pins, wheelless = self._choose(document, folder)
        sources: list[Pin] = []
        for package in wheelless:
            source = _source(package, folder)
            if source is None:
                raise self._no_wheel(package.name, f"the lock pins {package.version}")
            sources.append(source)
        return sorted_pins([*pins, *sources])

    def reached(
        self,
        pins: Sequence[Pin],
        packs: Mapping[str, Pack],
        wanted: Sequence[Requirement],
    ) -> tuple[Pin, ...]:
        """Leave out pins that only what the runtime brings asks for."""
        if not self.provided:
            return tuple(pins)
        return reached(pins, _metadata(packs), wanted, self.target, self.provided)

    def audited(
        self,
        pins: Sequence[Pin],
        packs: Mapping[str, Pack],
        wanted: Sequence[Requirement],
    ) -> Resolution:
        """Hold pins to the metadata in their ``packs``; raises `LockError`."""
        metadata = _metadata(packs)
        audited = audit(pins, metadata, wanted, self.target, self.provided)
        if audited.problems:
            raise LockError(
                f"{self.target}: the versions do not fit together there:\n  "
                + "\n  ".join(audited.problems),
                remedy="Mend the lock or the requirements that they come from.",
            )
        names = {canonicalize_name(requirement.name) for requirement in wanted}
        return Resolution(
            pins=tuple(
                replace(pin, dependencies=audited.dependencies[pin.name])
                for pin in pins
            ),
            roots=tuple(sorted(names & {pin.name for pin in pins})),
        )

    def _choose(
        self, document: Mapping[str, Any], folder: Path
    ) -> tuple[tuple[Pin, ...], list[Package]]:
        try:
            lock = Pylock.from_dict(document)
        except PylockValidationError as error:
            raise LockError(f"{self.target}: not a pylock file: {error}") from error
        markers: dict[str, str | AbstractSet[str]] = {
            **cast("dict[str, str]", environment(self.target)),
            "extras": frozenset(),
            "dependency_groups": frozenset(lock.default_groups or ()),
        }
        pins: list[Pin] = []
        wheelless: list[Package] = []
        for package in lock.packages:
            if package.marker and not package.marker.evaluate(markers, "lock_file"):
                continue
            if package.name in self.provided:
                continue
            pin = _best_wheel(package, self.target, folder)
            if pin:
                pins.append(pin)
            else:
                wheelless.append(package)
        return sorted_pins(pins), wheelless

    def _rule_out(self, package: Package) -> str:
        project = self._project(package.name)
        versions = {package.version, *(project.unloadable(self.target))}
        ordered = sorted(version for version in versions if version)
        return package.name + ",".join(f"!={version}" for version in ordered)

    def _project(self, name: str) -> Project:
        settings = self.uv.indexes
        filenames: list[str] = []
        pages = [partial(read_project, index=index) for index in settings.addresses]
        pages += [partial(read_links, place=place) for place in settings.find_links]
        for read in pages:
            try:
                filenames += read(self.client, name=name)
            except (FetchError, OSError):
                continue  # this is told to explain another error: by what is known
        return Project(name, filenames)

    def _explained(self, error: Unresolved, unusable: Sequence[str]) -> LockError:
        ruled_out = [line.partition("!")[0] for line in unusable]
        for name in ruled_out:
            if re.search(rf"(?<![\w.-]){name}(?![\w.-])", error.message):
                return self._no_wheel(name, "no version that is asked for has one")
        if error.wheelless:
            reason = error.message.removeprefix(f"{self.target}: ")
            return self._no_wheel(error.wheelless[0], reason)
        if error.closed:
            return LockError(
                f"{error.message} But not every index let itself be asked: "
                f"{', '.join(error.closed)}.",
                remedy="Give a user and password that may read it: in ~/.netrc, in "
                "the index's address (https://USER:SECRET@HOST/...), or in a keyring.",
            )
        if "is not in the index" in error.message:
            remedy = "See that the name is right, and the index: --extra-index-url."
        else:
            remedy = "Loosen one of these requirements, or take another target."
        return LockError(error.message, remedy=remedy)

    def _no_wheel(self, name: str, reason: str) -> NoWheel:
        project = self._project(name)
        lines = [f"{name} has no wheel that loads on {self.target}: {reason}"]
        tags = wheel_tags(self.target)
        lines.append(f"  tags wanted: {tags[0]} … {tags[-1]} ({len(tags)} in all)")
        if project.versions:
            newest = max(project.versions)
            files = sorted(project.versions[newest])
            shown = ", ".join(files[:_SHOWN]) + (" …" if files[_SHOWN:] else "")
            lines.append(f"  files of {name} {newest}: {shown}")
        loadable = project.loadable(self.target)
        remedy = (
            f"The newest version with one is {loadable[0]}: allow it."
            if loadable
            else "No version has one."
        )
        return NoWheel("\n".join(lines), remedy=remedy, name=name)


def _metadata(packs: Mapping[str, Pack]) -> dict[str, Metadata]:
    return {
        name: Metadata(
            requires_python=pack.requires_python,
            requires=tuple(map(Requirement, pack.requires)),
        )
        for name, pack in packs.items()
    }


def hold_to_hashes(pins: Sequence[Pin], allowed: Mapping[str, frozenset[str]]) -> None:
    """Raise `LockError` where requirements give hashes, and a pin's is none of them."""
    for pin in pins:
        wanted = allowed.get(pin.name)
        if wanted is not None and f"sha256:{pin.digest}" not in wanted:
            raise LockError(
                f"{pin.filename} has SHA-256 {pin.digest}, which is not among the "
                f"hashes that the requirements give for {pin.name}",
                remedy="Find out why the index has another file; if it is right, add "
                "its hash to the requirements.",
            )


def _best_wheel(package: Package, target: Target, folder: Path) -> Pin | None:
    rank = {tag: number for number, tag in enumerate(wheel_tags(target))}
    candidates = []
    for filename, location, hashes, size in _wheels(package, folder):
        if not loads(filename, target):
            continue
        _, _, build, tags = parse_wheel_filename(filename)
        best = min(rank[tag] for tag in tags if tag in rank)
        key = (-best, build)
        candidates.append((key, filename, location, hashes, size))
    if not candidates:
        return None
    _, filename, location, hashes, size = max(candidates)
    if "sha256" not in hashes:
        raise LockError(
            f"{filename}: the index gives no SHA-256 for it",
            remedy="Use an index that gives one; what can't be checked isn't locked.",
        )
    return Pin(
        name=package.name,
        version=str(package.version or parse_wheel_filename(filename)[1]),
        filename=filename,
        url=hide_credentials(location),
        digest=hashes["sha256"],
        size=size,
    )


def _source(package: Package, folder: Path) -> Pin | None:
    """Pin what a package is to be compiled from."""
    version = str(package.version or "")
    if package.vcs:
        vcs = package.vcs
        url, part = hide_credentials(vcs.url or ""), vcs.subdirectory or ""
        archive = commit_archive(vcs.type, url, vcs.commit_id, part)
        return Pin(name=package.name, version=version, **archive)
    file = package.sdist or package.archive
    if file is None:
        return None
    location = file.url or (folder / str(file.path)).resolve().as_uri()
    filename = unquote(urlsplit(location).path.rpartition("/")[2])
    if "sha256" not in file.hashes or not filename.endswith(_SOURCE):
        return None
    return Pin(
        name=package.name,
        version=version,
        filename=filename,
        url=hide_credentials(location),
        digest=file.hashes["sha256"],
        size=file.size or 0,
    )


def _wheels(
    package: Package, folder: Path
) -> Iterable[tuple[str, str, Mapping[str, str], int]]:
    for file in (
        *(package.wheels or ()),
        *([package.archive] if package.archive else ()),
    ):
        location = file.url or (folder / str(file.path)).resolve().as_uri()
        filename = unquote(urlsplit(location).path.rpartition("/")[2])
        try:
            parse_wheel_filename(filename)
        except InvalidWheelFilename:
            continue
        yield filename, location, file.hashes, file.size or 0
