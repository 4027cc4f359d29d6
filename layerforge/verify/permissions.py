"""Could the user that functions run as read what a zip holds? Asked of its directory.

Lambda unpacks a layer with the modes that its zip has. layerforge writes 644 and 755;
other builders keep what their disk had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from layerforge.archives.zipdirectory import Member
from layerforge.findings import Finding, Severity

_READ, _SEARCH, _RUN = 0o004, 0o005, 0o001  # for everybody else
_EXTENSIONS: Final = "extensions/"
_PROGRAMS: Final = ("bin/", _EXTENSIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """What members of a kind need of their mode, and what is wrong without it."""

    concerns: Callable[[Member], bool]
    bits: int
    severity: Severity
    problem: str


_NEEDS: Final = (
    _Need(
        concerns=lambda it: not it.is_folder,
        bits=_READ,
        severity=Severity.ERROR,
        problem="the user that functions run as can't read it",
    ),
    _Need(
        concerns=lambda it: it.is_folder,
        bits=_SEARCH,
        severity=Severity.ERROR,
        problem="the user that functions run as can't look into it",
    ),
    _Need(
        concerns=lambda it: _is_program(it) and it.name.startswith(_EXTENSIONS),
        bits=_RUN,
        severity=Severity.ERROR,
        problem="Lambda starts all that is in extensions/, and can't start it",
    ),
    _Need(
        concerns=lambda it: _is_program(it) and not it.name.startswith(_EXTENSIONS),
        bits=_RUN,
        severity=Severity.WARNING,
        problem="it can't be run as a program",
    ),
)


def verify_permissions(members: Iterable[Member]) -> Iterator[Finding]:
    """Find modes that keep functions out; a member without one gets a default."""
    known = [one for one in members if one.mode and not one.is_link]
    for need in _NEEDS:
        for one in known:
            if need.concerns(one) and one.mode & need.bits != need.bits:
                yield Finding(
                    check="permissions",
                    severity=need.severity,
                    path=one.path,
                    message=f"has mode {one.mode & 0o777:03o}: {need.problem}",
                    remedy="Zip it with modes 644 and 755 (chmod -R a+rX .), or have "
                    "layerforge build it.",
                )


def _is_program(member: Member) -> bool:
    folder, _, name = member.name.rpartition("/")
    return bool(name) and f"{folder}/" in _PROGRAMS
