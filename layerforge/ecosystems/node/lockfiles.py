"""Which file is a Node.js layer's lock, and what it was made from.

A package.json has its lock beside it, as npm, pnpm and yarn have it. What layerforge
itself has resolved, of a list of packages or of another tool's lock, is in a
package-lock.json by a name of its own, which also says what it was made from.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Final

from layerforge.ecosystems.node.agreement import check_complete, check_manifest
from layerforge.ecosystems.node.manifests import manifest_of, workspace_folders
from layerforge.ecosystems.node.npmrc import read_npmrc
from layerforge.ecosystems.node.packagelock import PackageLock, parse_package_lock
from layerforge.errors import ConfigError, LockError
from layerforge.spec import LayerSpec, unreadable
from layerforge.target import Target

_OWN: Final = ("npm-shrinkwrap.json", "package-lock.json")  # npm prefers the first
_FOREIGN: Final = ("pnpm-lock.yaml", "yarn.lock")
_CREATOR: Final = "layerforge"

LEDGER: Final = "layerforge-ledger."
"""What the names of ledgers begin with."""


def lock_path(spec: LayerSpec) -> Path:
    """Say where a layer's package-lock.json is, or will be."""
    file = spec.requirements.file
    named = f"package-lock.{spec.name}.json"
    if file is None:
        return spec.requirements.folder / named
    for name in _OWN:
        if (file.parent / name).is_file():
            return file.parent / name
    return file.with_name(named if foreign_lock(spec) else _OWN[-1])


def foreign_lock(spec: LayerSpec) -> Path | None:
    """Find another tool's lock beside the package.json, if there is none of npm's."""
    file = spec.requirements.file
    if file is None or any((file.parent / name).is_file() for name in _OWN):
        return None
    found = (file.parent / name for name in _FOREIGN)
    return next(filter(Path.is_file, found), None)


def ledger_path(spec: LayerSpec, target: Target) -> Path:
    """Say where the sizes of a layer's packages are, which npm's lock can't hold."""
    name = f"{LEDGER}{spec.name}-{target.slug}.toml"
    return lock_path(spec).with_name(name)


def load_package_lock(path: Path) -> PackageLock:
    """Read a lock's file; raises `LockError`."""
    registries = tuple(read_npmrc(path.parent).registries.items())
    return _parsed(read_text(path), str(path), registries)


@lru_cache(maxsize=8)
def _parsed(
    text: str, where: str, registries: tuple[tuple[str, str], ...]
) -> PackageLock:
    return parse_package_lock(text, where, dict(registries))


def manifest_text(spec: LayerSpec) -> str:
    """Give the package.json of a layer, or the one that its list amounts to."""
    file = spec.requirements.file
    if file is None:
        return manifest_of(spec.name, spec.requirements.lines)
    return read_text(file)


def signed(text: str, foreign: Path) -> str:
    """Have a lock say from which other lock it was made."""
    document = {**json.loads(text), _CREATOR: {"made-from": _digest(foreign)}}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def hold_to_inputs(path: Path, spec: LayerSpec) -> None:
    """Raise `LockError` where a lock was made from other things than there are now."""
    lock = load_package_lock(path)
    foreign = foreign_lock(spec)
    if foreign:
        told = json.loads(read_text(path)).get(_CREATOR)
        if not isinstance(told, dict) or told.get("made-from") != _digest(foreign):
            raise LockError(
                f"{path} was made from another {foreign.name} than there is"
            )
    where = str(spec.requirements.file or f"the packages of {spec.name}")
    manifest = manifest_text(spec)
    check_manifest(lock, manifest, where)
    _check_folders(lock, path.parent, manifest)
    for package in lock.packages:
        if package.path and not package.installed:
            file = path.parent / package.path / "package.json"
            check_manifest(lock, read_text(file), str(file), package.path)
    check_complete(lock)


def _check_folders(lock: PackageLock, project: Path, manifest: str) -> None:
    """Hold a lock's folders, its workspaces among them, to those that there are."""
    locked = {each.path for each in lock.packages if each.path and not each.installed}
    lines = [
        *(
            f"\n  the workspace {folder} is not in the lock"
            for folder in workspace_folders(manifest.encode(), project)
            if folder not in locked
        ),
        *(
            f"\n  {folder} is only in the lock"
            for folder in sorted(locked)
            if not (project / folder / "package.json").is_file()
        ),
    ]
    if lines:
        raise LockError(
            f"the lock does not agree with the folders of {project}:{''.join(lines)}"
        )


def read_text(path: Path) -> str:
    """Read one of the user's files; raises `ConfigError` where that can't be done."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise unreadable(error) from error
    except UnicodeDecodeError as error:
        raise LockError(f"{path} is not UTF-8: {error.reason}") from error


def refuse_workspace(spec: LayerSpec) -> None:
    """Raise `ConfigError` for a workspace of a project above, whose lock is its own.

    npm by itself would ask a registry for the other workspaces, by names that anybody
    may have there.
    """
    file = spec.requirements.file
    if file is None:
        return
    home = file.resolve().parent
    for folder in home.parents:
        manifest = folder / file.name
        if not manifest.is_file():
            continue
        names = workspace_folders(manifest.read_bytes(), folder)
        if home in {(folder / name).resolve() for name in names}:
            raise ConfigError(
                f"{file} is a workspace of {manifest}, whose lock holds for it",
                remedy=f"Build the layer of {manifest}.",
            )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
