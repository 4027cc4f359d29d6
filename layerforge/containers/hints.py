"""Guess, from what a failed compile said last, what its image lacks.

What compilers and build tools say of missing things, and what brings those things, are
rows of data/development.toml.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

_FILE: Final = Path(__file__).parents[1] / "data" / "development.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What is likely lacking, and the packages that have it, by installer.

    ``setting`` is the line of layerforge.toml that helps, where no package does.
    """

    what: str
    dnf: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    setting: str = ""

    @property
    def remedy(self) -> str:
        """Say what to do, in a sentence or two."""
        if self.setting:
            return f"It asked for {self.what}: {self.setting} allows it."
        lacks = f"It seems to lack {self.what}"
        if not (self.dnf or self.apt):
            return (
                f"{lacks}. Find the package of the image's system that has it, and "
                'name it in the layer: system-packages = {dnf = ["..."], '
                'apt = ["..."]}.'
            )
        named = ", ".join(
            f"{installer} = {json.dumps(names)}"
            for installer, names in (("dnf", self.dnf), ("apt", self.apt))
            if names
        )
        advice = f"{lacks}. Name it in the layer: system-packages = {{{named}}}."
        if self.dnf:
            return advice
        return (
            f"{advice} Amazon Linux has no package of it: use an image that has it "
            "([containers] image), or a version of the package that has a wheel."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What programs print where something is missing; ``kind`` is of what sort."""

    kind: str
    pattern: re.Pattern[str]
    name: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Development:
    """One thing that compiling may need: by which names it is missed, who brings it."""

    hint: Hint
    names: Mapping[str, frozenset[str]]
    says: tuple[re.Pattern[str], ...]
    examples: tuple[str, ...]

    def brings(self, kind: str, name: str) -> bool:
        """Say whether it has what is missing under this name."""
        known = self.names.get(kind, frozenset())
        folder = name.partition("/")[0] + "/"
        return name.lower() in known or (kind == "header" and folder in known)


_KINDS: Final = {
    "header": "headers",
    "library": "libraries",
    "module": "modules",
    "program": "programs",
    "file": "programs",
}
# A file may be missing for a thousand other reasons.
_TOLD: Final = ("header", "library", "module", "program")
_NETWORK: Final = Hint(
    what="the network, which is off while packages are compiled",
    setting="[containers] compile-network = true",
)


def hint(lines: Sequence[str], *, network: bool = False) -> Hint | None:
    """Say what a compile that ended with these lines most likely lacked.

    ``network`` says whether it had one. What came last counts most. A package that is
    known says more than a network that was asked for, and that says more than a name
    which no row knows. Give it more lines than people are shown: the decisive one may
    stand 30 before the end.
    """
    last_first = lines[::-1]
    guesses = (_known, _unknown) if network else (_known, _unreached, _unknown)
    for guess in guesses:
        found = next(filter(None, map(guess, last_first)), None)
        if found:
            return found
    return None


def _known(line: str) -> Hint | None:
    missing = list(_missing(line))
    for row in developments():
        said = any(pattern.search(line) for pattern in row.says)
        if said or any(row.brings(kind, name) for kind, name in missing):
            return row.hint
    return None


def _unreached(line: str) -> Hint | None:
    return _NETWORK if any(kind == "network" for kind, _ in _missing(line)) else None


def _unknown(line: str) -> Hint | None:
    for kind, name in _missing(line):
        if kind in _TOLD:
            return Hint(what=f"the {kind} {name}")
    return None


def _missing(line: str) -> Iterator[tuple[str, str]]:
    for sign in signs():
        match = sign.pattern.search(line)
        if match:
            yield sign.kind, match["name"]


@cache
def signs() -> tuple[Sign, ...]:
    """Read the signs of data/development.toml."""
    return tuple(
        Sign(
            kind=row["kind"],
            pattern=re.compile(row["pattern"]),
            name=row["name"],
            examples=tuple(row["examples"]),
        )
        for row in _document()["signs"]
    )


@cache
def developments() -> tuple[Development, ...]:
    """Read the packages of data/development.toml."""
    return tuple(
        Development(
            hint=Hint(what=row["what"], dnf=tuple(row["dnf"]), apt=tuple(row["apt"])),
            names={
                kind: frozenset(name.lower() for name in row.get(key, ()))
                for kind, key in _KINDS.items()
            },
            says=tuple(map(re.compile, row.get("says", ()))),
            examples=tuple(row["examples"]),
        )
        for row in _document()["packages"]
    )


@cache
def _document() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
