"""The packages of a zip, known by their own metadata, whoever built it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from packaging.utils import canonicalize_name

from layerforge.manifest import BuildReport
from layerforge.tree import FileEntry

# Where Lambda's runtimes look for packages:
# https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
_PYTHON: Final = re.compile(r"python/(?:lib/python[\d.]+/site-packages/)?")
_NODE: Final = re.compile(r"nodejs/(?:node\d+/)?(?=node_modules/)")
_METADATA: Final = re.compile(
    r"(?P<name>[^/]+?)-(?P<version>[^/-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info/(?P<file>.+)"
)
_PACKAGE: Final = re.compile(r"(?:.*/)?node_modules/(?P<name>(?:@[^/]+/)?[^/@.][^/]*)/")
_EXTENSION: Final = re.compile(r"\.(?:py|pyc|so)$|\.(?:cpython|abi3|pypy)[^/]*\.so$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package of a layer; ``size`` is its unzipped bytes there.

    ``location`` is told as in `Pin`. ``digest`` is its archive's, '' where no manifest
    tells.
    """

    name: str
    version: str
    size: int
    location: str = ""
    digest: str = ""

    @property
    def key(self) -> str:
        """What it is known by in another layer."""
        return self.location or self.name


def packages_of(manifest: BuildReport) -> tuple[Package, ...]:
    """Give the packages that a build put into its zip."""
    return tuple(
        Package(
            name=row.name,
            version=row.version,
            size=row.size,
            location=row.location,
            digest=row.digest,
        )
        for row in manifest.packages
    )


def packages_in(entries: Iterable[FileEntry]) -> tuple[Package, ...]:
    """Find packages by what stands in a zip: Python's, then those of Node.js.

    Python's are its ``dist-info`` and ``egg-info`` folders (PEP 376). To each go the
    modules that its ``top_level.txt`` names, or else that have its name, and the
    libraries in ``NAME.libs``; what many have in common goes to none. Those of
    Node.js are the folders in ``node_modules``, at any depth.
    """
    entries = tuple(entries)
    return (*_distributions(entries), *_node_packages(entries))


def _distributions(entries: Iterable[FileEntry]) -> Iterator[Package]:
    below = {
        entry.path[root.end() :]: entry
        for entry in entries
        if (root := _PYTHON.match(entry.path))
    }
    versions: dict[str, str] = {}
    claims: dict[str, set[str]] = {}
    for path, entry in below.items():
        if match := _METADATA.fullmatch(path):
            name = str(canonicalize_name(match["name"]))
            versions[name] = match["version"]
            for module in _top_level(entry, match["file"]):
                claims.setdefault(canonicalize_name(module), set()).add(name)
    sizes = Counter[str]()
    for path, entry in below.items():
        if match := _METADATA.fullmatch(path):
            sizes[canonicalize_name(match["name"])] += entry.size
        else:
            module = canonicalize_name(_module(path))
            owners = claims.get(module, {str(module)})
            sizes[min(owners) if len(owners) == 1 else ""] += entry.size
    for name in sorted(versions):
        yield Package(name=name, version=versions[name], size=sizes[name])


def _module(path: str) -> str:
    first, slash, _ = path.partition("/")
    return first.removesuffix(".libs") if slash else _EXTENSION.sub("", first)


def _top_level(entry: FileEntry, name: str) -> list[str]:
    if name != "top_level.txt" or entry.content is None:
        return []
    return entry.content.inflated().decode(errors="replace").split()


def _node_packages(entries: Iterable[FileEntry]) -> Iterator[Package]:
    sizes = Counter[str]()
    names: dict[str, str] = {}
    versions: dict[str, str] = {}
    for entry in entries:
        root = _NODE.match(entry.path)
        path = entry.path[root.end() :] if root else ""
        if match := _PACKAGE.match(path):
            location = match[0].removesuffix("/")
            names[location] = match["name"]
            sizes[location] += entry.size
            if path == f"{location}/package.json":
                versions[location] = _version(entry)
    for location, name in sorted(names.items()):
        yield Package(
            name=name,
            version=versions.get(location, ""),
            size=sizes[location],
            location=location,
        )


def _version(entry: FileEntry) -> str:
    """Read a package.json's version; '' where it has none."""
    try:
        document = json.loads(entry.content.inflated()) if entry.content else {}
    except ValueError:
        return ""
    return str(document.get("version", "")) if isinstance(document, dict) else ""
