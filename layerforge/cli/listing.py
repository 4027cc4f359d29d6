"""layerforge list: a module of that name would hide Python's own list here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerforge.aws.listing import list_layer, list_newest
from layerforge.aws.usage import in_parallel
from layerforge.cli.access import (
    access_options,
    end_with,
    failures_document,
    layers_of,
    regions_of,
    session_of,
    show_failures,
)
from layerforge.cli.options import console_of, console_options
from layerforge.project import find_project
from layerforge.reports.publishing import version_document, versions_text


@click.command("list", epilog="Try: layerforge list web --region eu-west-1")
@click.argument("layer", metavar="[LAYER]", default="")
@access_options
@console_options
def command(layer: str, **options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """List what is published: versions, dates, sizes, and who may use them.

    LAYER is one of layerforge.toml, for all of its targets, or a name on AWS: all its
    versions are listed. Without it, the newest version of each layer of the account.
    """
    console = console_of(options)
    project = find_project(Path.cwd())
    with console.listening() as listen:
        session = session_of(options, project, listen)
        named = [layer] if layer else [known.name for known in project.layers]
        regions = regions_of(options.pop("regions"), named, project, session)
        if layer:
            layers = layers_of(layer, project, session)
            found, failures = in_parallel(
                regions, lambda region: list_layer(session, region, layers)
            )
        else:
            found, failures = in_parallel(
                regions, lambda region: list_newest(session, region)
            )
    versions = [one for region in regions for one in found.get(region, ())]
    document = {
        "format": 1,
        "versions": [
            {**version_document(one.version), "grants": list(one.grants)}
            for one in versions
        ],
        "failures": failures_document(failures),
    }
    show_failures(failures, console)
    if versions or console.json or not failures:
        console.result(versions_text(versions), document)
    end_with(failures)
