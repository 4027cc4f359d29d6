"""Does a lock agree with package.json, and with itself? As ``npm ci`` asks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from layerforge.ecosystems.node.packagelock import (
    Dependency,
    Group,
    PackageLock,
    Source,
    dependencies_of,
    find_package,
)
from layerforge.ecosystems.node.platforms import may_suit
from layerforge.errors import ConfigError, LockError
from layerforge.target import Target

_INCOMPLETE: Final = (
    "Remove the lock and node_modules, and make it again: "
    "npm install --package-lock-only --ignore-scripts (what is then still missing, the "
    "registry hasn't got)"
)
_LEADING_OUT: Final = (
    "npm locks nothing for a folder outside of the project: make it a workspace below "
    "it, or have npm take it as a package (install-links=true in .npmrc, a new lock)."
)


def check_manifest(lock: PackageLock, text: str, where: str, folder: str = "") -> None:
    """Hold a package.json to a lock: both must ask for the same, word for word.

    ``folder`` is a workspace's, from the lock's own; '' is the project. This is
    stricter than ``npm ci``, which lets a changed range pass if what is locked fits
    it. Raises `LockError` with every difference, `ConfigError` for bad JSON.
    """
    try:
        manifest = dependencies_of(json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{where} is malformed: {error}", remedy="Mend it, and try again."
        ) from error
    locked: Sequence[Dependency] = ()
    for package in lock.packages:
        if package.path == folder:
            locked = package.dependencies
    differences = tuple(_differences(_ranges(manifest), _ranges(locked)))
    if differences:
        lines = "".join(f"\n  {line}" for line in differences)
        raise LockError(
            f"the lock does not agree with {where}:{lines}",
            remedy="Bring it up to date: "
            "npm install --package-lock-only --ignore-scripts",
        )


def check_complete(
    lock: PackageLock, target: Target | None = None, *, optional: bool = True
) -> None:
    """Hold a lock to what its own packages ask for; raises `LockError` with what lacks.

    npm has written locks without the optional packages of other platforms than its
    own: with a ``target`` it is enough that those are there that may be for it, and
    without ``optional`` none need be, as in a lock of all that a registry has. Peers
    may be missing: ``legacy-peer-deps`` leaves them out on purpose.
    """
    paths = {each.path for each in lock.packages}
    missing = [
        (wish, package)
        for package in lock.packages
        if not (package.dev or package.link or package.source is Source.BUNDLED)
        for wish in package.dependencies
        if wish.group is Group.PROD
        or (wish.group is Group.OPTIONAL and optional and may_suit(wish.name, target))
        if find_package(wish.name, package.path, paths) is None
    ]
    if missing:
        lines = "".join(
            f"\n  {wish.name} {wish.range}, for {package.path or 'the project'}"
            for wish, package in missing
        )
        # Of what a project's links lead out to, npm locks nothing.
        outside = all(package.path.startswith("..") for _, package in missing)
        raise LockError(
            f"the lock has no entry for what its packages need:{lines}",
            remedy=_LEADING_OUT if outside else _INCOMPLETE,
        )


def _ranges(dependencies: Sequence[Dependency]) -> dict[tuple[str, Group], str]:
    return {(each.name, each.group): each.range for each in dependencies}


def _differences(
    manifest: Mapping[tuple[str, Group], str], locked: Mapping[tuple[str, Group], str]
) -> Iterator[str]:
    for name, group in sorted({*manifest, *locked}):
        here, there = manifest.get((name, group)), locked.get((name, group))
        if there is None:
            yield f"{group}: {name} {here} is not in the lock"
        elif here is None:
            yield f"{group}: {name} {there} is only in the lock"
        elif here != there:
            yield f"{group}: {name} is {here}, in the lock {there}"
