"""Leave out what a layer doesn't need, by rules that are data.

The rules stand in data/strip.toml, each with the reason why what it drops is not
missed at run time. A rule never guesses by bare name where a package is known to
need such files: those are its ``keep`` patterns.

Patterns name files or folders below the ecosystem's own folder (``python/``), and a
folder goes with all that is in it: ``pandas/tests``, ``**/tests``, ``*.dist-info/*``.
``*`` and ``?`` stay within one name, ``**`` spans folders, ``[ab]`` is a choice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import tomli

from layerforge.target import Target

if TYPE_CHECKING:  # start-up time: rules and profiles are read without any files
    from layerforge.tree import FileEntry

_RULES_FILE: Final = Path(__file__).parent / "data" / "strip.toml"


class Profile(StrEnum):
    """How much is left out: each profile includes the one before it."""

    NONE = "none"
    SAFE = "safe"
    SLIM = "slim"

    def includes(self, other: Profile) -> bool:
        """Say whether the rules of ``other`` hold in this profile."""
        order = list(Profile)
        return order.index(other) <= order.index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class StripRule:
    """One reason to leave files out, and the files it speaks of.

    ``architecture``, where it is set, is that of the only targets that the rule holds
    for. Where ``beside`` has patterns of names, a file goes only if another of its
    folder matches one of them. ``examples`` and ``counterexamples`` are paths that it
    must and must not drop; a test runs them.
    """

    id: str
    why: str
    drop: tuple[str, ...]
    keep: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    profile: Profile = Profile.SAFE
    ecosystem: str = ""
    architecture: str = ""
    examples: tuple[str, ...] = ()
    counterexamples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A file that went: which rule answers for it, and the bytes it took."""

    rule: str
    path: str
    origin: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripped:
    """What is left, in the order it came in, and what went."""

    entries: tuple[FileEntry, ...]
    removals: tuple[Removal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripping:
    """What holds for one layer: rules in order, and what stays all the same.

    ``root`` is the folder that patterns start from (``python/``); files outside it
    stay.
    """

    root: str
    rules: tuple[StripRule, ...] = ()
    keep: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all that decides what stays."""
        decisive = [(rule.id, rule.drop, rule.keep, rule.beside) for rule in self.rules]
        return hashlib.sha256(repr((decisive, self.keep)).encode()).hexdigest()


def strip(entries: Iterable[FileEntry], stripping: Stripping) -> Stripped:
    """Apply the rules in order; the first that drops a file answers for it."""
    root = stripping.root
    entries = tuple(entries)
    tests = [
        (rule.id, matcher(rule.drop), matcher(rule.keep), _beside(entries, rule))
        for rule in stripping.rules
    ]
    always = matcher(stripping.keep)
    left: list[FileEntry] = []
    removals: list[Removal] = []
    for entry in entries:
        path = entry.path.removeprefix(root)
        culprit = ""
        if path != entry.path and not always(path):
            for identifier, drops, keeps, folders in tests:
                if (
                    drops(path)
                    and not keeps(path)
                    and (folders is None or _folder(entry) in folders)
                ):
                    culprit = identifier
                    break
        if culprit:
            removals.append(_removal(culprit, entry))
        else:
            left.append(entry)
    return Stripped(entries=tuple(left), removals=tuple(removals))


def difference(
    entries: Sequence[FileEntry], left: Sequence[FileEntry], rule: str
) -> Stripped:
    """Account for what another than a rule's patterns has left out, by its name."""
    paths = {entry.path for entry in left}
    return Stripped(
        entries=tuple(left),
        removals=tuple(
            _removal(rule, entry) for entry in entries if entry.path not in paths
        ),
    )


def _removal(rule: str, entry: FileEntry) -> Removal:
    return Removal(rule=rule, path=entry.path, origin=entry.origin, size=entry.size)


def _beside(entries: Iterable[FileEntry], rule: StripRule) -> frozenset[str] | None:
    """Give the folders that a rule with ``beside`` holds in; None for all of them."""
    if not rule.beside:
        return None
    names = matcher(rule.beside)
    return frozenset(
        _folder(entry) for entry in entries if names(entry.path.rpartition("/")[2])
    )


def _folder(entry: FileEntry) -> str:
    return entry.path.rpartition("/")[0]


@cache
def rules_for(target: Target, profile: Profile) -> tuple[StripRule, ...]:
    """Give the rules of data/strip.toml that hold for a target and a profile."""
    return tuple(
        rule
        for rule in all_rules()
        if rule.ecosystem == target.runtime.language
        and rule.architecture in {"", str(target.arch)}
        and profile.includes(rule.profile)
    )


@cache
def all_rules() -> tuple[StripRule, ...]:
    """Read data/strip.toml."""
    document = tomli.loads(_RULES_FILE.read_text(encoding="utf-8"))
    return tuple(
        StripRule(
            id=row["id"],
            why=row["why"],
            drop=tuple(row["drop"]),
            keep=tuple(row.get("keep", ())),
            beside=tuple(row.get("beside", ())),
            profile=Profile(row["profile"]),
            ecosystem=row["ecosystem"],
            architecture=row.get("architecture", ""),
            examples=tuple(row["examples"]),
            counterexamples=tuple(row["counterexamples"]),
        )
        for row in document["rules"]
    )


class _Matcher:
    """Says whether a path, or a folder that it is in, matches one of the patterns."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        # Most patterns are as plain as **/*.map and **/tests: no regex is as quick.
        starts, parts, others = [], [], []
        for pattern in (each.rstrip("/") for each in patterns):
            anywhere = pattern.removeprefix("**/")
            ending = anywhere.removeprefix("*")
            if _PLAIN.fullmatch(pattern):
                starts.append(f"/{pattern}/")
            elif anywhere != pattern and _PLAIN.fullmatch(anywhere):
                parts.append(f"/{anywhere}/")
            elif anywhere != pattern and _PLAIN_NAME.fullmatch(ending):
                parts.append(f"{ending}/")
            else:
                others.append(_regex(pattern))
        self._starts, self._parts = tuple(starts), tuple(parts)
        choices = "|".join(others)
        self._others = re.compile(rf"(?:{choices})(?:/|\Z)").match if others else None

    def __call__(self, path: str) -> bool:
        spread = f"/{path}/"
        return (
            spread.startswith(self._starts)
            or any(part in spread for part in self._parts)
            or (self._others is not None and self._others(path) is not None)
        )


@cache
def _compiled(patterns: tuple[str, ...]) -> _Matcher:
    return _Matcher(patterns)


def matcher(patterns: Sequence[str]) -> _Matcher:
    """Compile patterns, of the form that this module's docstring gives."""
    return _compiled(tuple(patterns))


_PLAIN: Final = re.compile(r"[^*?\[]+")
_PLAIN_NAME: Final = re.compile(r"[^*?\[/]+")
_PIECE: Final = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|.", re.DOTALL)


def _choice(inside: str) -> str:
    """Translate what stands in brackets; what is no lawful range stands for itself."""
    negated = inside.startswith("!")
    escaped = re.sub(r"([\\\[^&|~])", r"\\\1", inside.removeprefix("!"))
    choice = f"[^/{escaped}]" if negated else f"[{escaped}]"
    try:
        re.compile(choice)
    except re.error:
        return re.escape(f"[{inside}]")
    return choice


def _regex(pattern: str) -> str:
    return "".join(map(_translate, _PIECE.findall(pattern.rstrip("/"))))


def _translate(piece: str) -> str:
    match piece:
        case "**/":
            return "(?:[^/]+/)*"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if len(piece) > 1:
            return _choice(piece[1:-1])
        case _:
            return re.escape(piece)
