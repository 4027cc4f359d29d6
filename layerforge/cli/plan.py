"""layerforge plan."""

from __future__ import annotations

from typing import Any

import click

from layerforge.cli.options import (
    console_of,
    console_options,
    jobs_of,
    output_options,
    selection_options,
    store_of,
    store_options,
)
from layerforge.plan import plan_build
from layerforge.reports.locks import plan_document, plan_text


@click.command("plan", epilog="Try: layerforge plan web")
@selection_options
@output_options
@store_options
@console_options
def command(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Say what a build would do; it fetches and writes nothing."""
    console = console_of(options)
    jobs = jobs_of(options)
    store = store_of(options)
    plans = [plan_build(job, store) for job in jobs]
    console.result(
        "\n\n".join(map(plan_text, plans)),
        {"format": 1, "plans": list(map(plan_document, plans))},
    )
