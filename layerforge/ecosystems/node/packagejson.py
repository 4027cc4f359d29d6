"""What a package.json says of the files that belong to its package.

https://docs.npmjs.com/cli/v11/configuring-npm/package-json
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import basename, normpath
from typing import Any, Final

from layerforge.errors import ConfigError
from layerforge.spec import unreadable
from layerforge.tree import FileEntry

FILENAME: Final = "package.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageJson:
    """The fields that decide what ``npm pack`` takes.

    ``files`` is None where the package has no such field: an empty one takes nothing.
    ``entry_points`` are ``main`` and ``browser``, and ``bins`` the programs, cleaned of
    ``./`` and of a way out of the package. ``dependencies`` are the names of those that
    a user of the package gets; of these, ``bundled`` lie inside of it.
    """

    name: str
    version: str
    files: tuple[str, ...] | None
    entry_points: tuple[str, ...]
    bins: tuple[str, ...]
    dependencies: tuple[str, ...]
    bundled: tuple[str, ...]


def read_package_json(folder: Path) -> PackageJson:
    """Read the one of a folder; `ConfigError` where it is missing or malformed.

    A package without a name is called by its folder, as npm calls it; a version may be
    missing, as from what is never published.
    """
    path = folder / FILENAME
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise unreadable(error) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not JSON: {error}", remedy="Mend it, and try again."
        ) from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} is no JSON object", remedy="Mend it, and try again.")
    asked = _dependencies(document)
    return PackageJson(
        name=_text(document, "name", path) or folder.resolve().name,
        version=_text(document, "version", path),
        files=_files(document, path),
        entry_points=tuple(
            entry
            for entry in (document.get("browser"), document.get("main"))
            if isinstance(entry, str) and entry
        ),
        bins=tuple(sorted(set(_bins(document, folder)))),
        dependencies=asked,
        bundled=tuple(
            name
            for name in _bundled(document)
            if name in asked and name not in _table(document, "devDependencies")
        ),
    )


def manifest_of(entry: FileEntry | None) -> Mapping[str, Any]:
    """Read the package.json that a package brings; nothing where it is no object."""
    try:
        data = entry.content.inflated() if entry and entry.content else b""
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def optional_names(entry: FileEntry | None) -> tuple[str, ...]:
    """Name the packages that a package can do without, by its package.json."""
    return tuple(_table(manifest_of(entry), "optionalDependencies"))


def _text(document: Mapping[str, Any], key: str, path: Path) -> str:
    value = document.get(key) or ""
    if not isinstance(value, str):
        raise ConfigError(
            f'"{key}" in {path} is not a string', remedy="Mend it, and try again."
        )
    return value.strip()


def _files(document: Mapping[str, Any], path: Path) -> tuple[str, ...] | None:
    files = document.get("files")
    if not files and files != []:
        return None
    if not isinstance(files, list) or not all(isinstance(each, str) for each in files):
        raise ConfigError(
            f'"files" in {path} is not a list of strings',
            remedy='List what belongs to the package: "files": ["lib"].',
        )
    return tuple(files)


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _dependencies(document: Mapping[str, Any]) -> tuple[str, ...]:
    optional = _table(document, "optionalDependencies")
    return tuple(sorted({*_table(document, "dependencies"), *optional}))


def _bundled(document: Mapping[str, Any]) -> tuple[str, ...]:
    said = document.get("bundleDependencies", document.get("bundledDependencies"))
    if said is True:
        return tuple(_table(document, "dependencies"))
    if not isinstance(said, list | dict):
        return ()
    return tuple(name for name in said if isinstance(name, str))


def _bins(document: Mapping[str, Any], folder: Path) -> Iterator[str]:
    said, directories = document.get("bin"), _table(document, "directories")
    if isinstance(said, str):
        said = {document["name"]: said} if document.get("name") else {}
    elif isinstance(said, list):
        said = {basename(each): each for each in said if isinstance(each, str)}
    elif not said and isinstance(directories.get("bin"), str):
        yield from _bins_below(folder, _inside(directories["bin"]))
    for name, target in said.items() if isinstance(said, dict) else ():
        if basename(_inside(name)) and isinstance(target, str) and _inside(target):
            yield _inside(target)


def _bins_below(folder: Path, place: str) -> Iterator[str]:
    """Give the files below ``directories.bin``, but for hidden ones."""
    for parent, folders, names in os.walk(folder / place):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(parent).relative_to(folder)
        yield from (
            (below / name).as_posix() for name in names if not name.startswith(".")
        )


def _inside(path: str) -> str:
    """Read a path as one below the package's folder, whatever it says."""
    unified = path.replace("\\", "/").replace(":", "/")
    return normpath(f"/{unified}").lstrip("/")
