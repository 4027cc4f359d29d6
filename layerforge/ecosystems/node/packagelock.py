"""package-lock.json and npm-shrinkwrap.json as values (lockfileVersion 2 and 3).

The format is npm's: https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json.
``packages`` has an entry for each folder that npm makes, under its path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from posixpath import dirname
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from layerforge.errors import DamagedLockError, LockError

T = TypeVar("T")

# By scope; '' is for the packages whose scope has no registry of its own.
PUBLIC_REGISTRY: Final[Mapping[str, str]] = MappingProxyType(
    {"": "https://registry.npmjs.org/"}
)
_VERSIONS: Final = (2, 3)
_AGAIN: Final = "Make it again: npm install --package-lock-only --ignore-scripts"
_UPGRADE: Final = (
    "Upgrade it: npm install --package-lock-only --ignore-scripts --lockfile-version 3"
)
MODULES: Final = "node_modules/"
# Not npm's rule for new names, but what can be one folder, or two with a scope.
_NAME: Final = re.compile(
    r"(@[^/@\\\s\0-\x1f.][^/@\\\s\0-\x1f]*/)?[^/@\\\s\0-\x1f.][^/\\\s\0-\x1f]*"
)
_TARBALL: Final = (".tgz", ".tar.gz", ".tar")


class Source(Enum):
    """Where the files of a package come from."""

    REGISTRY = "a tarball that a registry has"
    REMOTE = "a tarball at any other address"
    FILE = "a tarball in the project"
    FOLDER = "a folder of the project"
    GIT = "a commit of a repository"
    BUNDLED = "the tarball of the package that it lies in"


class Group(StrEnum):
    """The field of a package.json that a dependency stands in.

    In npm's order: what stands in several is what the last of them says.
    """

    PEER = "peerDependencies"
    PROD = "dependencies"
    OPTIONAL = "optionalDependencies"
    DEV = "devDependencies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """What one package asks for: a name, and a range of versions or an address.

    ``optional`` where it works without: an optional dependency, or a peer that
    ``peerDependenciesMeta`` calls so.
    """

    name: str
    range: str
    group: Group
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One entry of ``packages``.

    ``path`` is the folder, from the lock's own, with slashes; '' is the project.
    ``name`` is what the registry calls it: an alias has another name in its path.
    ``resolved`` is the address of its tarball or commit, or the path of its tarball or
    folder from the lock's own; '' for what is bundled. ``integrity`` is as the lock
    has it (W3C Subresource Integrity, perhaps several), '' where it has none.
    ``link`` where npm makes a symbolic link to the folder ``resolved``.
    """

    path: str
    name: str
    version: str
    source: Source
    resolved: str = ""
    integrity: str = ""
    dev: bool = False
    optional: bool = False
    dev_optional: bool = False
    peer: bool = False
    link: bool = False
    has_install_script: bool = False
    os: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    libc: tuple[str, ...] = ()
    engines: tuple[tuple[str, str], ...] = ()
    bin: tuple[tuple[str, str], ...] = ()
    dependencies: tuple[Dependency, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()

    @property
    def folder(self) -> str:
        """The name that ``require`` knows it by; its own, or an alias."""
        return self.path.rpartition(MODULES)[2]

    @property
    def installed(self) -> bool:
        """Say whether it stands in a node_modules: not the project, nor a workspace."""
        return MODULES in self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageLock:
    """A whole lock: the project's name, and its packages by path, the project first."""

    name: str
    packages: tuple[Package, ...]

    @property
    def project(self) -> Package:
        """The project itself: its dependencies are those of its package.json."""
        return self.packages[0]


def parse_package_lock(
    text: str, where: str, registries: Mapping[str, str] = PUBLIC_REGISTRY
) -> PackageLock:
    """Read the text of a lock; ``where`` is what messages call it.

    ``registries`` (by scope, '' for the rest) say where a tarball is whose address the
    lock leaves out. Raises `LockError` for lockfileVersion 1 and others unknown, and
    `DamagedLockError` for what isn't a lock, or has a path that npm would never write.
    """
    document = _document(text, where)
    # Of a project that asks for nothing npm writes nothing.
    packages = document["packages"] or {"": {}}
    if "" not in packages:
        raise _damaged(where, "the project's own entry is missing")
    paths = ["", *sorted(path for path in packages if path)]
    packages = _without_own_bundle(packages)
    read = {path: _package(path, packages[path], where, registries) for path in paths}
    return PackageLock(
        name=read[""].name,
        packages=tuple(_linked(package, read, where) for package in read.values()),
    )


def find_package(name: str, start: str, paths: Collection[str]) -> str | None:
    """Resolve a name as Node.js does: the nearest node_modules, then further up.

    ``start`` is the path of the package that asks, ``paths`` are all that there are.
    """
    folder = start
    while True:
        path = f"{folder}/node_modules/{name}".lstrip("/")
        if path in paths:
            return path
        # A folder beside the project's resolves nothing from the project.
        if not folder or folder.endswith(".."):
            return None
        folder = dirname(folder)


def dependencies_of(manifest: object, *, dev: bool = True) -> tuple[Dependency, ...]:
    """Read what a package.json asks for, without ``dev`` as of an installed package.

    Raises `TypeError` for anything that isn't the JSON of one.
    """
    row = _object(manifest)
    meta = _object(row.get("peerDependenciesMeta", {}))
    free = {name for name, told in meta.items() if _object(told).get("optional")}
    asked: dict[str, Dependency] = {}
    for group in Group:
        if group is Group.DEV and not dev:
            continue
        for name, wanted in _pairs(row, group):
            optional = group is Group.OPTIONAL or (group is Group.PEER and name in free)
            asked[name] = Dependency(
                name=name, range=wanted, group=group, optional=optional
            )
    return tuple(asked.values())


def _document(text: str, where: str) -> dict[str, Any]:
    try:
        document = _object(json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise _damaged(where, f"not JSON of a lock: {error}") from error
    if "lockfileVersion" not in document:
        raise _damaged(where, "lockfileVersion is missing")
    version = document["lockfileVersion"]
    if version == 1:
        raise LockError(
            f"{where} has lockfileVersion 1, which doesn't say all that is needed",
            remedy=_UPGRADE,
        )
    if version not in _VERSIONS:
        raise LockError(
            f"{where} has lockfileVersion {version!r}, and only 2 and 3 are known",
            remedy=_UPGRADE,
        )
    if not isinstance(document.get("packages"), dict):
        raise _damaged(where, "packages is missing")
    return document


def _without_own_bundle(packages: Mapping[str, Any]) -> dict[str, Any]:
    """Have only what lies in another package's tarball be in a bundle.

    npm says so of what the project itself bundles as well, which it fetches like any.
    """
    bundled = {
        path
        for path, row in packages.items()
        if isinstance(row, dict) and row.get("inBundle")
    }
    own = {path for path in bundled if path.split(f"/{MODULES}")[0] in bundled}
    return {**packages, **{path: {**packages[path], "inBundle": False} for path in own}}


def _package(
    path: str, entry: object, where: str, registries: Mapping[str, str]
) -> Package:
    _check_path(path, where)
    try:
        row = _object(entry)
        folder = path.rpartition(MODULES)[2] if MODULES in path else ""
        name = _name(row, folder)
        version = _get(row, "version", "")
        source, resolved = _origin(row, name, version, registries, inside=bool(folder))
        return Package(
            path=path,
            name=name,
            version=version,
            source=source,
            resolved=resolved,
            integrity=_get(row, "integrity", ""),
            dev=_get(row, "dev", False),
            optional=_get(row, "optional", False),
            dev_optional=_get(row, "devOptional", False),
            peer=_get(row, "peer", False),
            link=_get(row, "link", False),
            has_install_script=_get(row, "hasInstallScript", False),
            os=_texts(row, "os"),
            cpu=_texts(row, "cpu"),
            libc=_texts(row, "libc"),
            engines=_pairs(row, "engines"),
            bin=_pairs(row, "bin"),
            dependencies=dependencies_of(row, dev=not folder),
        )
    except (TypeError, ValueError) as error:
        raise _damaged(where, f"{path or 'the project'}: {error}") from error


def _name(row: Mapping[str, Any], folder: str) -> str:
    name = _get(row, "name", folder)
    if folder and not _NAME.fullmatch(name):
        raise ValueError(f"name is {name!r}")
    return name


def _origin(
    row: Mapping[str, Any],
    name: str,
    version: str,
    registries: Mapping[str, str],
    *,
    inside: bool,
) -> tuple[Source, str]:
    """Tell where a package comes from; a lock says it only by its addresses."""
    resolved = _get(row, "resolved", "")
    scheme = urlsplit(resolved).scheme
    if not inside or row.get("link"):
        return Source.FOLDER, resolved
    if row.get("inBundle"):
        return Source.BUNDLED, ""
    if not resolved:
        if not version:
            raise ValueError("resolved and version are missing")
        return Source.REGISTRY, _tarball(name, version, registries)
    if scheme == "git" or scheme.startswith("git+"):
        return Source.GIT, resolved
    if scheme == "file":
        source = Source.FILE if resolved.endswith(_TARBALL) else Source.FOLDER
        return source, resolved.removeprefix("file:")
    if scheme in {"http", "https"}:
        registry = f"/{name}/-/" in resolved.replace("%2f", "/").replace("%2F", "/")
        return Source.REGISTRY if registry else Source.REMOTE, resolved
    raise ValueError(f"resolved is {resolved!r}")


def _tarball(name: str, version: str, registries: Mapping[str, str]) -> str:
    """Give the address that npm's registries have a tarball at."""
    scope, _, bare = name.rpartition("/")
    registry = registries.get(scope) or registries[""]
    return f"{registry.rstrip('/')}/{name}/-/{bare}-{quote(version, safe='+')}.tgz"


def _linked(package: Package, read: Mapping[str, Package], where: str) -> Package:
    """Give a link what the lock says of the folder that it leads to."""
    if not package.link:
        return package
    target = read.get(package.resolved)
    if target is None or target.link:
        raise _damaged(
            where, f"{package.path}: the folder {package.resolved!r} has no entry"
        )
    return replace(
        target,
        path=package.path,
        name=target.name or package.name,
        resolved=package.resolved,
        link=True,
    )


def _check_path(path: str, where: str) -> None:
    """Refuse a path that would lead elsewhere than into some node_modules.

    The folder that it begins with is the user's own, and may be a neighbour's (``..``).
    """
    start, *modules = re.split(r"(?:^|/)node_modules/", path)
    parts = start.split("/") if start else []
    while parts and parts[0] == "..":
        del parts[0]
    if (
        "\\" in path
        or path.startswith("/")
        or any(part in {"", ".", "..", "node_modules"} for part in parts)
        or any(not _NAME.fullmatch(name) for name in modules)
    ):
        raise _damaged(where, f"{path!r} is no path of a package")


def _damaged(where: str, what: str) -> DamagedLockError:
    return DamagedLockError(f"{where} is damaged: {what}", remedy=_AGAIN)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    return value


def _get(row: Mapping[str, Any], key: str, default: T) -> T:
    value = row.get(key, default)
    if not isinstance(value, type(default)):
        raise TypeError(f"{key} is {value!r}")
    return value


def _texts(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key, [])
    # Old packages say one without a list.
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise TypeError(f"{key} is {value!r}")
    return tuple(items)


def _pairs(row: Mapping[str, Any], key: str) -> tuple[tuple[str, str], ...]:
    value = row.get(key, {})
    if key == "engines" and not isinstance(value, dict):
        # Old packages have a list or a string, which npm itself ignores.
        return ()
    pairs = _object(value)
    if not all(isinstance(item, str) for item in pairs.values()):
        raise TypeError(f"{key} is {value!r}")
    return tuple(pairs.items())
