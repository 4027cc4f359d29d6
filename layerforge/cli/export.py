"""layerforge export."""

from __future__ import annotations

from typing import Any

import click

from layerforge.cli.options import (
    console_of,
    console_options,
    jobs_of,
    selection_options,
)
from layerforge.ecosystems import ecosystem_of
from layerforge.errors import ConfigError
from layerforge.plan import check_lock


@click.command(
    "export", epilog="Try: layerforge export web --runtime python3.13 --arch arm64"
)
@selection_options
@console_options
def command(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Print a lock as hashed requirements, for tools that read these."""
    console = console_of(options)
    jobs = jobs_of(options)
    if len(jobs) != 1:
        raise ConfigError(
            f"a requirements file is for one target, and there are {len(jobs)}",
            remedy="Name one layer, --runtime and --arch.",
        )
    [job] = jobs
    lines = ecosystem_of(job.target).export(check_lock(job))
    console.result(lines, {"format": 1, "requirements": lines.splitlines()})
