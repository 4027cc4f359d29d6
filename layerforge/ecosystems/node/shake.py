"""Tree shaking: of a layer's files, those that a function's own code can reach.

Code is followed by @vercel/nft. What no reading of code can tell stays with its
package: native code, package.json, licences.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from layerforge.ecosystems.node.nft import Missing, Trace, trace
from layerforge.ecosystems.node.packagejson import optional_names
from layerforge.ecosystems.node.packagelock import MODULES
from layerforge.errors import ConfigError
from layerforge.events import Noted
from layerforge.include import ORIGIN
from layerforge.spec import LayerSpec
from layerforge.strip import matcher
from layerforge.target import Target
from layerforge.tools import Tools
from layerforge.tree import FileEntry, Tree, unite

_CODE: Final = frozenset({".js", ".cjs", ".mjs"})
_TYPESCRIPT: Final = frozenset({".ts", ".cts", ".mts", ".tsx"})
_PACKAGE: Final = re.compile(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^/]+(?=/)")
_LICENCE: Final = re.compile(r"(?:licen[cs]e|copying|notice)(?:$|[.-])", re.IGNORECASE)
_SHOWN: Final = 5

# A package's entries, by its folder.
_Packages = Mapping[str, Sequence[FileEntry]]


def shake(
    entries: Sequence[FileEntry], spec: LayerSpec, target: Target, tools: Tools
) -> tuple[FileEntry, ...]:
    """Give the entries that the entry points reach, and what those can't do without.

    Included files, and what ``keep`` names, stay, and are followed as entry points
    are. What is imported and not found is told to ``tools.listen``. Raises
    `ConfigError` for entry points that can't be followed.
    """
    _check(spec)
    tree = unite(entries, chosen=spec.collisions)
    own = {entry.path for entry in tree if _is_own(entry, spec, target)}
    code = {entry.path for entry in tree if entry.content and _is_code(entry.path)}
    traced = trace(tree, spec.entry_points, sorted(own & code), target, tools)
    for note in notes(traced, own, target):
        tools.listen(note)
    left = kept(tree, traced.reached | own)
    return tuple(entry for entry in entries if entry.path in left)


def kept(tree: Tree, reached: Collection[str]) -> frozenset[str]:
    """Give the paths that stay of a tree where ``reached`` ones do.

    With a file stay its package's package.json, licences and native code; with a
    package those of its optional dependencies that are made of native code, as a whole;
    with what a symbolic link leads to, the link.
    """
    packages = _packages(tree)
    files = {entry.path for entry in tree} & set(reached)
    waiting = {folder for path in files if (folder := _package(path))}
    used: set[str] = set()
    while waiting:
        folder = waiting.pop()
        if folder in used:
            continue
        used.add(folder)
        of_package = packages[folder]
        files |= {entry.path for entry in of_package if _always_stays(entry, folder)}
        for other in _optional(of_package, folder, packages):
            if any(entry.elf for entry in packages[other]):
                files |= {entry.path for entry in packages[other]}
                waiting.add(other)
    return frozenset(files | _links(tree, files))


def _check(spec: LayerSpec) -> None:
    if not spec.entry_points:
        raise ConfigError(
            f"{spec.name}: shake has no entry-points to start from",
            remedy="Name the files of the functions that will use the layer: "
            'entry-points = ["src/handler.js"].',
        )
    for path in spec.entry_points:
        if path.suffix in _TYPESCRIPT:
            raise ConfigError(
                f"{spec.name}: the entry point {path} is TypeScript",
                remedy="Only JavaScript can be followed: name what it is compiled to.",
            )
        if path.suffix not in _CODE:
            raise ConfigError(
                f"{spec.name}: the entry point {path} is not JavaScript",
                remedy="Name files that end in .js, .cjs or .mjs.",
            )


def _is_own(entry: FileEntry, spec: LayerSpec, target: Target) -> bool:
    """Say whether the user has asked for a file by itself."""
    if entry.origin == ORIGIN:
        return True
    keeps = matcher(spec.keep)
    roots = [f"{place}/" for place in target.runtime.search_path]
    return any(
        entry.path.startswith(root) and keeps(entry.path.removeprefix(root))
        for root in roots
    )


def _is_code(path: str) -> bool:
    return posixpath.splitext(path)[1] in _CODE


def _packages(tree: Tree) -> _Packages:
    packages: defaultdict[str, list[FileEntry]] = defaultdict(list)
    for entry in tree:
        packages[_package(entry.path)].append(entry)
    return dict(packages)


def _package(path: str) -> str:
    """Give the folder of the package that a file belongs to, '' for a file of none."""
    found = _PACKAGE.match(path)
    return found[0] if found else ""


def _always_stays(entry: FileEntry, folder: str) -> bool:
    name = posixpath.basename(entry.path)
    return (
        entry.elf is not None
        or entry.path == f"{folder}/package.json"
        or _LICENCE.match(name) is not None
    )


def _optional(
    entries: Iterable[FileEntry], folder: str, packages: Collection[str]
) -> Iterator[str]:
    """Give the folders of a package's optional dependencies, where they are there."""
    manifest = next((e for e in entries if e.path == f"{folder}/package.json"), None)
    for name in optional_names(manifest):
        place = folder
        while place:
            if f"{place}/node_modules/{name}" in packages:
                yield f"{place}/node_modules/{name}"
                break
            place = posixpath.dirname(place)


def _links(tree: Tree, files: Collection[str]) -> set[str]:
    """Give the links that lead to a file that stays, or to a folder with one."""
    there = set(files)
    for path in files:
        while path := posixpath.dirname(path):
            there.add(path)
    found: set[str] = set()
    links = [(entry.path, _landing(entry)) for entry in tree if entry.link]
    while more := {path for path, landing in links if landing in there} - found:
        found |= more
        there |= more
    return found


def _landing(entry: FileEntry) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.link))


def notes(traced: Trace, own: Collection[str], target: Target) -> tuple[Noted, ...]:
    """Say what couldn't be followed: in the user's own files, it may well be missed.

    Those are the files outside of the layer, and its ``own``. What the runtime brings
    isn't missed.
    """
    missing = [one for one in traced.missing if not _is_provided(one.name, target)]
    mine = [one for one in missing if _is_mine(one.parent, own)]
    theirs = [_said(one) for one in missing if one not in mine]
    warnings = [
        f"{one.parent} imports {one.name}, which is neither in the layer nor beside it"
        for one in mine
    ]
    warnings += [f"{file} can't be followed: {why}" for file, why in traced.unread]
    noted = [Noted(message=message, warning=True) for message in warnings]
    if theirs:
        noted.append(Noted(message=_perhaps(tuple(dict.fromkeys(theirs)))))
    return tuple(noted)


def _is_mine(path: str, own: Collection[str]) -> bool:
    return path in own or posixpath.isabs(path)


def _perhaps(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    shown = ", ".join(names[:_SHOWN])
    return f"not in the layer, and perhaps not needed: {shown}{more}"


def _said(one: Missing) -> str:
    package = _package(one.parent).rpartition(MODULES)[2]
    return f"{one.name} ({package or one.parent})"


def _is_provided(name: str, target: Target) -> bool:
    """Say whether a module is of the AWS SDK that the runtime brings."""
    parts = name.split("/")
    package = "/".join(parts[: 2 if name.startswith("@") else 1])
    return any(fnmatchcase(package, form) for form in target.runtime.sdk)
