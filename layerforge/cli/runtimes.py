"""layerforge runtimes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

import click

from layerforge.cli.options import console_of, console_options
from layerforge.reports.columns import columns
from layerforge.target import Runtime, load_runtimes


@click.command("runtimes", epilog="Try: layerforge runtimes --json")
@console_options
def command(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """List Lambda's runtimes: system, glibc, state, dates.

    A deprecated runtime takes layers all the same, until functions on it can neither
    be created nor updated.
    """
    console = console_of(options)
    today = datetime.now(UTC).date()
    runtimes = list(load_runtimes().values())
    head = (
        "runtime",
        "system",
        "glibc",
        "state",
        "deprecated",
        "no create",
        "no update",
    )
    rows = [head, *(_row(runtime, today) for runtime in runtimes)]
    documents = [
        asdict(runtime)
        | {"state": runtime.state(today), "glibc": _glibc(runtime)}
        | {key: str(value) for key, value in _dates(runtime).items()}
        for runtime in runtimes
    ]
    console.result("\n".join(columns(rows)), {"format": 1, "runtimes": documents})


def _row(runtime: Runtime, today: date) -> tuple[str, ...]:
    dates = _dates(runtime)
    return (
        runtime.id,
        runtime.os,
        _glibc(runtime),
        runtime.state(today),
        *(
            str(dates.get(name, ""))
            for name in ("deprecated", "blocks_create", "blocks_update")
        ),
    )


def _glibc(runtime: Runtime) -> str:
    return ".".join(map(str, runtime.glibc))


def _dates(runtime: Runtime) -> dict[str, date]:
    dates = {
        "deprecated": runtime.deprecated,
        "blocks_create": runtime.blocks_create,
        "blocks_update": runtime.blocks_update,
    }
    return {name: date for name, date in dates.items() if date}
