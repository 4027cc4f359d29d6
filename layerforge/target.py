"""What a layer is built for: a runtime of AWS Lambda on one architecture.

The one place where the spellings of Lambda, Docker, wheels, npm and ELF are translated
into each other. The facts themselves are rows of data/runtimes.toml and
data/host-libraries.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import cache, total_ordering
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tomli

from layerforge.errors import ConfigError

# Below this likeness a guess would only puzzle.
_LIKE = 0.5


# As their people write them.
LANGUAGE_NAMES = MappingProxyType({"node": "Node.js", "python": "Python"})


class Arch(Enum):
    """An instruction set, as Lambda spells it; its properties are others' spellings."""

    X86_64 = "x86_64"
    ARM64 = "arm64"

    def __str__(self) -> str:
        return self.value

    @property
    def machine(self) -> str:
        """The kernel's name, which wheel tags and markers use too."""
        return _SPELLINGS[self].machine

    @property
    def docker(self) -> str:
        """The platform of a container image (OCI)."""
        return _SPELLINGS[self].docker

    @property
    def npm(self) -> str:
        """The ``cpu`` of npm packages: Node's ``process.arch``."""
        return _SPELLINGS[self].npm

    @property
    def elf_machine(self) -> int:
        """The number that ``e_machine`` of an ELF header holds."""
        return _SPELLINGS[self].elf_machine

    @property
    def oldest_manylinux(self) -> int:
        """The minor version of glibc 2 with which manylinux tags begin (PEP 600)."""
        return _SPELLINGS[self].oldest_manylinux


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spelling:
    machine: str
    docker: str
    npm: str
    elf_machine: int
    oldest_manylinux: int


_SPELLINGS = {
    Arch.X86_64: _Spelling(
        machine="x86_64",
        docker="linux/amd64",
        npm="x64",
        elf_machine=62,
        oldest_manylinux=5,
    ),
    Arch.ARM64: _Spelling(
        machine="aarch64",
        docker="linux/arm64",
        npm="arm64",
        elf_machine=183,
        oldest_manylinux=17,
    ),
}


# Below /opt: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
_SEARCHED = {
    "node": ("nodejs/node{}/node_modules", "nodejs/node_modules"),
    "python": ("python/lib/python{}/site-packages", "python"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A row of data/runtimes.toml, which says what each field means.

    ``full_version`` is '' where the language has no use for it, a date is None where
    AWS has announced none.
    """

    id: str
    language: str
    version: str
    full_version: str
    os: str
    glibc: tuple[int, int]
    glibcxx: str
    cxxabi: str
    latest_glibcxx: str
    latest_cxxabi: str
    sdk: tuple[str, ...]
    preview: bool = False
    deprecated: date | None = None
    blocks_create: date | None = None
    blocks_update: date | None = None

    def __str__(self) -> str:
        return self.id

    @property
    def slug(self) -> str:
        """The id without dots, for names that can have none: python313, nodejs22."""
        return self.id.removesuffix(".x").replace(".", "")

    @property
    def version_info(self) -> tuple[int, ...]:
        """The version as numbers, so that 3.9 is older than 3.10."""
        return tuple(int(part) for part in self.version.split("."))

    @property
    def search_path(self) -> tuple[str, ...]:
        """The folders below /opt that it imports from, the first first."""
        return tuple(form.format(self.version) for form in _SEARCHED[self.language])

    def place_of(self, path: str) -> str:
        """Give the folder of the search path that a path is in, with a slash; or ''."""
        places = (f"{folder}/" for folder in self.search_path)
        return next((place for place in places if path.startswith(place)), "")

    def state(self, today: date) -> str:
        """Say 'preview', 'supported', 'deprecated', or 'blocked' to new functions."""
        if self.preview:
            return "preview"
        if self.blocks_create and self.blocks_create <= today:
            return "blocked"
        if self.deprecated and self.deprecated <= today:
            return "deprecated"
        return "supported"


@total_ordering
@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What one zip is for; sorted by language, then version, then architecture."""

    runtime: Runtime
    arch: Arch

    def __str__(self) -> str:
        return f"{self.runtime}-{self.arch}"

    def __lt__(self, other: Target) -> bool:
        return self._rank < other._rank

    @property
    def slug(self) -> str:
        """The name without dots, as in names of lock files (PEP 751) and layers."""
        return f"{self.runtime.slug}-{self.arch}"

    @property
    def _rank(self) -> tuple[str, tuple[int, ...], str]:
        return (self.runtime.language, self.runtime.version_info, self.arch.value)


@cache
def load_runtimes() -> Mapping[str, Runtime]:
    """Give every runtime that is known here by its id, in the table's order."""
    table = _read("runtimes.toml")
    return MappingProxyType(
        {name: _runtime(name, row, table) for name, row in table["runtimes"].items()}
    )


def find_runtime(name: str) -> Runtime:
    """Give the runtime that Lambda knows by ``name``.

    Raises `ConfigError`, with the nearest name, where data/runtimes.toml has no such
    row.
    """
    known = load_runtimes()
    if name in known:
        return known[name]
    nearest = _nearest(name, known)
    guess = f"Did you mean {nearest}? " if nearest else ""
    raise ConfigError(
        f"unknown runtime {name!r}",
        remedy=f"{guess}`layerforge runtimes` lists them all.",
    )


def find_arch(name: str) -> Arch:
    """Give the architecture that Lambda calls ``name``.

    Raises `ConfigError` for any other spelling, and says which one is meant.
    """
    if name in {arch.value for arch in Arch}:
        return Arch(name)
    meant = [arch for arch in Arch if name.lower() in _names(arch)]
    raise ConfigError(
        f"unknown architecture {name!r}",
        remedy=f"Lambda calls it {meant[0]}."
        if meant
        else f"Lambda has {' and '.join(map(str, Arch))}.",
    )


@cache
def host_libraries(target: Target) -> frozenset[str]:
    """Give the sonames that the target's image brings in its loader's own folders."""
    return frozenset(_read("host-libraries.toml")[target.runtime.os][str(target.arch)])


def _nearest(name: str, known: Iterable[str]) -> str:
    # Only mistakes pay for the import.
    from difflib import SequenceMatcher  # noqa: PLC0415

    def likeness(other: str) -> tuple[float, float]:
        matcher = SequenceMatcher(None, name, other)
        # The second is blind to order, so it finds the digits that were swapped.
        return matcher.ratio(), matcher.quick_ratio()

    nearest = max(known, key=likeness)
    return nearest if likeness(nearest)[0] >= _LIKE else ""


def _names(arch: Arch) -> set[str]:
    docker = arch.docker.removeprefix("linux/")
    return {arch.value, arch.machine, arch.npm, arch.docker, docker}


def _runtime(name: str, row: dict[str, Any], table: dict[str, Any]) -> Runtime:
    system = table["os"][row["os"]]
    return Runtime(
        id=name,
        language=row["language"],
        version=row["version"],
        full_version=row.get("full-version", ""),
        os=row["os"],
        glibc=tuple(system["glibc"]),
        glibcxx=system["glibcxx"],
        cxxabi=system["cxxabi"],
        latest_glibcxx=system.get("latest-glibcxx", system["glibcxx"]),
        latest_cxxabi=system.get("latest-cxxabi", system["cxxabi"]),
        sdk=tuple(table["sdk"][row["language"]]),
        preview=row.get("preview", False),
        deprecated=row.get("deprecated"),
        blocks_create=row.get("blocks-create"),
        blocks_update=row.get("blocks-update"),
    )


@cache
def _read(name: str) -> dict[str, Any]:
    path = Path(__file__).with_name("data") / name
    return tomli.loads(path.read_text(encoding="utf-8"))
