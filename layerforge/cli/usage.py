"""layerforge usage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerforge.aws.usage import find_users
from layerforge.cli.access import (
    access_options,
    ending,
    failures_document,
    layers_of,
    regions_of,
    session_of,
)
from layerforge.cli.options import console_of, console_options
from layerforge.project import find_project
from layerforge.reports.usage import usage_document, usage_text


@click.command("usage", epilog="Try: layerforge usage web --region eu-west-1")
@click.argument("layer", metavar="LAYER")
@access_options
@console_options
def command(layer: str, **options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """List functions, their versions and aliases that hold a layer.

    LAYER is one of layerforge.toml, for all of its targets, a name on AWS (with a
    version: web-python313-arm64:7), or the ARN of a version. Functions of other
    accounts can't be seen.
    """
    console = console_of(options)
    project = find_project(Path.cwd())
    with console.listening() as listen:
        session = session_of(options, project, listen)
        regions = regions_of(options.pop("regions"), [layer], project, session)
        layers = layers_of(layer, project, session)
        usage = find_users(session, regions, layers, listen)
    document = {
        "format": 1,
        **usage_document(usage),
        "failures": failures_document(usage.failures),
    }
    console.result(usage_text(usage, layer), document)
    ending(usage.failures, console)
