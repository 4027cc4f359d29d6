"""layerforge init."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerforge.cli.options import console_of, console_options
from layerforge.errors import ConfigError
from layerforge.files import replace_file
from layerforge.project import FILE_NAME
from layerforge.template import project_text


@click.command("init", epilog="Try: layerforge init && layerforge build")
@console_options
def command(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Write a commented layerforge.toml that works as it is.

    It takes up a requirements.txt, requirements.in or package.json that lies here.
    """
    console = console_of(options)
    file = Path(FILE_NAME)
    if file.exists():
        raise ConfigError(
            f"there is a {FILE_NAME} here already", remedy="Move it away to begin anew."
        )
    replace_file(file, project_text(Path.cwd()))
    console.say("Next: layerforge build")
    console.result(FILE_NAME, {"format": 1, "path": FILE_NAME})
