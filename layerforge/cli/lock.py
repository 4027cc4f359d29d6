"""layerforge lock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from layerforge.cli.options import (
    console_of,
    console_options,
    container_options,
    index_options,
    jobs_of,
    selection_options,
    store_options,
    tools_of,
)
from layerforge.ecosystems import Tools
from layerforge.lock import Lock
from layerforge.pipeline import lock_layer
from layerforge.plan import Job, check_lock
from layerforge.project import find_project
from layerforge.reports.locks import lock_document, lock_line
from layerforge.reports.paths import shown_path

_AT_ONCE = 4  # uv waits for the index most of its time


@click.command("lock", epilog="Try: layerforge lock web --upgrade-package requests")
@selection_options
@click.option("--upgrade", is_flag=True, help="Take the newest versions of all.")
@click.option(
    "--upgrade-package", "freed", multiple=True, help="Take the newest of this one."
)
@click.option("--check", is_flag=True, help="Only see whether locks are fresh.")
@index_options
@container_options
@store_options
@console_options
def command(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Resolve layers for their targets, and write a lock for each.

    What a lock pins stays as it is where it still fits the requirements. Prints the
    path of each lock.
    """
    console = console_of(options)
    project = find_project(Path.cwd())
    jobs = jobs_of(options, project)
    upgrade, freed = options.pop("upgrade"), _normalised(options.pop("freed"))
    check = options.pop("check")

    def one(job: Job, tools: Tools) -> Lock:
        if check:
            return check_lock(job)
        return lock_layer(job, tools, upgrade=upgrade, freed=freed)

    with (
        ThreadPoolExecutor(_AT_ONCE) as pool,
        # Left first, so that an interrupted container job ends, and its thread.
        tools_of(options, console, project) as tools,
    ):
        locks = list(pool.map(lambda job: one(job, tools), jobs))
    for job, lock in zip(jobs, locks, strict=True):
        console.say(lock_line(job, lock))
    paths = "\n".join(shown_path(job.lock_file) for job in jobs)
    documents = [lock_document(*pair) for pair in zip(jobs, locks, strict=True)]
    console.result(paths, {"format": 1, "locks": documents})


def _normalised(names: Sequence[str]) -> tuple[str, ...]:
    """Spell names as locks do (PEP 503)."""
    return tuple(re.sub(r"[-_.]+", "-", name).lower() for name in names)
