"""What brings a library that neither the layer nor the image has.

The facts are the rows of data/missing-libraries.toml, which says what each field means.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Final

from layerforge.strip import matcher

_FILE: Final = Path(__file__).parents[1] / "data" / "missing-libraries.toml"
_UNKNOWN: Final = (
    "Add a package that brings {names}, or copy {them} into the layer's lib/ with "
    "include."
)
_PACKAGED: Final = (
    "Amazon Linux has {{names}} in {package}: copy {{them}} into the layer's lib/ with "
    "include."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bringer:
    """A row of data/missing-libraries.toml; a package is part of its remedy here."""

    names: tuple[str, ...]
    paths: tuple[str, ...]
    why: str
    remedy: str

    def fits(self, name: str, path: str) -> bool:
        """Say whether it speaks of a library that the file at ``path`` misses."""
        if self.paths and not matcher(self.paths)(path):
            return False
        return any(fnmatchcase(name, pattern) for pattern in self.names)


def remedies_for(names: Iterable[str], path: str) -> Mapping[str, tuple[str, ...]]:
    """Give what helps the file at ``path``, each with the names of what it brings.

    The names are in the order given.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        rows = (row.remedy for row in load_bringers() if row.fits(name, path))
        remedy = next(rows, _UNKNOWN)
        found[remedy] = (*found.get(remedy, ()), name)
    return {
        remedy.format(names=listed(names), them="them" if names[1:] else "it"): names
        for remedy, names in found.items()
    }


def listed(names: Sequence[str]) -> str:
    """Write names as a sentence has them: a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


@cache
def load_bringers() -> tuple[Bringer, ...]:
    """Give all rows, in the table's order."""
    document = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(
        Bringer(
            names=tuple(row["names"]),
            paths=tuple(row.get("paths", ())),
            why=row["why"],
            remedy=row.get("remedy") or _PACKAGED.format(package=row["package"]),
        )
        for row in document["libraries"]
    )
