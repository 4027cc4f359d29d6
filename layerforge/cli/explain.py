"""layerforge explain."""

from __future__ import annotations

from typing import Any

import click

from layerforge.cli.findings import find_check
from layerforge.cli.options import console_of, console_options
from layerforge.findings import load_checks
from layerforge.reports.checks import check_document, check_text, checks_text


@click.command("explain", epilog="Try: layerforge explain library")
@click.argument("name", metavar="[CHECK]", default="")
@console_options
def command(name: str, **options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Say what a check finds, why it matters, what helps, and how to waive it.

    CHECK is the word in brackets of a finding, as in warning[library]. Without it, all
    checks are listed.
    """
    console = console_of(options)
    if not name:
        checks = load_checks()
        documents = [check_document(check) for check in checks.values()]
        text = checks_text(checks.values())
        console.result(text, {"format": 1, "checks": documents})
        return
    check = find_check(name)
    console.result(check_text(check), {"format": 1, **check_document(check)})
