"""layerforge size."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from layerforge.cli.console import Console
from layerforge.cli.options import (
    console_of,
    console_options,
    container_options,
    index_options,
    selection_of,
    store_options,
    tools_of,
)
from layerforge.errors import ConfigError, VerifyError, guess
from layerforge.jobs import Selection, select_forecasts
from layerforge.project import find_project
from layerforge.recipes import find_recipe
from layerforge.spec import Project
from layerforge.strip import Profile

_AT_ONCE = 4  # uv waits for the index most of its time
_FILE = click.Path(path_type=Path)


@click.command(
    "size", epilog="Try: layerforge size pandas --runtime python3.13 --arch arm64"
)
@click.argument("names", nargs=-1, metavar="[LAYER | REQUIREMENT]...")
@click.option(
    "-r", "--requirement", "requirements", type=_FILE, help="Requirements to weigh."
)
@click.option("--package-json", type=_FILE, help="A package.json to weigh.")
@click.option("--name", default="", help="The layer of that file, to use its lock.")
@click.option("--runtime", multiple=True, help="A runtime, such as python3.13.")
@click.option("--arch", multiple=True, help="x86_64 or arm64.")
@click.option(
    "--strip",
    type=click.Choice([str(profile) for profile in Profile]),
    help="How much is left out.",
)
@click.option(
    "--exclude-runtime-sdk",
    is_flag=True,
    help="Leave out the AWS SDK, which the runtime has.",
)
@click.option("--container", is_flag=True, help="Resolve and compile in a container.")
@index_options
@container_options
@store_options
@console_options
def command(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Say what layers will weigh, and whether they fit, before building them.

    Words that are no layers of layerforge.toml are the requirements of one. Of wheels
    only parts are read, unless the store has them; npm's tarballs are fetched whole.
    Nothing is written but to the store.
    """
    from layerforge.forecast import forecast_layer  # noqa: PLC0415 - as in build
    from layerforge.reports.forecast import (  # noqa: PLC0415 - the same
        forecast_document,
        forecast_tables,
        refusal,
    )

    console = console_of(options)
    project = find_project(Path.cwd())
    selection = selection_of(options)
    _refuse_nothing(selection, project)
    _warn_of_typos(selection, project, console)
    jobs = select_forecasts(selection, project)
    with (
        ThreadPoolExecutor(_AT_ONCE) as pool,
        # Left first, so that an interrupted container job ends, and its thread.
        tools_of(options, console, project) as tools,
    ):
        forecasts = list(pool.map(lambda job: forecast_layer(job, tools), jobs))
    document = {"format": 1, "layers": [forecast_document(one) for one in forecasts]}
    console.result(forecast_tables(forecasts), document)
    unfit = [one for one in forecasts if one.excess or one.is_empty]
    if unfit:
        console.error(refusal(unfit))
        raise click.exceptions.Exit(VerifyError.exit_code)


def _refuse_nothing(selection: Selection, project: Project) -> None:
    """Raise `ConfigError` where there is nothing to weigh."""
    if not all(name.strip() for name in selection.names):
        raise ConfigError(
            "one of the requirements is empty",
            remedy="Name packages (layerforge size pandas); in a script, see that its "
            "variable is set.",
        )
    named = selection.names or selection.requirements or selection.package_json
    if not named and not project.layers:
        raise ConfigError(
            "there is no layerforge.toml here or in a folder above",
            remedy="Name packages (layerforge size pandas), a file (-r FILE, "
            "--package-json FILE), or make one: layerforge init",
        )


def _warn_of_typos(selection: Selection, project: Project, console: Console) -> None:
    layers = [layer.name for layer in project.layers]
    for name in selection.names:
        near = guess(name, layers)
        if near and name not in layers and find_recipe(name) is None:
            console.warn(f"{name} is no layer here, and weighed as a package. {near}")
