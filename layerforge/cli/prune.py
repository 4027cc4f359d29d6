"""layerforge prune."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerforge.aws.prune import Pruned, look, prune
from layerforge.cli.access import (
    access_options,
    agreed,
    end_with,
    failures_document,
    layers_of,
    regions_of,
    session_of,
    show_failures,
)
from layerforge.cli.options import console_of, console_options
from layerforge.project import find_project
from layerforge.reports.columns import counted
from layerforge.reports.usage import pruning_document, pruning_text


@click.command("prune", epilog="Try: layerforge prune web --keep 5 --dry-run")
@click.argument("layer", metavar="LAYER")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    required=True,
    help="So many of the newest stay, of each name in each Region.",
)
@click.option("--dry-run", is_flag=True, help="Show what would go, and end.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@access_options
@console_options
def command(layer: str, keep: int, **options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Delete old versions of a layer that no function holds.

    What a version or an alias of a function holds stays, and is told. LAYER is one of
    layerforge.toml, for all of its targets, or a name on AWS. Functions of other
    accounts can't be seen: they go on with what they hold.
    """
    console = console_of(options)
    dry_run, yes = options.pop("dry_run"), options.pop("yes")
    project = find_project(Path.cwd())
    with console.listening() as listen:
        session = session_of(options, project, listen)
        regions = regions_of(options.pop("regions"), [layer], project, session)
        layers = layers_of(layer, project, session)
        pruning, failures = look(session, regions, layers, keep=keep, listen=listen)
    show_failures(failures, console)
    count = counted(len(pruning.delete), "version")
    text, question = pruning_text(pruning), f"Delete {count} for good?"
    pruned = Pruned(deleted=(), failures={})
    wanted = pruning.delete and not dry_run
    if wanted and agreed(text, question, console, yes=yes):
        with console.listening() as listen:
            pruned = prune(session, pruning, layers, listen)
        text = f"{counted(len(pruned.deleted), 'version')} deleted"
    failures = {**failures, **pruned.failures}
    document = {
        "format": 1,
        **pruning_document(pruning),
        "deleted": [version.arn for version in pruned.deleted],
        "failures": failures_document(failures),
    }
    console.result(text, document)
    show_failures(pruned.failures, console)
    end_with(failures)
