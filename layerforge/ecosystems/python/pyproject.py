"""What a pyproject.toml asks for: dependencies and extras (PEP 621), groups (PEP 735).

Nothing of the project is built or run.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from layerforge.errors import ConfigError


def read_pyproject(
    file: Path, extras: Sequence[str], groups: Sequence[str]
) -> list[str]:
    """Give requirement lines: dependencies, and those of extras and groups.

    Raises `ConfigError`, also where only the build backend knows them (dynamic).
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    project = _table(document, "project", file)
    _refuse_dynamic(file, project, extras)
    optional: dict[str, list[str]] = {
        canonicalize_name(name): _lines(lines, f"optional-dependencies.{name}", file)
        for name, lines in _table(project, "optional-dependencies", file).items()
    }
    lines = _lines(project.get("dependencies", []), "dependencies", file)
    own_name = canonicalize_name(str(project.get("name", "")))
    seen: set[str] = set()
    for extra in extras:
        if canonicalize_name(extra) not in optional:
            raise _unknown(file, "extra", extra, optional)
        lines += _of_extra(canonicalize_name(extra), own_name, optional, seen)
    if groups:
        lines += _of_groups(_table(document, "dependency-groups", file), groups, file)
    return lines


def _of_extra(
    extra: str, own_name: str, optional: Mapping[str, list[str]], seen: set[str]
) -> Iterator[str]:
    """Give an extra's lines; one that names the project itself asks for more extras."""
    if extra in seen:
        return
    seen.add(extra)
    for line in optional.get(extra, ()):
        try:
            asked = Requirement(line)
        except InvalidRequirement:
            yield line  # whoever reads the line says what is wrong with it
            continue
        if canonicalize_name(asked.name) != own_name:
            yield line
            continue
        for inner in sorted(map(canonicalize_name, asked.extras)):
            yield from _of_extra(inner, own_name, optional, seen)


def _of_groups(
    known: Mapping[str, Any], groups: Sequence[str], file: Path
) -> Sequence[str]:
    from packaging.dependency_groups import (  # noqa: PLC0415 - few layers need it
        resolve_dependency_groups,
    )

    names: dict[str, str] = {canonicalize_name(name): name for name in known}
    for group in groups:
        if canonicalize_name(group) not in names:
            raise _unknown(file, "group", group, names)
    try:
        return resolve_dependency_groups(known, *groups)
    except ExceptionGroup as several:
        reasons = "; ".join(str(one).splitlines()[0] for one in several.exceptions)
        raise ConfigError(f"{file}: {reasons}") from several
    except (LookupError, ValueError, TypeError) as error:
        raise ConfigError(f"{file}: {error}") from error


def _unknown(
    file: Path, kind: str, name: str, known: Mapping[str, object]
) -> ConfigError:
    has = ", ".join(sorted(known)) or "none"
    return ConfigError(f"{file} has no {kind} {name!r}; it has: {has}")


def _table(parent: Mapping[str, Any], key: str, file: Path) -> dict[str, Any]:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{file} is not as it should be: {key} is no table")
    return value


def _lines(value: object, key: str, file: Path) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ConfigError(
            f"{file} is not as it should be: project.{key} is no list of strings"
        )
    return list(value)


def _refuse_dynamic(
    file: Path, project: Mapping[str, Any], extras: Sequence[str]
) -> None:
    dynamic = set(project.get("dynamic", ()))
    needed = {"dependencies"} | ({"optional-dependencies"} if extras else set())
    if dynamic & needed:
        raise ConfigError(
            f"{file} leaves its dependencies to its build backend (dynamic), which "
            "would have to run here",
            remedy="Export them to a requirements file, and name that.",
        )
