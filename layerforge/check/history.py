"""What locks and layerforge.toml said at an earlier revision, as git has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import tomli

from layerforge.ecosystems import all_ecosystems
from layerforge.errors import LockError
from layerforge.revision import files_at
from layerforge.spec import Project
from layerforge.weighed import Weighed


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The layers that there were, by name and target, without what their bases had.

    ``functions`` has the layers that each held. ``unread`` are files that say nothing
    of use any more: of an older format, damaged, or without sizes.
    """

    revision: str
    layers: Mapping[tuple[str, str], Weighed]
    functions: Mapping[str, tuple[str, ...]]
    unread: tuple[str, ...] = ()

    def lost(self, name: str, target: str) -> bool:
        """Say whether a layer was there, and no more is known of it.

        By the names that locks and ledgers have: pylock.web-python313-arm64.toml.
        """
        place = f".{name}-{target.replace('.x', '').replace('.', '')}."
        return any(place in path for path in self.unread)


def read_past(project: Project, revision: str) -> Past:
    """Read a project's past; raises `ConfigError` where git can't tell it."""
    ecosystems = all_ecosystems()
    config = PurePosixPath(project.file.name if project.file else "layerforge.toml")

    def wanted(path: PurePosixPath) -> bool:
        return path == config or any(each.recalls(path.name) for each in ecosystems)

    files = files_at(project.folder, revision, wanted)
    said = _tables(files.pop(config, b""))
    layers: dict[tuple[str, str], Weighed] = {}
    unread = []
    for path in _of_the_project(files, said):
        (ecosystem,) = (each for each in ecosystems if each.recalls(path.name))
        try:
            found = ecosystem.recall(files[path], Path(path))
        except LockError:
            found = None
        if found:
            layers[found.layer, found.target] = found
        else:
            unread.append(str(path))
    return Past(
        revision=revision,
        layers={key: _own(one, layers, said) for key, one in layers.items()},
        functions=_functions(said),
        unread=tuple(unread),
    )


def _tables(data: bytes) -> Mapping[str, Any]:
    """Give the tables of a layerforge.toml of any age; it is not for us to refuse."""
    try:
        document = tomli.loads(data.decode())
    except ValueError:
        return {}
    return _table(_table(document, "tool"), "layerforge") or document


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _of_the_project(
    paths: Iterable[PurePosixPath], said: Mapping[str, Any]
) -> list[PurePosixPath]:
    """Give the files that lie where the project's locks are, and not another's."""
    folders = {PurePosixPath()}
    for layer in _table(said, "layers").values():
        manifest = layer.get("package-json") if isinstance(layer, dict) else None
        if isinstance(manifest, str):
            folders.add(PurePosixPath(manifest).parent)
    return sorted(path for path in paths if path.parent in folders)


def _own(
    layer: Weighed,
    layers: Mapping[tuple[str, str], Weighed],
    said: Mapping[str, Any],
) -> Weighed:
    """Leave out what the layers have that it stood on; a lock names that too."""
    defaults = _table(said, "defaults").get("provided-by")
    bases = _table(_table(said, "layers"), layer.layer).get("provided-by", defaults)
    found = [layers.get((name, layer.target)) for name in _names(bases)]
    provided = {package.key for base in found if base for package in base.packages}
    packages = (each for each in layer.packages if each.key not in provided)
    return replace(layer, packages=tuple(packages))


def _functions(said: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    functions = _table(said, "functions")
    return {name: _names(_table(functions, name).get("layers")) for name in functions}


def _names(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))
