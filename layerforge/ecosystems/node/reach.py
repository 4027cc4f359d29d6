"""Which addons requiring a layer's top-level packages loads, told by their sources.

Only what is required at the beginning of a line is followed: it is run whatever
happens, whereas what is indented stands in a function, or under a condition. Comments,
templates and strings are passed over.

What looks for an addon (bindings, node-gyp-build) counts there too, if it is called at
once. If it isn't, it counts in files alone that neither catch anything nor speak of the
platform; and in those also where what it finds is kept in a name, at whichever depth:
a package that does so is of no use without its addon.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from posixpath import basename, dirname, normpath
from typing import Final

from layerforge.ecosystems.node.importable import find_mains, main_file
from layerforge.ecosystems.node.packagejson import manifest_of
from layerforge.ecosystems.node.packagelock import MODULES
from layerforge.ecosystems.node.platforms import named_for
from layerforge.target import Target
from layerforge.tree import FileEntry, Tree

_ADDON: Final = ".node"
_TRIED: Final = ("", ".js", ".json", ".node", "/index.js", "/index.node")
_CODE: Final = (".js", ".cjs", ".mjs")
# const name = wrapped(require("…")), and what an ES module has instead.
_REQUIRED: Final = re.compile(
    r"^(?:(?:const|let|var)\s+(?:\{[^{}]*\}|[\w$]+)\s*=\s*|"
    r"(?:module\.)?exports(?:\.[\w$]+)?\s*=\s*)?"
    r"(?:[\w$.]+\()*require\(\s*[\"'](?P<name>[^\"'\n]+)[\"']\s*\)",
    re.MULTILINE,
)
_IMPORTED: Final = re.compile(
    r"^(?:import|export)\b"
    r"(?:[^;\"'(){}=\n]*(?:\{[^\"'(){}]*\}[^;\"'(){}=\n]*)?\bfrom)?"
    r"\s*[\"'](?P<name>[^\"'\n]+)[\"']",
    re.MULTILINE,
)
# Strings are known as well, since what looks like a comment in one is none.
_PASSED_OVER: Final = re.compile(
    r"(?P<string>\"(?:[^\"\\\n]|\\[\s\S])*+\"?|'(?:[^'\\\n]|\\[\s\S])*+'?)"
    r"|`(?:[^`\\]|\\[\s\S])*+`?|/\*[\s\S]*?(?:\*/|\Z)|//.*"
)
# What finds a package's addon, in build/ or prebuilds/, and throws where there is none.
_FINDERS: Final = {"bindings", "node-gyp-build", "node-gyp-build-optional-packages"}
_CALLED: Final = re.compile(r"[ \t]*\(\s*(?:[\"'](?P<given>[^\"'\n]+)[\"']\s*\))?")
# Whether such a file may do without the addon, or is for other platforms.
_CHOOSES: Final = re.compile(r"\b(?:catch|platform)\b")
# addon = require('bindings')('name'), of a name that was declared before. Strings are
# passed over by being known, too.
_KEPT: Final = re.compile(
    r"(?:^[ \t]+|[({;]\s*+)[\w$]++\s*=\s*require\(\s*[\"']bindings[\"']\s*\)"
    r"\(\s*[\"'](?P<given>[^\"'\n]+)[\"']\s*\)"
    r"|\"(?:[^\"\\\n]|\\[\s\S])*+\"?|'(?:[^'\\\n]|\\[\s\S])*+'?",
    re.MULTILINE,
)
_PREBUILDS: Final = "prebuilds"
_INTERMEDIATE: Final = "obj.target"  # where node-gyp links before it copies


def find_loaded(tree: Tree, target: Target) -> frozenset[str]:
    """Give the paths of addons that requiring any top-level package loads.

    What these need in turn is not among them. An addon counts that isn't for the
    target, where it is the one that would be loaded.
    """
    layer = _Layer(tree=tree, target=target)
    waiting = [*layer.mains()]
    seen: set[str] = set()
    loaded: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.endswith(_ADDON):
            loaded.add(path)
        elif path.endswith(_CODE):
            waiting += layer.required(path)
    return frozenset(loaded)


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """A layer's files, as Node.js's require() looks for them."""

    tree: Tree
    target: Target
    _mains: dict[str, str] = field(init=False, default_factory=dict)

    @cached_property
    def files(self) -> Mapping[str, FileEntry]:
        return {entry.path: entry for entry in self.tree}

    @cached_property
    def addons(self) -> Sequence[FileEntry]:
        """Give native addons, for whichever system and machine they are."""
        return [
            entry
            for entry in self.tree
            if entry.path.endswith(_ADDON) and entry.content
        ]

    @cached_property
    def folders(self) -> Mapping[str, set[str]]:
        """Give what is in each folder that has a package.json, by paths in it."""
        manifest = "/package.json"
        found: dict[str, set[str]] = {
            path.removesuffix(manifest): set()
            for path in self.files
            if path.endswith(manifest)
        }
        for path in self.files:
            folder = dirname(path)
            while folder:
                if folder in found:
                    found[folder].add(path.removeprefix(f"{folder}/"))
                folder = dirname(folder)
        return found

    def mains(self) -> Iterator[str]:
        """Give the files that are required by the names of top-level packages."""
        for name, main in find_mains(self.tree, self.target).items():
            folders = self.target.runtime.search_path
            places = (f"{folder}/{name}/{main}" for folder in folders)
            yield from [path for path in places if path in self.files][:1]

    def required(self, path: str) -> Iterator[str]:
        """Give the files that running one loads, or that it is of no use without."""
        content = self.files[path].content
        source = content.inflated().decode(errors="replace") if content else ""
        text = _PASSED_OVER.sub(_in_one_line, source)
        chooses = _CHOOSES.search(source) is not None
        for match in () if chooses else _KEPT.finditer(text):
            if match["given"]:
                yield from self._found(path, match["given"])
        for match in (*_REQUIRED.finditer(text), *_IMPORTED.finditer(text)):
            called = _CALLED.match(text, match.end())
            if match["name"] not in _FINDERS:
                yield from self._required(path, match["name"])
            elif called or not chooses:
                given = called["given"] if called else None
                yield from self._found(path, given or "")

    def _required(self, path: str, name: str) -> Iterator[str]:
        """Give the file that a name stands for in another, if there is one."""
        for found in filter(None, map(self._file, _places(path, name))):
            yield found
            break

    def _file(self, place: str) -> str:
        """Give the file that a place stands for, which may be a folder; or ''."""
        if place in self.folders:
            return self._main(place)
        tried = (f"{place}{suffix}" for suffix in _TRIED)
        return next((path for path in tried if path in self.files), "")

    def _main(self, folder: str) -> str:
        if folder not in self._mains:
            manifest = manifest_of(self.files[f"{folder}/package.json"])
            main = main_file(manifest, self.folders[folder])
            self._mains[folder] = f"{folder}/{main}" if main else ""
        return self._mains[folder]

    def _found(self, path: str, name: str) -> Iterable[str]:
        """Give the addon that a package's file has looked for, if there is but one."""
        package = _package(path)
        fitting = [
            entry.path
            for entry in self.addons
            if _package(entry.path) == package
            and self._may_be_meant(entry.path.removeprefix(f"{package}/"), name)
        ]
        return fitting if len(fitting) == 1 else ()

    def _may_be_meant(self, place: str, name: str) -> bool:
        """Say whether an addon suits the target and the name, by its place."""
        if place.startswith(f"{_PREBUILDS}/"):
            return named_for(place, self.target)
        if f"/{_INTERMEDIATE}/" in place:
            return False
        return not name or basename(place).removesuffix(_ADDON) == name.removesuffix(
            _ADDON
        )


def _in_one_line(passed: re.Match[str]) -> str:
    return (passed["string"] or " ").replace("\n", " ")


def _places(path: str, name: str) -> Iterator[str]:
    """Say where a name that a file requires may be, the nearest first.

    Of packages only those that lie inside of others: the top level's are all required.
    """
    if name.startswith("."):
        yield normpath(f"{dirname(path)}/{name}")
        return
    folder = _package(path)
    while folder.count(MODULES) > 1:
        yield f"{folder}/{MODULES}{name}"
        folder = _package(dirname(folder).rpartition(f"/{MODULES.rstrip('/')}")[0])
    if folder:
        yield f"{folder}/{MODULES}{name}"


def _package(path: str) -> str:
    """Give the folder of the package that a file is in, or ''."""
    head, modules, rest = path.rpartition(MODULES)
    depth = 2 if rest.startswith("@") else 1
    return head + modules + "/".join(rest.split("/")[:depth]) if modules else ""
