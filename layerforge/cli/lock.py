"""layerforge lock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby
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
from layerforge.lock import Lock
from layerforge.pipeline import lock_layer
from layerforge.plan import Job, check_lock
from layerforge.project import find_project
from layerforge.reports.locks import lock_document, lock_line
from layerforge.reports.paths import shown_path
from layerforge.tools import Tools

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
    """Resolve layers for their targets, and write their locks.

    What a lock pins stays as it is where it still fits the requirements. Prints the
    path of each lock.
    """
    console = console_of(options)
    project = find_project(Path.cwd())
    jobs = jobs_of(options, project)
    upgrade, freed = options.pop("upgrade"), options.pop("freed")
    check = options.pop("check")

    def several(jobs: Sequence[Job], tools: Tools) -> list[Lock]:
        if check:
            return [check_lock(job) for job in jobs]
        first, *others = jobs
        # Of one file: what is new in it is not to be new again for each.
        locks = [lock_layer(first, tools, upgrade=upgrade, freed=freed)]
        return locks + [lock_layer(job, tools) for job in others]

    with (
        ThreadPoolExecutor(_AT_ONCE) as pool,
        # Left first, so that an interrupted container job ends, and its thread.
        tools_of(options, console, project) as tools,
    ):
        groups = list(_by_file(jobs).values())
        found: list[list[Lock]] = []
        for _, wave in groupby(groups, key=_depth):
            found += pool.map(lambda group: several(group, tools), wave)
    pairs = list(zip(chain(*groups), chain(*found), strict=True))
    for job, lock in pairs:
        console.say(lock_line(job, lock))
    paths = "\n".join(dict.fromkeys(shown_path(job.lock_file) for job, _ in pairs))
    documents = [lock_document(job, lock) for job, lock in pairs]
    console.result(paths, {"format": 1, "locks": documents})


def _by_file(jobs: Iterable[Job]) -> dict[Path, list[Job]]:
    """Put the jobs together that have one lock; those that others stand on first."""
    groups: dict[Path, list[Job]] = {}
    for job in chain.from_iterable((job, *job.others) for job in jobs):
        groups.setdefault(job.lock_file, []).append(job)
    return dict(sorted(groups.items(), key=lambda item: _depth(item[1])))


def _depth(jobs: Sequence[Job]) -> int:
    """Say how many layers have to be locked before some jobs can be."""
    return max(len(job.bases) for job in jobs)
