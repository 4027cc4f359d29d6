"""Modules of a layer that hide Python's own, since a layer comes first on the path."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from layerforge.findings import Finding, Severity
from layerforge.target import Target
from layerforge.tree import Tree

_FACTS: Final = Path(__file__).parents[2] / "data" / "standard-library.toml"
# A folder without an __init__ hides nothing: real modules come before namespaces.
_MODULE: Final = re.compile(r"(?P<name>\w+)(?:/__init__)?\.pyc?")


def find_shadows(tree: Tree, target: Target) -> Iterator[Finding]:
    """Find top-level modules that bear the name of one of the standard library."""
    standard = _standard_library()
    for entry in tree:
        place = target.runtime.place_of(entry.path)
        if not place:
            continue
        match = _MODULE.fullmatch(entry.path, len(place))
        if match and match["name"] in standard:
            name = match["name"]
            yield Finding(
                check="shadow",
                severity=Severity.WARNING,
                path=entry.path,
                message=f"hides the standard library's own {name}: whatever imports "
                f"{name} gets this one",
                remedy="Give it another name; a backport of what Python has can be "
                "left out with exclude.",
            )


@cache
def _standard_library() -> frozenset[str]:
    return frozenset(tomllib.loads(_FACTS.read_text(encoding="utf-8"))["modules"])
