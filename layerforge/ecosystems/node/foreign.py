"""Other tools' locks, pnpm's and yarn's, converted into a package-lock.json.

Neither says all that npm's does, such as where packages stand. So npm is asked for a
lock, bound to the very versions that theirs has, and what it gives is held to them: the
same packages in the same versions, with the same integrity.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from layerforge.ecosystems.node.agreement import check_complete
from layerforge.ecosystems.node.foreignlock import (
    GROUPS,
    ForeignLock,
    Identity,
    inconvertible,
)
from layerforge.ecosystems.node.manifests import FILENAME
from layerforge.ecosystems.node.npm import LOCK_NAME, Npm
from layerforge.ecosystems.node.packagelock import Source, parse_package_lock
from layerforge.ecosystems.node.pnpmlock import PNPM_LOCK, read_pnpm_lock
from layerforge.ecosystems.node.yarnlock import read_yarn_lock
from layerforge.errors import ConfigError


def convert_lock(path: Path, files: Mapping[str, bytes], npm: Npm) -> str:
    """Give the package-lock.json that says what a yarn.lock or pnpm-lock.yaml does.

    ``files`` are what `manifests.project_files` gives. Raises `LockError` where it
    can't be done without another version of anything.
    """
    text = path.read_text(encoding="utf-8")
    manifests = _manifests(files)
    foreign = (
        read_pnpm_lock(text)
        if path.name == PNPM_LOCK
        else read_yarn_lock(text, {name: files[name] for name in manifests})
    )
    bound = _bound(manifests, foreign)
    written = {name: json.dumps(row).encode() for name, row in bound.items()}
    command = ("install",) if foreign.peers else ("install", "--legacy-peer-deps")
    locked = json.loads(npm.lock({**files, **written}, command))
    for name, manifest in manifests.items():
        folder = name.removesuffix(FILENAME).rstrip("/")
        entry = locked["packages"].get(folder, {})
        entry |= {group: manifest[group] for group in GROUPS if group in entry}
    converted = json.dumps(locked, indent=2, ensure_ascii=False) + "\n"
    _hold(converted, foreign)
    return converted


def _manifests(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    found = {}
    for name, data in files.items():
        if not f"/{name}".endswith(f"/{FILENAME}"):
            continue
        try:
            found[name] = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{name} is not JSON: {error}") from error
    return found


def _bound(
    manifests: Mapping[str, Mapping[str, Any]], foreign: ForeignLock
) -> dict[str, dict[str, Any]]:
    """Give package.json files that let npm choose only what a lock has."""
    bound = {
        name: {**manifest, **_pinned(manifest, foreign.direct.get(name, {}))}
        for name, manifest in manifests.items()
    }
    return bound | {FILENAME: {**bound[FILENAME], "overrides": _overrides(foreign)}}


def _pinned(
    manifest: Mapping[str, Any], direct: Mapping[str, Identity]
) -> dict[str, dict[str, str]]:
    return {
        group: {
            # npm knows its own workspaces by any range, but not this protocol.
            name: _spec(name, direct[name])
            if name in direct
            else re.sub("^workspace:.*", "*", wanted)
            for name, wanted in manifest[group].items()
        }
        for group in GROUPS
        if group in manifest
    }


def _overrides(foreign: ForeignLock) -> dict[str, Any]:
    """Say it to npm in its own words: what all agree on once, the rest to each.

    https://docs.npmjs.com/cli/v11/configuring-npm/package-json#overrides
    """
    asked: defaultdict[str, set[Identity]] = defaultdict(set)
    packages = [package.dependencies for package in foreign.packages]
    for dependencies in (*packages, *foreign.direct.values()):
        for name, identity in dependencies.items():
            asked[name].add(identity)
    overrides: dict[str, Any] = {}
    for package in foreign.packages:
        own = {
            name: _spec(name, identity)
            for name, identity in package.dependencies.items()
            if len(asked[name]) > 1
        }
        if own:
            overrides["@".join(package.identity)] = own
    agreed = {name: each for name, (each, *others) in asked.items() if not others}
    return overrides | {name: _spec(name, each) for name, each in agreed.items()}


def _spec(name: str, identity: Identity) -> str:
    real, version = identity
    return version if real == name else f"npm:{real}@{version}"


def _hold(text: str, foreign: ForeignLock) -> None:
    """Hold a lock of npm's to a foreign one; `LockError` has every difference."""
    lock = parse_package_lock(text, LOCK_NAME)
    check_complete(lock)
    theirs = {package.identity: package.integrity for package in foreign.packages}
    ours = {
        (package.name, package.version): package
        for package in lock.packages
        if package.installed and package.source is Source.REGISTRY
    }
    added = sorted(ours.keys() - theirs.keys())
    lost = sorted(theirs.keys() - ours.keys())
    changed = (
        package
        for key, package in sorted(ours.items())
        if _contradict(package.integrity.split(), theirs.get(key, "").split())
    )
    differences = [
        *(f"{name} {version} is not in it" for name, version in added),
        *(f"{name} {version} is only in it" for name, version in lost),
        *(f"{package} has another integrity" for package in changed),
    ]
    if differences:
        lines = "".join(f"\n  {line}" for line in differences)
        raise inconvertible(foreign.where, f"npm's would differ:{lines}")


def _contradict(one: Iterable[str], other: Iterable[str]) -> bool:
    """Say whether two integrities have hashes of one algorithm, but none in common."""
    ours, theirs = set(one), set(other)
    algorithms = {each.partition("-")[0] for each in ours}
    common = any(each.partition("-")[0] in algorithms for each in theirs)
    return common and not ours & theirs
