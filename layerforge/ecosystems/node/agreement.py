"""Does a lock agree with package.json, and with itself? As ``npm ci`` asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from layerforge.ecosystems.node.packagelock import (
    Dependency,
    Group,
    Package,
    PackageLock,
    Source,
    dependencies_of,
    find_package,
)
from layerforge.ecosystems.node.platforms import named_for
from layerforge.errors import ConfigError, LockError
from layerforge.target import Target

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+([-+][\w.+-]+)?", re.ASCII)
_LEADING_OUT: Final = (
    "npm locks nothing for a folder outside of the project: make it a workspace below "
    "it, or have npm take it as a package (install-links=true in .npmrc, a new lock)."
)


def check_manifest(lock: PackageLock, text: str, where: str, folder: str = "") -> None:
    """Hold a package.json to a lock: both must ask for the same, word for word.

    ``folder`` is a workspace's, from the lock's own; '' is the project. This is
    stricter than ``npm ci``, which lets a changed range pass if what is locked fits
    it. Of ``overrides``, which a lock doesn't tell, those that name one version of a
    package are held to. Raises `LockError` with every difference, `ConfigError` for
    bad JSON.
    """
    try:
        document = json.loads(text)
        manifest = dependencies_of(document)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{where} is malformed: {error}", remedy="Mend it, and try again."
        ) from error
    locked: Sequence[Dependency] = ()
    for package in lock.packages:
        if package.path == folder:
            locked = package.dependencies
    differences = (
        *_differences(_ranges(manifest), _ranges(locked)),
        *(() if folder else _overridden(document, lock)),
    )
    if differences:
        lines = "".join(f"\n  {line}" for line in differences)
        raise LockError(f"the lock does not agree with {where}:{lines}")


def has_overrides(text: str) -> bool:
    """Say whether a package.json has npm take other versions than packages ask for."""
    try:
        return bool(json.loads(text).get("overrides"))
    except (AttributeError, ValueError, RecursionError):
        return False


def check_complete(lock: PackageLock) -> None:
    """Hold a lock to what its own packages ask for; raises `LockError` with what lacks.

    Peers may be missing: ``legacy-peer-deps`` leaves them out on purpose. So may be
    optional packages: see `missing_binaries`.
    """
    missing = list(_missing(lock, Group.PROD))
    if missing:
        lines = "".join(map(_line, missing))
        # Of what a project's links lead out to, npm locks nothing.
        outside = all(package.path.startswith("..") for _, package in missing)
        raise LockError(
            f"the lock has no entry for what its packages need:{lines}",
            remedy=_LEADING_OUT if outside else "",
        )


def missing_binaries(lock: PackageLock, target: Target | None = None) -> str:
    """List the optional packages, a line each, that ought to be for a target.

    npm has written locks without the packages of other platforms than its own. It also
    leaves out what a registry hasn't got: nothing in a lock tells which. Without a
    target it is all that are missing.
    """
    missing = _missing(lock, Group.OPTIONAL)
    return "".join(_line(each) for each in missing if named_for(each[0].name, target))


def _missing(lock: PackageLock, group: Group) -> Iterator[tuple[Dependency, Package]]:
    paths = {each.path for each in lock.packages}
    for package in lock.packages:
        if package.dev or package.link or package.source is Source.BUNDLED:
            continue
        for wish in package.dependencies:
            there = find_package(wish.name, package.path, paths) is not None
            if wish.group is group and not there:
                yield wish, package


def _line(missing: tuple[Dependency, Package]) -> str:
    wish, package = missing
    return f"\n  {wish.name} {wish.range}, for {package.path or 'the project'}"


def _overridden(manifest: Mapping[str, Any], lock: PackageLock) -> Iterator[str]:
    """Tell the packages that are locked at another version than an override names."""
    overrides = manifest.get("overrides")
    for name, version in overrides.items() if isinstance(overrides, dict) else ():
        if isinstance(version, str) and _VERSION.fullmatch(version):
            locked = {each.version for each in lock.packages if each.name == name}
            for other in sorted(locked - {version}):
                yield f"overrides: {name} is {version}, in the lock {other}"


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
