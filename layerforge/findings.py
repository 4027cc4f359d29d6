"""What checks find: how bad it is, what helps, and what a user has answered for.

The texts that belong to a check whatever it found stand in data/checks.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import tomli

from layerforge.strip import matcher

_CHECKS_FILE: Final = Path(__file__).parent / "data" / "checks.toml"


class Severity(StrEnum):
    """How bad a finding is: an error stops a build."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found, and what helps; ``path`` is below /opt.

    ``waived`` is the reason that a user gave for leaving it as it is: it is told then,
    and counts no more.
    """

    check: str
    severity: Severity
    message: str
    path: str = ""
    remedy: str = ""
    waived: str = ""

    @property
    def is_error(self) -> bool:
        """Say whether it stops a build."""
        return self.severity is Severity.ERROR and not self.waived


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A user's word that a check's findings are meant to be, and ``why``.

    ``path`` is a pattern, as in strip rules, for paths below /opt; '' for all of them.
    """

    check: str
    why: str
    path: str = ""

    def covers(self, finding: Finding) -> bool:
        """Say whether it speaks of a finding."""
        if finding.check != self.check:
            return False
        # All of a folder is the folder, too: some findings are about that.
        pattern = self.path.removesuffix("/**")
        return not self.path or matcher((pattern,))(finding.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A row of data/checks.toml, which says what each field means."""

    id: str
    title: str
    severity: str
    why: str
    remedy: str
    waivable: bool = True
    provided: bool = False
    found_by: str = "build"


def waive(
    findings: Iterable[Finding], waivers: Sequence[Waiver]
) -> tuple[Finding, ...]:
    """Mark the findings that a waiver covers with its reason."""
    return tuple(_answered(finding, waivers) for finding in findings)


def _answered(finding: Finding, waivers: Sequence[Waiver]) -> Finding:
    if not waivable(finding.check):
        return finding
    reasons = (waiver.why for waiver in waivers if waiver.covers(finding))
    return replace(finding, waived=next(reasons, ""))


def idle(findings: Sequence[Finding], waivers: Iterable[Waiver]) -> Iterator[Finding]:
    """Note the waivers that cover nothing of what builds found.

    These are to be all builds that they are for: one that a single target needs is idle
    for the others. Of what a build doesn't look for, nothing is said.
    """
    for waiver in dict.fromkeys(waivers):
        if load_checks()[waiver.check].found_by == "build" and not any(
            map(waiver.covers, findings)
        ):
            place = f" of {waiver.path}" if waiver.path else ""
            yield Finding(
                check="waiver",
                severity=Severity.NOTE,
                message=f"nothing{place} has to be waived for {waiver.check}",
                remedy="Take the waiver out of layerforge.toml.",
            )


def waivable(check: str) -> bool:
    """Say whether a user may answer for a check's findings; Lambda's limits, never."""
    return load_checks()[check].waivable


@cache
def load_checks() -> Mapping[str, Check]:
    """Give every check by its id, in the table's order."""
    document = tomli.loads(_CHECKS_FILE.read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            name: Check(
                id=name,
                title=row["title"],
                severity=row["severity"],
                why=row["why"],
                remedy=row["remedy"],
                waivable=row.get("waivable", True),
                provided=row.get("provided", False),
                found_by=row.get("found-by", "build"),
            )
            for name, row in document["checks"].items()
        }
    )
