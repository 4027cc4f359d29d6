"""The distributions of a layer by their metadata, and those that spoil each other."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from layerforge.findings import Finding, Severity
from layerforge.target import Target
from layerforge.tree import Tree

_FACTS: Final = Path(__file__).parents[2] / "data" / "runtime-sdk.toml"
_INFO: Final = re.compile(
    r"(?P<name>[^/]+?)-(?P<version>[^/-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """An installed package, as the folder of its metadata names it (PEP 376).

    One that has lost its metadata is of the version ``""``.
    """

    name: str
    version: str
    path: str


def find_distributions(tree: Tree, target: Target) -> tuple[Distribution, ...]:
    """Give the distributions that the runtime finds, in the tree's order."""
    found: dict[str, Distribution] = {}
    for entry in tree:
        if "-info/" not in entry.path:
            continue
        place = target.runtime.place_of(entry.path)
        if not place:
            continue
        folder = entry.path.removeprefix(place).partition("/")[0]
        if match := _INFO.fullmatch(folder):
            path = place + folder
            found[path] = Distribution(
                name=canonicalize_name(match["name"]),
                version=match["version"],
                path=path,
            )
    return tuple(found.values())


def find_packages(tree: Tree, target: Target) -> tuple[Distribution, ...]:
    """Give the packages that can be imported, by their folders, without versions."""
    places = {
        place + folder: folder
        for entry in tree
        if entry.path.endswith("/__init__.py")
        and (place := target.runtime.place_of(entry.path))
        for folder in [entry.path.removeprefix(place).removesuffix("/__init__.py")]
        if "/" not in folder
    }
    return tuple(
        Distribution(name=canonicalize_name(folder), version="", path=path)
        for path, folder in places.items()
    )


def find_duplicates(distributions: Sequence[Distribution]) -> Iterator[Finding]:
    """Find packages whose metadata is there in two versions."""
    by_name: defaultdict[str, dict[str, Distribution]] = defaultdict(dict)
    for one in distributions:
        by_name[one.name].setdefault(one.version, one)
    for name, versions in by_name.items():
        if len(versions) > 1:
            last = list(versions.values())[-1]
            yield Finding(
                check="duplicate",
                severity=Severity.WARNING,
                path=last.path,
                message=f"{name} is there as {' and as '.join(versions)}: which one "
                "importlib.metadata tells is chance, and files of both may be mixed",
                remedy="Install into an empty folder: pip install --target takes no "
                "other version away.",
            )


def find_partial_sdk(distributions: Sequence[Distribution]) -> Iterator[Finding]:
    """Find parts of the AWS SDK that would run with the runtime's own other parts.

    Of several of one name the last counts.
    """
    present = {one.name: one for one in distributions}
    facts = _facts()
    together = facts["together"]["packages"]
    own = [present[name] for name in together if name in present]
    missing = [name for name in together if name not in present]
    if own and missing:
        has = " and ".join(f"{one.name} {one.version}".strip() for one in own)
        yield Finding(
            check="sdk",
            severity=Severity.WARNING,
            path=own[0].path,
            message=f"{has} would run with the runtime's own {' and '.join(missing)}: "
            "boto3 can't be imported where botocore is older than the rest expects",
            remedy=f"Add {' and '.join(missing)}, or leave all of it to the runtime: "
            "exclude-runtime-sdk = true",
        )
    if not own:
        yield from _out_of_bounds(present, facts["bounds"])


def _out_of_bounds(
    present: Mapping[str, Distribution], bounds: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    for row in bounds:
        one = present.get(row["package"])
        if one and not _is_within(one.version, row["versions"]):
            yield Finding(
                check="sdk",
                severity=Severity.WARNING,
                path=one.path,
                message=f"{one.name} {one.version} stands before the runtime's own, "
                f"whose botocore takes {row['versions']}",
                remedy=f"Ask for {one.name}{row['versions']}; or add boto3, and the "
                "layer has an SDK of its own.",
            )


def _is_within(version: str, specifier: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


@cache
def _facts() -> Mapping[str, Any]:
    return tomllib.loads(_FACTS.read_text(encoding="utf-8"))
