"""Findings as a person sees them: in colour on a terminal, plain elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from layerforge.cli.console import Console
from layerforge.errors import ConfigError, guess
from layerforge.findings import Check, Finding, Severity, load_checks
from layerforge.reports.findings import findings_text

_STYLES: Final[dict[str, dict[str, Any]]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow"},
    "note": {"fg": "cyan"},
    "waived": {"dim": True},
    "try": {"bold": True},
}
_LABEL: Final = re.compile(
    r"^(?P<indent> *)(?P<label>(?P<kind>error|warning|note|waived)\[[\w-]+\]:|"
    r"try(?:, for all [\d,]+)?:)",
    re.MULTILINE,
)


def tell_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print findings beside a command's result; notes unless asked to be quiet."""
    told = [
        one
        for one in findings
        if not console.quiet or not (one.waived or one.severity is Severity.NOTE)
    ]
    if text := findings_text(told, verbose=console.verbose):
        click.echo(painted(text, terminal=sys.stderr.isatty()), err=True)


def find_check(name: str) -> Check:
    """Give the check of an id; raises `ConfigError` with those that are like it."""
    checks = load_checks()
    if name in checks:
        return checks[name]
    raise ConfigError(
        f"no check is called {name}",
        remedy=f"{guess(name, checks)}layerforge explain lists them all.",
    )


def painted(text: str, *, terminal: bool) -> str:
    """Colour the labels of findings, for a terminal."""
    return _LABEL.sub(_paint, text) if terminal else text


def _paint(match: re.Match[str]) -> str:
    style = _STYLES[match["kind"] or "try"]
    return match["indent"] + click.style(match["label"], **style)
