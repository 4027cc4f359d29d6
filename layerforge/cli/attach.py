"""layerforge attach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from layerforge.aws.attachment import Attachment
from layerforge.aws.budget import measure
from layerforge.aws.moves import (
    Means,
    Moves,
    carry_out,
    function_place,
    parse_old,
    plan_functions,
    plan_users,
    refused,
)
from layerforge.aws.releases import NAME
from layerforge.cli.access import (
    access_options,
    agreed,
    end_with,
    failures_document,
    layers_of,
    publish_of,
    regions_of,
    session_of,
    show_failures,
)
from layerforge.cli.options import (
    console_of,
    console_options,
    store_of,
    store_options,
)
from layerforge.errors import LayerforgeError
from layerforge.project import find_project
from layerforge.reports.attachments import moves_document, moves_text
from layerforge.reports.budget import budget_text
from layerforge.reports.columns import counted
from layerforge.spec import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """Which layers go where."""

    layers: tuple[str, ...]
    functions: tuple[str, ...]
    all_users: bool
    old: str

    @property
    def words(self) -> tuple[str, ...]:
        """All names and ARNs."""
        return (*self.layers, *self.functions)

    def __post_init__(self) -> None:
        if bool(self.functions) == self.all_users:
            raise click.UsageError("say where to: --function NAME, or --all-users")
        if self.old and not self.all_users:
            raise click.UsageError("--from goes with --all-users")
        if self.all_users and len(self.layers) > 1:
            raise click.UsageError("--all-users takes one layer")


@click.command("attach", epilog="Try: layerforge attach web --function api --dry-run")
@click.argument("layers", metavar="LAYER...", nargs=-1, required=True)
@click.option("--function", "functions", multiple=True, help="Its name or ARN.")
@click.option("--all-users", is_flag=True, help="All functions that hold LAYER.")
@click.option("--from", "old", default="", help="Only those that hold this version.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and end.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@access_options
@store_options
@console_options
def command(layers: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Have functions hold a layer: its newest version for their runtime.

    LAYER is one of layerforge.toml, a name on AWS (with a version:
    web-python313-arm64:7), or the ARN of a version. It takes the place of another
    version. What Lambda would refuse is refused before anything is changed.
    """
    console = console_of(options)
    chosen = _Chosen(
        layers=layers,
        functions=options.pop("functions"),
        all_users=options.pop("all_users"),
        old=options.pop("old"),
    )
    dry_run, yes = options.pop("dry_run"), options.pop("yes") or not chosen.all_users
    project = find_project(Path.cwd())
    with console.listening() as listen:
        session = session_of(options, project, listen)
        means = Means(
            session=session,
            regions=regions_of(options.pop("regions"), chosen.words, project, session),
            measure=partial(measure, session, store=store_of(options)),
            listen=listen,
        )
        moves = _plan(chosen, project, means)
    for warning in (text for one in moves.planned for text in one.warnings):
        console.warn(warning)
    budgets = [one.budget for one in moves.planned if one.budget]
    spread = [] if chosen.all_users else map(budget_text, budgets)
    text, failures = "\n".join([moves_text(moves), *spread]), refused(moves)
    show_failures(failures, console)
    question = f"Change {counted(len(moves.able), 'function')}?"
    done: Sequence[Attachment] = ()
    failed: Mapping[str, LayerforgeError] = {}
    if moves.able and not dry_run and agreed(text, question, console, yes=yes):
        with console.listening() as listen:
            done, failed = carry_out(replace(means, listen=listen), moves)
        text = f"{counted(len(done), 'function')} changed"
    failures = {**failures, **failed}
    document = {
        "format": 1,
        "changed": [function_place(one.function) for one in done],
        **moves_document(moves),
        "failures": failures_document(failures),
    }
    console.result(text, document)
    show_failures(failed, console)
    end_with(failures)


def _plan(chosen: _Chosen, project: Project, means: Means) -> Moves:
    wanted = [layers_of(word, project, means.session) for word in chosen.layers]
    if not chosen.all_users:
        return plan_functions(means, chosen.functions, wanted)
    template = publish_of(chosen.layers[0], project).name or NAME
    old = parse_old(chosen.old, wanted[0], template)
    return plan_users(means, wanted[0], old)
