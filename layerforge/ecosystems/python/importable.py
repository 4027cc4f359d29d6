"""What a layer lets a function import: its top-level modules, by distribution.

Told from the files, as Python's own finders would
(https://docs.python.org/3/reference/import.html): RECORD doesn't reach a layer, and
top_level.txt, where there is one, may list what is no longer there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from keyword import iskeyword
from typing import Final, cast

from packaging.utils import canonicalize_name

from layerforge.ecosystems.python.namespace import declares_namespace
from layerforge.imports import Import
from layerforge.target import Target
from layerforge.tree import FileEntry

# Folders of data, documents and scripts: without an __init__.py they are no package.
_NO_NAMESPACES: Final = {
    "bin",
    "doc",
    "docs",
    "etc",
    "examples",
    "include",
    "lib",
    "lib64",
    "man",
    "sbin",
    "scripts",
    "share",
    "test",
    "tests",
    "tools",
    "var",
}
_NO_MODULES: Final = {"conftest", "setup"}  # for those who build or test
_SOURCE: Final = re.compile(r"(\w+)\.pyc?")
_EXTENSION: Final = re.compile(r"(\w+)\.(?:(?:cpython|abi3|pypy)[^/]*\.)?so")
_LINKED: Final = re.compile(r"lib\w+\.so")  # for other libraries, not for Python
_INFO: Final = re.compile(r"([^/]+?)-[^/-]+\.(?:dist|egg)-info")

# A folder's files and folders by name.
_Folder = dict[str, "FileEntry | _Folder"]


def find_imports(
    entries: Iterable[FileEntry],
    target: Target,
    *,
    shaken: bool = False,  # noqa: ARG001 - no layer of Python's is
) -> tuple[Import, ...]:
    """Name every top-level module, in alphabetical order.

    Of a namespace it is the first real packages inside (google.cloud.storage).
    """
    folder = _folder_of(entries)
    found: dict[str, str] = {}
    distributions: dict[str, frozenset[str]] = {}
    for place in target.runtime.search_path:
        root = _at(folder, place)
        distributions |= _distributions(root)
        for module, entry in _modules(root, ""):
            found.setdefault(module, entry.origin if entry else "")
    owners = _owners(found, distributions)
    return tuple(
        Import(module=module, distribution=owners[module]) for module in sorted(found)
    )


def _folder_of(entries: Iterable[FileEntry]) -> _Folder:
    top: _Folder = {}
    for entry in entries:
        *parents, name = entry.path.split("/")
        folder = top
        for parent in parents:
            folder = cast("_Folder", folder.setdefault(parent, {}))
        folder[name] = entry
    return top


def _at(folder: _Folder, place: str) -> _Folder:
    for name in place.split("/"):
        folder = cast("_Folder", folder.get(name, {}))
    return folder


def _modules(folder: _Folder, package: str) -> Iterator[tuple[str, FileEntry | None]]:
    """Give modules, each with the file that it is, or that makes it a package."""
    files = {
        name: child
        for filename, child in folder.items()
        if isinstance(child, FileEntry) and (name := _module_name(filename))
    }
    for name, entry in files.items():
        if _is_name(name) and (package or name not in _NO_MODULES):
            yield package + name, entry
    for name, child in folder.items():
        if isinstance(child, FileEntry) or not _is_name(name) or name in files:
            continue
        init = _init(child)
        if init and not declares_namespace(init):
            yield package + name, init
        elif init or name not in _NO_NAMESPACES:
            yield from _modules(child, f"{package}{name}.")


def _module_name(filename: str) -> str:
    if _LINKED.fullmatch(filename):
        return ""
    match = _SOURCE.fullmatch(filename) or _EXTENSION.fullmatch(filename)
    return match[1] if match else ""


def _is_name(name: str) -> bool:
    return name.isidentifier() and not iskeyword(name) and not name.startswith("__")


def _init(folder: _Folder) -> FileEntry | None:
    for name, child in folder.items():
        if isinstance(child, FileEntry) and _module_name(name) == "__init__":
            return child
    return None


def _distributions(root: _Folder) -> dict[str, frozenset[str]]:
    """Give the distributions with the names in their top_level.txt."""
    return {
        canonicalize_name(match[1]): _top_level(child)
        for name, child in root.items()
        if not isinstance(child, FileEntry) and (match := _INFO.fullmatch(name))
    }


def _top_level(info: _Folder) -> frozenset[str]:
    entry = info.get("top_level.txt")
    if not isinstance(entry, FileEntry) or entry.content is None:
        return frozenset()
    return frozenset(entry.content.inflated().decode(errors="replace").split())


def _owners(
    found: Mapping[str, str], distributions: Mapping[str, frozenset[str]]
) -> dict[str, str]:
    """Say which distribution each module is of; '' where nothing tells."""
    owners = {
        module: origin or _owner(module, distributions)
        for module, origin in found.items()
    }
    idle = [name for name in distributions if name not in owners.values()]
    alone = {module.partition(".")[0] for module, owner in owners.items() if not owner}
    if len(idle) == len(alone) == 1:  # they are each other's
        owners = {module: owner or idle[0] for module, owner in owners.items()}
    return owners


def _owner(module: str, distributions: Mapping[str, frozenset[str]]) -> str:
    top = module.partition(".")[0]
    claiming = [name for name, tops in distributions.items() if top in tops]
    silent = [name for name, tops in distributions.items() if not tops]
    likely = _likeliest(module, claiming or silent)
    return likely or (claiming[0] if len(claiming) == 1 else "")


def _likeliest(module: str, names: Sequence[str]) -> str:
    """Choose the name that a module of it would have, the longest before others."""
    own = canonicalize_name(module.strip("_"))
    spellings = {own, f"python-{own}", f"py-{own}", f"py{own}"}
    fitting = [
        name for name in names if name in spellings or own.startswith(f"{name}-")
    ]
    return max(fitting, key=len, default="")
