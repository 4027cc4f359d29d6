"""layerforge budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerforge.aws.attachment import hidden_layers
from layerforge.aws.budget import Budget, explain, measure
from layerforge.aws.functions import find_functions
from layerforge.cli.access import access_options, regions_of, session_of
from layerforge.cli.options import (
    console_of,
    console_options,
    store_of,
    store_options,
)
from layerforge.errors import ConfigError
from layerforge.project import find_project
from layerforge.reports.budget import budget_document, budget_text


@click.command("budget", epilog="Try: layerforge budget --function api")
@click.option("--function", default="", help="A function's name or ARN.")
@click.option("--explain", "message", default="", help="A message of Lambda's.")
@access_options
@store_options
@console_options
def command(function: str, message: str, **options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Sum a function's code and layers, unzipped, against Lambda's limit.

    With --explain, say what a message of Lambda's about sizes means.
    """
    console = console_of(options)
    store = store_of(options)
    project = find_project(Path.cwd())
    if not function and not message:
        raise click.UsageError("say which function: --function NAME")
    meaning = _meaning(message)
    budgets: list[Budget] = []
    if function:
        with console.listening() as listen:
            session = session_of(options, project, listen)
            regions = regions_of(options.pop("regions"), [function], project, session)
            found = find_functions(session, regions, function)
            budgets = [measure(session, one, store) for one in found]
    for budget in budgets:
        if told := explain(budget.function.reason):
            console.warn(f"{budget.function}: {budget.function.reason}\n  {told}")
        for warning in hidden_layers(budget.function):
            console.warn(warning)
    texts = [meaning] if meaning else []
    document = {
        "format": 1,
        "meaning": meaning,
        "functions": [budget_document(budget) for budget in budgets],
    }
    console.result("\n".join([*texts, *map(budget_text, budgets)]), document)


def _meaning(message: str) -> str:
    meaning = explain(message)
    if message and not meaning:
        raise ConfigError(
            "that is no message of Lambda's about sizes",
            remedy="Give all of it, in quotes: --explain 'Unzipped size must be "
            "smaller than 262144000 bytes'",
        )
    return meaning
