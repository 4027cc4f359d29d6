"""Which native files importing a layer's modules loads, told by their sources.

What is imported under a condition, in a function, or where a failure is forgiven, may
never be loaded: only what every import of the module comes to is followed. What
extension modules import by themselves is not seen, nor what is computed.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Final

from layerforge.ecosystems.python.conditions import (
    flags,
    forgives,
    holds,
    names_set,
    suppresses,
)
from layerforge.ecosystems.python.importable import find_imports
from layerforge.ecosystems.python.suffixes import extension_suffixes
from layerforge.target import Target
from layerforge.tree import FileEntry, Tree

# Sources are read up to here, those of the top level first: an eighth of a second for
# each MiB. What all of a layer's modules import is seldom more.
_MOST_SOURCE: Final = 10 << 20  # bytes
_NATIVE: Final = re.compile(r"(?P<module>\w+)(?P<suffix>(?:\.[^/]+)?\.(?:so|pyd))")
# A function with all that is indented below it, and what closes its parameters.
_FUNCTION: Final = re.compile(
    r"^([ \t]*)(?:async )?def (\w*).*(?:\n(?:\1[ \t].*|\1\).*|[ \t]*(?:#.*)?$))*",
    re.MULTILINE,
)
_QUOTED: Final = re.compile(r"[\"'/]([\w.+-]+\.(?:so|dylib|dll)(?:\.[\d.]+)?)[\"']")


def find_loaded(tree: Tree, target: Target) -> frozenset[str]:
    """Give the paths of native files that importing any top-level module loads.

    What these need in turn is not among them. An extension module counts that isn't
    for the target, where it stands in the place of one that would be.
    """
    modules = _Modules(tree=tree, target=target)
    waiting = deque(_Asked(one.module) for one in find_imports(tree.entries, target))
    names: dict[str, frozenset[str]] = {}  # that packages set by themselves
    seen: set[str] = set()
    loaded: set[str] = set()
    left = _MOST_SOURCE
    while waiting:
        asked = waiting.popleft()
        if asked.attribute in names.get(asked.package, ()):
            continue
        for module in _with_parents(asked.module):
            if module in seen:
                continue
            seen.add(module)
            native = modules.native.get(module)
            if native:
                loaded.add(native.path)
            source = modules.sources.get(module)
            if source and source.size <= left:
                left -= source.size
                text = _read(source)
                loaded.update(modules.libraries_named(text, source))
                package = source.path.endswith("/__init__.py")
                body = _parsed(text)
                names[module] = frozenset(names_set(body) if package else ())
                waiting.extend(_imported(body, text, module, target, package=package))
                if _is_bootstrap(text, module):
                    waiting.append(_Asked(f"{module}.{module.rpartition('.')[2]}"))
    return frozenset(loaded)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A module, or what ``from package import attribute`` takes for one."""

    module: str
    package: str = ""
    attribute: str = ""


@dataclass(frozen=True, kw_only=True)
class _Modules:
    """What can be imported from a layer, by dotted names."""

    tree: Tree
    target: Target

    @cached_property
    def sources(self) -> Mapping[str, FileEntry]:
        """Give modules in Python, and what compiled ones beside them were made from."""
        found: dict[str, FileEntry] = {}
        for place, entry in self._placed:
            if place.endswith(".py"):
                name = place.removesuffix(".py").removesuffix("/__init__")
                dotted = name.replace("/", ".")
                if dotted not in found or place.endswith("/__init__.py"):
                    found[dotted] = entry
        return found

    @cached_property
    def native(self) -> Mapping[str, FileEntry]:
        """Give extension modules; one that isn't for the target where none is."""
        suffixes = extension_suffixes(self.target)
        found: dict[str, FileEntry] = {}
        for place, entry in self._placed:
            folder, _, filename = place.rpartition("/")
            match = _NATIVE.fullmatch(filename)
            if match is None:
                continue
            parts = (
                [*folder.split("/"), match["module"]] if folder else [match["module"]]
            )
            dotted = ".".join(parts).removesuffix(".__init__")
            fits = match["suffix"] in suffixes
            if fits or not (dotted in found or dotted in self.sources):
                found[dotted] = entry
        return found

    @cached_property
    def _placed(self) -> Sequence[tuple[str, FileEntry]]:
        """Give files that are imported from, by their paths on the search path."""
        return [
            (entry.path.removeprefix(f"{folder}/"), entry)
            for folder in reversed(self.target.runtime.search_path)
            for entry in self.tree
            if entry.path.startswith(f"{folder}/")
        ]

    @cached_property
    def _libraries(self) -> Mapping[str, Sequence[FileEntry]]:
        """Give native files by their names, for what is opened with ctypes."""
        found: dict[str, list[FileEntry]] = {}
        for entry in self.tree:
            if entry.elf or entry.foreign:
                found.setdefault(entry.path.rpartition("/")[2], []).append(entry)
        return found

    def libraries_named(self, text: str, source: FileEntry) -> Iterator[str]:
        """Give its package's own library, where a source names that exactly.

        That has the package's name in its own; others may be opened later, if at all.
        """
        package = self._package(source)
        for name in _QUOTED.findall(text):
            if package.lower() in name.lower():
                for entry in self._libraries.get(name, ()):
                    if self._package(entry) == package:
                        yield entry.path

    def _package(self, entry: FileEntry) -> str:
        place = self.target.runtime.place_of(entry.path)
        return entry.path.removeprefix(place).partition("/")[0] if place else ""


def _is_bootstrap(text: str, module: str) -> bool:
    """Say whether a package puts an extension of its own name in its own place."""
    own = re.escape(module)
    return re.search(rf"import_module\(\s*[\"']{own}[\"']\s*\)", text) is not None


def _with_parents(name: str) -> Iterator[str]:
    """Give a module's packages, from the outermost in, and itself."""
    parts = name.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _read(source: FileEntry) -> str:
    return source.content.inflated().decode(errors="replace") if source.content else ""


def _imported(
    body: Sequence[ast.stmt], text: str, module: str, target: Target, *, package: bool
) -> Sequence[_Asked]:
    """Give what running a module imports for certain; perhaps names that are none.

    Nothing is said of a source that is nested too deeply to be followed.
    """
    try:
        certain = _certain(body, target, flags(body, text))
        run = takewhile(lambda node: not isinstance(node, ast.Raise), certain)
        return tuple(_asked(run, module, package=package))
    except RecursionError:
        return ()


def _asked(
    certain: Iterable[ast.stmt], module: str, *, package: bool
) -> Iterator[_Asked]:
    for node in certain:
        if isinstance(node, ast.Import):
            yield from (_Asked(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node.module or "", node.level, module, package=package)
            yield _Asked(base)
            for alias in node.names:
                part = f"{base}.{alias.name}"
                own = base == module
                yield _Asked(part) if own else _Asked(part, base, alias.name)
        elif isinstance(node, ast.Expr | ast.Assign):
            yield from map(_Asked, _by_name(node.value, module, package=package))


def _parsed(text: str) -> Sequence[ast.stmt]:
    """Parse a source without its functions, in a quarter of the time, if that goes.

    It doesn't where a string looks like code, or has a line that is indented less.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the sources' own escapes
        for attempt in (_FUNCTION.sub(r"\1def \2(): pass", text), text):
            with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                return ast.parse(attempt).body
    return ()


def _certain(
    body: Iterable[ast.stmt], target: Target, settled: Mapping[str, object]
) -> Iterator[ast.stmt]:
    """Give the statements that are run whatever happens, as they stand."""
    for node in body:
        match node:
            case ast.If():
                held = holds(node.test, target, settled)
                if held is not None:
                    branch = node.body if held else node.orelse
                    yield from _certain(branch, target, settled)
            case ast.Try() | ast.TryStar():
                if not any(map(forgives, node.handlers)):
                    yield from _certain((*node.body, *node.orelse), target, settled)
                yield from _certain(node.finalbody, target, settled)
            case ast.With():
                if not any(suppresses(item.context_expr) for item in node.items):
                    yield from _certain(node.body, target, settled)
            case ast.ClassDef():
                yield from _certain(node.body, target, settled)
            case _:
                yield node


def _base(name: str, level: int, module: str, *, package: bool) -> str:
    """Make a relative name absolute, as importlib does."""
    if not level:
        return name
    parts = module.split(".")
    kept = len(parts) - level + (1 if package else 0)
    return ".".join((*parts[: max(kept, 0)], *filter(None, [name])))


def _by_name(node: ast.expr, module: str, *, package: bool) -> Iterator[str]:
    """Name what ``import_module("…")`` imports, where that is all it is given."""
    match node:
        case ast.Call(
            func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            bare = name.lstrip(".")
            level = len(name) - len(bare)
            yield _base(bare, level, module, package=package)
