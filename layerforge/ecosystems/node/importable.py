"""What a layer lets a function load: the packages of its top level.

Told from the files, as Node.js's own resolution would
(https://nodejs.org/api/modules.html, https://nodejs.org/api/packages.html).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from posixpath import dirname, normpath, splitext
from typing import Any, Final

from layerforge.ecosystems.node.packagejson import manifest_of
from layerforge.imports import Import
from layerforge.target import Target
from layerforge.tree import FileEntry

_MANIFEST: Final = "package.json"
_CODE: Final = frozenset({".js", ".cjs", ".mjs", ".node"})
_LOADED: Final = _CODE | {"", ".json"}  # by require; types and style sheets are not
_TRIED: Final = ("", ".js", ".json", ".node")  # behind a name, in this order
_COMMON: Final = frozenset({"node", "default", "node-addons"})
_REQUIRE: Final = _COMMON | {"require"}
_IMPORT: Final = _COMMON | {"import", "module-sync"}
_INSTALLED: Final = re.compile(
    r"(?:(?:.*/)?node_modules/(?:@[^/]+/)?[^/]+/)?package\.json"
)
_INSTALLERS: Final = frozenset({"npm", "pnpm", "yarn"})  # in engines, no runtimes
# Lambda starts the older ones so that they do, whatever Node.js by itself would:
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html
_REQUIRES_ESM: Final = (24,)

# A package's files, by their paths in it.
_Files = dict[str, FileEntry]


def refuses_esm(target: Target) -> bool:
    """Say whether the runtime's require() has no ES modules."""
    return target.runtime.version_info < _REQUIRES_ESM


def find_imports(
    entries: Iterable[FileEntry], target: Target, *, shaken: bool = False
) -> tuple[Import, ...]:
    """Name every package that can be loaded by its name, in alphabetical order.

    That is the name of its folder; ``distribution`` is what it calls itself, which an
    alias doesn't tell. Left out is what has nothing to load: types, style sheets,
    programs, and what is for another engine than Node.js; and of a ``shaken`` layer
    what has lost the file that require() would take, since nothing takes it.
    """
    loadable = _loadable(entries, target, shaken=shaken)
    return tuple(one for one, _, _ in loadable)


def find_import_only(entries: Iterable[FileEntry], target: Target) -> tuple[str, ...]:
    """Name the packages that the runtime's require() refuses, being ES modules.

    Only those that nothing else in the layer depends on: those are for functions.
    """
    if not refuses_esm(target):
        return ()
    return tuple(
        one.module
        for one, manifest, files in _loadable(entries, target)
        if not one.dependency and _is_esm(manifest, files)
    )


def find_mains(entries: Iterable[FileEntry], target: Target) -> Mapping[str, str]:
    """Give the files that require() takes for top-level packages, by their names.

    Their paths are below the packages' folders. Left out is what says that it is for
    another system or processor, and what has nothing to be required.
    """
    return {
        name: main
        for name, manifest, files in _packages(entries, target)
        if _suits(manifest, target) and (main := main_file(manifest, files))
    }


def main_file(manifest: Mapping[str, Any], files: Collection[str]) -> str:
    """Give the file of a package that require() takes for its name, or ''."""
    if manifest.get("exports") is None:
        return _main(manifest, files)
    own = _own(manifest["exports"])
    path = normpath(next(_targets(own, _REQUIRE), "."))
    return path if path in files else ""


def _suits(manifest: Mapping[str, Any], target: Target) -> bool:
    """Say whether a package lets itself be installed on a target; as lists alone."""
    asked = (("os", "linux"), ("cpu", target.arch.npm))
    return all(
        value in listed
        for key, value in asked
        if isinstance(listed := manifest.get(key), list)
        and any(not str(one).startswith("!") for one in listed)
    )


def _loadable(
    entries: Iterable[FileEntry], target: Target, *, shaken: bool = False
) -> Iterator[tuple[Import, Mapping[str, Any], _Files]]:
    packages = list(_packages(entries, target))
    depended = {name for _, _, files in packages for name in _dependencies(files)}
    for name, manifest, files in packages:
        dependency = name in depended
        if _loads(manifest, files, dependency=dependency, shaken=shaken):
            called = _text(manifest, "name") or name
            one = Import(module=name, distribution=called, dependency=dependency)
            yield one, manifest, files


def _packages(
    entries: Iterable[FileEntry], target: Target
) -> Iterator[tuple[str, Mapping[str, Any], _Files]]:
    """Give the top level's packages: name, package.json and files."""
    places = target.runtime.search_path
    found: dict[str, dict[str, _Files]] = {place: {} for place in places}
    for entry in entries:
        for place, packages in found.items():
            rest = entry.path.removeprefix(f"{place}/")
            name, path = _split(rest)
            if rest != entry.path and not name.startswith("."):
                packages.setdefault(name, {})[path] = entry
    first_wins: dict[str, _Files] = {}
    for packages in found.values():
        first_wins = packages | first_wins
    for name in sorted(first_wins):
        yield name, _manifest(first_wins[name]), first_wins[name]


def _dependencies(files: _Files) -> Iterator[str]:
    """Name what a package depends on, and those do that lie inside it."""
    for path in files:
        if _INSTALLED.fullmatch(path):
            manifest = _manifest(files, dirname(path))
            for group in ("dependencies", "optionalDependencies"):
                asked = manifest.get(group)
                yield from asked if isinstance(asked, dict) else ()


def _split(path: str) -> tuple[str, str]:
    """Part a package's name, perhaps with a scope, from the path in it."""
    parts = path.split("/")
    length = 2 if path.startswith("@") else 1
    return "/".join(parts[:length]), "/".join(parts[length:])


def _manifest(files: _Files, folder: str = "") -> Mapping[str, Any]:
    """Read a package.json; Node.js says of a damaged one what is wrong."""
    return manifest_of(files.get(f"{folder}/{_MANIFEST}".lstrip("/")))


def _text(manifest: Mapping[str, Any], key: str) -> str:
    value = manifest.get(key)
    return value if isinstance(value, str) else ""


def _loads(
    manifest: Mapping[str, Any], files: _Files, *, dependency: bool, shaken: bool
) -> bool:
    """Say whether there is, or should be, something to load by the package's name.

    A file that is promised and isn't there is missed in what functions load, but not
    in programs, nor in what others depend on: those may need other files of it.
    """
    if "" in files:  # a link: where it leads to is seen when it is loaded
        return True
    if _is_foreign(manifest):
        return False
    if manifest.get("exports") is None:
        present = _main(manifest, files)
        if present:
            return _is_loaded(present)
        promised = [_text(manifest, "main")]
        has_code = any(splitext(path)[1] in _CODE for path in files)
    else:
        own = _own(manifest["exports"])
        required = list(_targets(own, _REQUIRE))
        promised = [*required, *_targets(own, _IMPORT)]
        if shaken and required:
            promised = required[:1]
        has_code = True
    loaded = [path for path in promised if path and _is_loaded(path)]
    if any(normpath(path) in files for path in loaded):
        return True
    excused = dependency or shaken or "bin" in manifest
    return bool(loaded) and has_code and not excused


def _is_foreign(manifest: Mapping[str, Any]) -> bool:
    engines = manifest.get("engines")
    named = set(engines) - _INSTALLERS if isinstance(engines, dict) else set()
    return bool(named) and "node" not in named


def _is_loaded(path: str) -> bool:
    return splitext(path)[1] in _LOADED


def _own(exports: object) -> object:
    """Give what ``exports`` has for the package's own name."""
    if isinstance(exports, dict) and any(key.startswith(".") for key in exports):
        return exports.get(".")
    return exports


def _targets(own: object, conditions: Collection[str]) -> Iterator[str]:
    """Give the files that conditions lead to, in order; Node.js takes the first."""
    if isinstance(own, str):
        yield own
    elif isinstance(own, list):
        for one in own:
            yield from _targets(one, conditions)
    elif isinstance(own, dict):
        for condition, one in own.items():
            if condition in conditions:
                yield from _targets(one, conditions)


def _main(manifest: Mapping[str, Any], files: Collection[str]) -> str:
    """Find the file that a package without ``exports`` is loaded by."""
    main = _text(manifest, "main")
    places = [normpath(main), normpath(f"{main}/index")] if main else []
    tried = [f"{place}{suffix}" for place in places for suffix in _TRIED]
    tried += [f"index{suffix}" for suffix in _TRIED[1:]]
    return next((path for path in tried if path in files), "")


def _is_esm(manifest: Mapping[str, Any], files: _Files) -> bool:
    """Say whether all that require() would be given is an ES module."""
    if manifest.get("exports") is None:
        path = _main(manifest, files)
    else:
        own = _own(manifest["exports"])
        path = normpath(next(_targets(own, _REQUIRE), "."))
    suffix = splitext(path)[1]
    if path == "." or suffix == ".mjs":
        return True
    return suffix == ".js" and _type(path, files) == "module"


def _type(path: str, files: _Files) -> str:
    """Give the ``type`` of the nearest package.json, which tells what a .js file is."""
    folder = dirname(path)
    while folder and f"{folder}/{_MANIFEST}" not in files:
        folder = dirname(folder)
    return _text(_manifest(files, folder), "type")
