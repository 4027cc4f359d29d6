"""The package.json that npm is to resolve: of lines, or a project's with all others.

A line is what ``npm install`` takes, as far as it says the package's name:
https://docs.npmjs.com/cli/v11/using-npm/package-spec.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from os.path import relpath
from pathlib import Path
from typing import Any, Final

from layerforge.errors import ConfigError

FILENAME: Final = "package.json"

_NAME: Final = re.compile(r"(@[\w~-][\w.~-]*/)?[a-zA-Z0-9~-][\w.~-]*", re.ASCII)
_LINE: Final = re.compile(r"(?P<name>@?[^@]+)(?:@(?P<range>.*))?")
_TARBALLS: Final = (".tgz", ".tar.gz", ".tar")
_GROUPS: Final = ("dependencies", "optionalDependencies", "devDependencies")
_LOCAL: Final = re.compile(r"file:|~?/|\.\.?(/|$)")


def manifest_of(name: str, lines: Sequence[str]) -> str:
    """Write a package.json whose dependencies are lines such as ``redis@^5``.

    A line without a version means any (``*``): of these npm takes what the registry
    calls latest, and the text, unlike with ``npm install``, is the same on any day;
    the lock says which it is. Raises `ConfigError` for what names no package.
    """
    dependencies: dict[str, str] = {}
    for line in map(str.strip, lines):
        match = _LINE.fullmatch(line)
        package = match["name"] if match else ""
        if not _NAME.fullmatch(package) or package.endswith(_TARBALLS):
            raise ConfigError(
                f"{line!r} doesn't say the name of a package",
                remedy="Write NAME, NAME@RANGE or ALIAS@npm:NAME@RANGE; and where it "
                "comes from elsewhere, NAME@ADDRESS.",
            )
        wanted = (match["range"] if match else "") or "*"
        if dependencies.setdefault(package, wanted) != wanted:
            raise ConfigError(
                f"{package} is asked for twice: {dependencies[package]} and {wanted}",
                remedy="Leave one of them, or give the other a name of its own: "
                f"ALIAS@npm:{package}@{wanted}.",
            )
    ordered = dict(sorted(dependencies.items()))
    document = {"name": name, "private": True, "dependencies": ordered}
    return json.dumps(document, indent=2) + "\n"


def project_files(manifest: bytes, folder: Path) -> dict[str, bytes]:
    """Give all that npm reads of a project to lock it, by path from its ``folder``.

    These are ``manifest``, its package.json, those of its workspaces and of the folders
    that are linked (``file:``), wherever they are, and tarballs (``file:``). Raises
    `ConfigError` for an absolute path, which a lock for others can't have.
    """
    files = {FILENAME: manifest}
    waiting = [(folder, manifest)]
    while waiting:
        place, text = waiting.pop()
        document = _document(text)
        for path in (*_workspaces(document, place), *_local(document, place)):
            inner = path / FILENAME if path.is_dir() else path
            name = relpath(inner, folder).replace("\\", "/")
            if name not in files and inner.is_file():
                files[name] = inner.read_bytes()
                if path.is_dir():
                    waiting.append((path, files[name]))
    return files


def workspace_folders(manifest: bytes, folder: Path) -> tuple[str, ...]:
    """Name a project's workspaces, by path from its ``folder``."""
    found = _workspaces(_document(manifest), folder)
    return tuple(relpath(path, folder).replace("\\", "/") for path in found)


def _document(text: bytes) -> Mapping[str, Any]:
    """Read a package.json; what is wrong with one, npm says better."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _workspaces(document: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    told = document.get("workspaces", [])
    patterns = told.get("packages", []) if isinstance(told, dict) else told
    found: dict[Path, None] = {}
    for pattern in patterns if isinstance(patterns, list) else ():
        if not isinstance(pattern, str):
            continue
        matching = dict.fromkeys(_matching(pattern.lstrip("!"), folder))
        if pattern.startswith("!"):
            found = {path: None for path in found if path not in matching}
        else:
            found |= matching
    return tuple(found)


def _matching(pattern: str, folder: Path) -> Iterator[Path]:
    cleaned = re.sub(r"^(\./|/)+|/+$", "", pattern)
    for path in sorted(folder.glob(cleaned)) if cleaned else ():
        inside = path.relative_to(folder).parts
        if "node_modules" not in inside and (path / FILENAME).is_file():
            yield path


def _local(document: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    for group in _GROUPS:
        dependencies = document.get(group)
        if not isinstance(dependencies, dict):
            continue
        for wanted in dependencies.values():
            if not (isinstance(wanted, str) and _LOCAL.match(wanted)):
                continue
            place = re.sub("^//(?=[^/])", "", wanted.removeprefix("file:"))
            if place.startswith(("/", "~")):
                raise ConfigError(
                    f"{folder / FILENAME} asks for {wanted}, which is on this machine "
                    "alone",
                    remedy="Name it by its path from the package.json: file:../...",
                )
            yield folder / place
