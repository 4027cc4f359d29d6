"""The command line: options become a value, the core works, this prints.

Results go to stdout (a path, a table, or one JSON document), all else to stderr. The
only package that imports click and rich, and the only one that prints.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

import click

from layerforge import __version__
from layerforge.cli.console import Console

# Each command is imported when it is called, so that none waits for another's needs.
_COMMANDS: Final = {
    "build": "build",
    "lock": "lock",
    "size": "size",
    "check": "check",
    "plan": "plan",
    "export": "export",
    "inspect": "inspect",
    "verify": "verify",
    "explain": "explain",
    "publish": "publish",
    "list": "listing",
    "budget": "budget",
    "usage": "usage",
    "attach": "attach",
    "prune": "prune",
    "diff": "diff",
    "init": "init",
    "runtimes": "runtimes",
    "recipes": "recipes",
    "images": "images",
    "cache": "cache",
}


class _Commands(click.Group):
    """A group that knows its commands by name before it imports them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in _COMMANDS:
            from difflib import get_close_matches  # noqa: PLC0415 - for errors alone

            near = get_close_matches(cmd_name, _COMMANDS, n=1)
            guess = f"; did you mean {near[0]}?" if near else ""
            ctx.fail(f"no such command: {cmd_name}{guess}")
        module = import_module(f"layerforge.cli.{_COMMANDS[cmd_name]}")
        command = module.command
        if not isinstance(command, click.Command):
            raise TypeError(cmd_name)
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Try: layerforge build pandas --runtime python3.13 --arch arm64",
)
@click.version_option(__version__, prog_name="layerforge")
def group() -> None:
    """Build AWS Lambda layers: right for the runtime, small, the same everywhere."""


def main() -> None:
    """Run a command; the exit status is the error's kind (layerforge.errors)."""
    console = Console.for_arguments(sys.argv[1:])
    with console.reporting():
        # click gives back the status of what it would otherwise have ended with.
        sys.exit(group.main(prog_name="layerforge", standalone_mode=False))
