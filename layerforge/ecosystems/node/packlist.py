"""Which files of a folder are its package: workspaces and ``file:`` links.

In node_modules npm makes a link to such a folder. A layer can't hold one, so it gets
what ``npm pack`` would take, by the rules of npm 11:
https://docs.npmjs.com/cli/v11/configuring-npm/package-json#files
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from posixpath import dirname, normpath
from typing import Final

from layerforge.ecosystems.node.globs import Rule, read_rules
from layerforge.ecosystems.node.packagejson import (
    PackageJson,
    read_package_json,
)
from layerforge.elf.others import foreign_format
from layerforge.elf.reader import find_facts
from layerforge.errors import ConfigError
from layerforge.pack import Pack
from layerforge.spec import unreadable
from layerforge.store import Store
from layerforge.tree import FileEntry, Tree

_TRANSFORM: Final = "folder"
_MODULES: Final = "node_modules"
_NAME: Final = re.compile(r"(@[^/]+/)?[^./@][^/]*")
_IGNORE_FILES: Final = (".npmignore", ".gitignore")  # the first that is there counts

# These stand before what a package says itself, which may take them back...
_DEFAULTS: Final = """\
.npmignore
.gitignore
**/.git
**/.svn
**/.hg
**/CVS
**/.git/**
**/.svn/**
**/.hg/**
**/CVS/**
/.lock-wscript
/.wafpickle-*
/build/config.gypi
npm-debug.log
**/.npmrc
.*.swp
.DS_Store
**/.DS_Store/**
._*
**/._*/**
*.orig
/archived-packages/**
"""
# ...and these behind it: they hold whatever it says, in a package and in any folder.
_ALWAYS: Final = """\
!/package.json
!/readme{,.*[^~$]}
!/copying{,.*[^~$]}
!/license{,.*[^~$]}
!/licence{,.*[^~$]}
/.git
/node_modules
.npmrc
/package-lock.json
/yarn.lock
/pnpm-lock.yaml
/bun.lockb
"""
_NEVER: Final = "/.git\n"


def packed_files(folder: Path, *, project: Path | None = None) -> tuple[str, ...]:
    """List the files that ``npm pack`` would put into the folder's tarball, sorted.

    They are paths below the folder, with slashes. Bundled dependencies are among them
    as they lie in its node_modules; symbolic links and names with an asterisk are not.
    ``project`` is the folder whose workspace it is, if it is one: ignore files of the
    folders in between count too. No script runs, neither ``prepare`` nor ``prepack``:
    what these would make has to be there. Raises `ConfigError`.
    """
    root = folder.resolve()
    package = read_package_json(root)
    outer = _outer_rules(root, project.resolve()) if project else ""
    try:
        files = {*_walk(_package(root, package, linked=True, outer=outer))}
        files.update(_bundled(root, package))
    except OSError as error:
        raise unreadable(error) from error
    for path in files:
        _refuse_unportable(folder, path)
    return tuple(sorted(files))


def pack_folder(folder: Path, store: Store, *, project: Path | None = None) -> Pack:
    """Give `packed_files` as a pack, their deflated bytes kept in the store by content.

    It is what npm extracts of such a tarball: a file with any x bit is executable, and
    a program that ``bin`` names is one in any case; a .gitignore is called .npmignore,
    where there is none. ``digest`` is the SHA-256 (hex) of paths, modes and contents.
    Raises `ConfigError`.
    """
    package = read_package_json(folder)
    files = packed_files(folder, project=project)
    found = (_entry(folder, path, store, is_bin=path in package.bins) for path in files)
    entries = tuple(sorted(_renamed(found, {*files}), key=lambda entry: entry.path))
    return Pack(
        name=package.name,
        version=package.version,
        digest=Tree(entries).digest,
        entries=entries,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    """A folder on the way, with the rules that stand in it.

    ``named`` where a rule speaks of the folder itself, not only of what it may hold:
    then what its parents say of its files doesn't settle them.
    """

    path: Path
    rules: tuple[Rule, ...]
    required: tuple[str, ...] = ()
    parent: _Folder | None = None
    named: bool = False

    def keeps(self, path: str, *, folder: bool = False, name: str = "") -> bool:
        kept = True
        if self.parent:
            kept = self.parent.keeps(
                f"{self.path.name}/{path}", folder=folder, name=name or path
            )
            if not kept and not self.named:
                return False
        for rule in self.rules:
            if rule.keeps != kept and rule.matches(path, folder=folder, name=name):
                kept = rule.keeps
        return kept


def _walk(folder: _Folder) -> Iterator[str]:
    with os.scandir(folder.path) as found:
        entries = [entry for entry in found if "*" not in entry.name]
    for entry in entries:
        name = entry.name
        if entry.is_dir(follow_symlinks=False):
            if folder.keeps(name, folder=True):
                inside = _subfolder(folder, name)
                yield from (f"{name}/{path}" for path in _walk(inside))
        elif entry.is_file(follow_symlinks=False) and folder.keeps(name):
            yield name


def _package(
    path: Path, package: PackageJson, *, linked: bool, outer: str = ""
) -> _Folder:
    """Give a package's folder; one that is not ``linked`` has been packed before."""
    listed, required = _listed(path, package)
    if listed is None and linked:
        listed = _ignored(path)
    texts = [
        f"{_DEFAULTS}{outer}" if linked else "",
        listed or "",
        "".join(f"!{each}\n" for each in reversed(required)) + _ALWAYS,
        "".join(f"!/{each}\n" for each in (*package.entry_points, *package.bins)),
    ]
    rules = tuple(rule for text in texts for rule in read_rules(text))
    plain = tuple(each.removeprefix("/") for each in required)
    return _Folder(path=path, rules=rules, required=plain)


def _subfolder(parent: _Folder, name: str) -> _Folder:
    path = parent.path / name
    required = tuple(
        normpath(each).removeprefix(f"{name}/")
        for each in parent.required
        if dirname(normpath(each)) == name
    )
    always = _NEVER + "".join(f"!{each}\n" for each in required)
    texts = (_DEFAULTS, _ignored(path), always)
    return _Folder(
        path=path,
        rules=tuple(rule for text in texts for rule in read_rules(text)),
        required=required,
        parent=parent,
        named=parent.keeps(name) or parent.keeps(f"{name}/"),
    )


def _listed(path: Path, package: PackageJson) -> tuple[str | None, tuple[str, ...]]:
    """Read ``files``: the rules it makes, and those of it that are files, as they are.

    What is a file is taken whatever else is said.
    """
    if package.files is None:
        return None, ()
    rules, required = ["*"], []
    for each in package.files:
        listed = each[1:] if each.startswith("./") else each
        listed += "*" if listed.endswith("/*") else ""
        mode = _mode(path, listed.lstrip("!"))
        if mode is None:
            rules.append(f"!{listed}")
        elif stat.S_ISREG(mode):
            required.append(listed)
        elif stat.S_ISDIR(mode):
            rules += [f"!{listed}", f"!{listed}/**"]
    return "\n".join(rules), tuple(required)


def _mode(folder: Path, listed: str) -> int | None:
    # What is no path is a pattern: too long for one, perhaps, or with a slash at its
    # end, which pathlib would take away.
    slash = "/" if listed.endswith("/") else ""
    try:
        return os.lstat(normpath(f"{folder}/{listed}") + slash).st_mode
    except (OSError, ValueError):
        return None


def _ignored(path: Path) -> str:
    for name in _IGNORE_FILES:
        if os.path.lexists(path / name):
            return (path / name).read_text(encoding="utf-8", errors="replace")
    return ""


def _outer_rules(root: Path, project: Path) -> str:
    if project not in root.parents:
        return ""
    between = (project / part for part in root.relative_to(project).parents)
    return "\n".join(_ignored(each) for each in reversed([*between]))


def _bundled(root: Path, package: PackageJson) -> Iterator[str]:
    """Give the files of what the package bundles, and of what that needs in turn."""
    seen: set[Path] = set()
    waiting = [(root, name) for name in package.bundled]
    while waiting:
        home, name = waiting.pop()
        place = _installed(name, home, root)
        if place is None or place in seen:
            continue
        seen.add(place)
        inner = read_package_json(place)
        linked = place.is_symlink()
        below = place.relative_to(root).as_posix()
        yield from (
            f"{below}/{path}" for path in _walk(_package(place, inner, linked=linked))
        )
        waiting += [(place.resolve(), name) for name in inner.dependencies]


def _installed(name: str, home: Path, root: Path) -> Path | None:
    """Find a package as ``require`` would from ``home``, without leaving ``root``."""
    if not _NAME.fullmatch(name):
        return None
    for parent in (home, *home.parents):
        if root not in (parent, *parent.parents):
            return None
        place = parent / _MODULES / name
        if parent.name != _MODULES and place.is_dir():
            return place
    return None


def _entry(folder: Path, path: str, store: Store, *, is_bin: bool) -> FileEntry:
    source = folder / path
    try:
        data = source.read_bytes()
        executable = is_bin or bool(source.stat().st_mode & 0o111)
    except OSError as error:
        raise unreadable(error) from error
    return FileEntry(
        path=path,
        origin="",
        content=store.keep(data, _TRANSFORM),
        executable=executable,
        elf=find_facts(data),
        foreign=foreign_format(data),
    )


def _renamed(entries: Iterable[FileEntry], paths: set[str]) -> Iterator[FileEntry]:
    for entry in entries:
        folder, slash, name = entry.path.rpartition("/")
        path = f"{folder}{slash}.npmignore"
        if name != ".gitignore":
            yield entry
        elif path not in paths:
            yield replace(entry, path=path)


def _refuse_unportable(folder: Path, path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{str(folder / path)!a} has a name that is not UTF-8",
            remedy="Rename it: zips hold names in UTF-8.",
        ) from error
    if "\\" in path:
        raise ConfigError(
            f"{folder / path} has a backslash in its name",
            remedy="Rename it: to some programs that unzip it is a slash.",
        )
