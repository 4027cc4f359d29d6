"""layerforge cache."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from layerforge.cli.options import (
    console_of,
    console_options,
    store_of,
    store_options,
)
from layerforge.fields import Wrong, a_duration, a_size
from layerforge.reports.columns import bytes_of, columns, counted


@click.group("cache", epilog="Try: layerforge cache prune --max-size 2GB")
def command() -> None:
    """See and bound what is kept between builds.

    All of it can be fetched or made again.
    """


@command.command("info", epilog="Try: layerforge cache info")
@store_options
@console_options
def info(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Say where the store is, and what it holds."""
    console = console_of(options)
    store = store_of(options)
    usage = store.usage()
    rows = [
        (name, counted(part.files, "file"), f"{bytes_of(part.size)} bytes")
        for name, part in usage.items()
    ]
    console.result(
        "\n".join([str(store.root), *columns(rows, right="<>>")]),
        {
            "format": 1,
            "path": str(store.root),
            "parts": {name: asdict(part) for name, part in usage.items()},
        },
    )


@command.command("prune", epilog="Try: layerforge cache prune --unused 30d")
@click.option("--max-size", help="Keep at most so much: 2GB, 500 MiB.")
@click.option("--unused", help="Delete what was not used for so long: 30d, 12h.")
@store_options
@console_options
def prune(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Delete what was least recently used."""
    console = console_of(options)
    most, unused = options.pop("max_size"), options.pop("unused")
    if most is None and unused is None:
        raise click.UsageError("say how much is to stay: --max-size or --unused")
    gone = store_of(options).prune(
        max_bytes=None if most is None else _bytes(most),
        unused_seconds=None if unused is None else _seconds(unused),
    )
    console.result(
        f"{counted(gone.files, 'file')}, {bytes_of(gone.size)} bytes deleted",
        {"format": 1, "deleted": asdict(gone)},
    )


def _bytes(text: str) -> int:
    try:
        return 0 if text == "0" else a_size(text)
    except Wrong as wrong:
        raise click.BadParameter(
            f"expected {wrong.expected}", param_hint="--max-size"
        ) from wrong


def _seconds(text: str) -> int:
    try:
        return a_duration(text)
    except Wrong as wrong:
        raise click.BadParameter(
            f"expected {wrong.expected}", param_hint="--unused"
        ) from wrong
