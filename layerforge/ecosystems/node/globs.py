"""The lines of an ignore file, as npm reads them: globs of files to leave out or keep.

npm means what its minimatch matches with ``matchBase``, ``dot`` and ``nocase``, which
is not what git means: braces and extended globs count, case doesn't, a line without a
slash speaks of names anywhere, and a folder that was left out can be entered for the
sake of what is kept inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby
from typing import Final

from layerforge.ecosystems.node.braces import expand

_ANYWHERE: Final = "**"
_NOTHING: Final = "(?!)"
# What JavaScript's trim() takes away; Python's strip() takes some that it leaves.
_SPACE: Final = (
    "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_REPEATED: Final = {"@": "", "?": "?", "*": "*", "+": "+"}
# POSIX's classes. Case doesn't count, so that small letters are letters like others.
_CLASSES: Final = {
    "[:alnum:]": r"[^\W_]",
    "[:alpha:]": r"[^\W\d_]",
    "[:ascii:]": r"[\x00-\x7f]",
    "[:blank:]": r"[ \t]",
    "[:cntrl:]": r"[\x00-\x1f\x7f-\x9f]",
    "[:digit:]": r"\d",
    "[:graph:]": r"[^\s\x00-\x1f\x7f-\x9f]",
    "[:lower:]": r"[^\W\d_]",
    "[:print:]": r"[^\x00-\x1f\x7f-\x9f]",
    "[:punct:]": r"[!-#%-*,-/:;?@\[-\]_{}]",
    "[:space:]": r"\s",
    "[:upper:]": r"[^\W\d_]",
    "[:word:]": r"\w",
    "[:xdigit:]": "[A-Fa-f0-9]",
}

_Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matcher:
    """What the last name of a path must be, or all of it, or its way to something."""

    name: re.Pattern[str]
    path: re.Pattern[str]
    begun: re.Pattern[str]

    def is_path(self, path: str, end: str = "") -> bool:
        name = path.removesuffix("/").rpartition("/")[2]
        return bool(self.name.fullmatch(name) or self.path.fullmatch(f"{path}{end}"))

    def is_folder(self, path: str, *, entered: bool) -> bool:
        return self.is_path(path, "/") or (entered and bool(self.begun.fullmatch(path)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Lines that follow one another and say the same of what one of them matches.

    ``keeps`` where they began with ``!``.
    """

    keeps: bool
    _any: _Matcher
    _relative: _Matcher  # of the lines with a bare name: they hold in every folder

    def matches(self, path: str, *, folder: bool = False, name: str = "") -> bool:
        """Say whether it speaks of a path, from the folder that the rule stands in.

        A ``folder`` is matched as well with a slash behind it and, where the rule
        ``keeps``, if something inside of it could be. ``name`` is what it is called in
        its own folder, where the rule comes from a folder further up.
        """
        return self._any.is_path(path) or (
            folder
            and (
                self._any.is_folder(path, entered=self.keeps)
                or (bool(name) and self._relative.is_folder(name, entered=self.keeps))
            )
        )


@lru_cache(maxsize=64)
def read_rules(text: str) -> tuple[Rule, ...]:
    """Read an ignore file; the last rule that matches is the one that counts."""
    stripped = (line.strip(_SPACE) for line in re.split(r"\r?\n", text))
    lines = [_read(line) for line in stripped if line and not line.startswith("#")]
    return tuple(
        _rule([patterns for _, patterns in run], keeps=keeps)
        for keeps, run in groupby(lines, key=lambda line: line[0])
    )


def _rule(lines: Sequence[list[_Parts]], *, keeps: bool) -> Rule:
    relative = (line for line in lines if _is_relative(line))
    return Rule(
        keeps=keeps,
        _any=_matcher(chain.from_iterable(lines)),
        _relative=_matcher(chain.from_iterable(relative)),
    )


def _read(line: str) -> tuple[bool, list[_Parts]]:
    pattern = line.lstrip("!")
    negations = len(line) - len(pattern)
    return bool(negations % 2), [
        tuple(_simplified(re.split("/+", each))) for each in expand(pattern)
    ]


def _simplified(parts: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for part in parts:
        before = kept[-1] if kept else ""
        if part == ".." and before not in {"", ".", "..", _ANYWHERE}:
            kept.pop()
        elif part != _ANYWHERE or before != _ANYWHERE:
            kept.append(part)
    return kept or [""]


def _is_relative(patterns: Sequence[_Parts]) -> bool:
    return any(len(parts) <= (1 if parts[-1] else 2) for parts in patterns)


def _matcher(patterns: Iterable[_Parts]) -> _Matcher:
    known = tuple(patterns)
    paths = [parts if parts[0] else parts[1:] for parts in known if parts[1:]]
    return _Matcher(
        name=_union(_part(name) for name, *rest in known if name and not rest),
        path=_union(map(_path, paths)),
        begun=_union(map(_begun, paths)),
    )


def _union(sources: Iterable[str]) -> re.Pattern[str]:
    source = "|".join(f"(?:{each})" for each in sources) or _NOTHING
    return re.compile(source, re.DOTALL | re.IGNORECASE)


def _path(parts: _Parts) -> str:
    *before, last = parts
    lead = "".join(
        "(?:[^/]*/)*" if part == _ANYWHERE else f"{_part(part)}/" for part in before
    )
    return f"{lead}.*" if last == _ANYWHERE else f"{lead}{_part(last)}/?"


def _begun(parts: _Parts) -> str:
    source = ""
    for part in reversed(parts):
        rest = f"(?:/{source})?" if source else ""
        source = ".*" if part == _ANYWHERE else f"{_part(part)}{rest}"
    return source


def _part(glob: str) -> str:
    return "[^/]+" if glob and not glob.strip("*") else "".join(_translate(glob, ""))


def _translate(glob: str, rest: str) -> Iterator[str]:
    """Translate what stands between two slashes; ``rest`` is what comes behind it."""
    at = 0
    while at < len(glob):
        char = glob[at]
        opens = char in "?*+@!" and glob.startswith("(", at + 1)
        if opens and (inside := _alternatives(glob, at + 2)):
            choices, at = inside
            yield _extended(char, choices, "".join(_translate(glob[at:], rest)) + rest)
        elif char == "[" and (found := _read_class(glob, at + 1)):
            source, at = found
            yield source
        elif char == "\\" and at + 1 < len(glob):
            yield re.escape(glob[at + 1])
            at += 2
        else:
            yield {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char))
            at += 1


def _extended(kind: str, choices: Sequence[str], rest: str) -> str:
    body = "|".join("".join(_translate(choice, rest)) for choice in choices)
    if kind != "!":
        return f"(?:{body}){_REPEATED[kind]}"
    return f"(?!(?:{body}){rest}(?:/|\\Z))[^/]*" if body else "[^/]+"


def _alternatives(glob: str, at: int) -> tuple[list[str], int] | None:
    """Read up to the bracket that closes; nothing where none does."""
    found, depth, start = [], 0, at
    while at < len(glob):
        char = glob[at]
        if char == "\\":
            at += 1
        elif char == "[" and (inside := _read_class(glob, at + 1)):
            at = inside[1] - 1
        elif char == "(" and glob[at - 1] in "?*+@!":
            depth += 1
        elif char == ")" and depth:
            depth -= 1
        elif char in "|)" and not depth:
            found.append(glob[start:at])
            start = at + 1
            if char == ")":
                return found, start
        at += 1
    return None


def _read_class(glob: str, at: int) -> tuple[str, int] | None:
    """Read a class of characters, and say where it ends; nothing where it doesn't."""
    negated = glob.startswith(("!", "^"), at)
    at += negated
    first, begin = at, ""
    members: list[str] = []
    while at < len(glob):
        if glob[at] == "]" and at > first:
            # No class has a slash, which a range or a negated one might let in.
            one = "|".join(members) or _NOTHING
            return (f"(?!/|{one})." if negated else f"(?!/)(?:{one})"), at + 1
        named = next((each for each in _CLASSES if glob.startswith(each, at)), "")
        if named and not begin:
            members.append(_CLASSES[named])
            at += len(named)
            continue
        at += glob[at] == "\\"
        char = glob[at : at + 1]
        at += 1
        if begin:
            if begin <= char:
                members.append(f"[{re.escape(begin)}-{re.escape(char)}]")
            begin = ""
        elif glob.startswith("-", at) and not glob.startswith("-]", at):
            begin = char
            at += 1
        else:
            members.append(re.escape(char))
    return None
