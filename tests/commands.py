"""The command line as click knows it, for tests of help and documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from layerforge.cli import group

Words = tuple[str, ...]


def all_commands() -> dict[Words, click.Command]:
    """Give every command by its words; our own name is no word."""
    return dict(_inside(group, ()))


def _inside(command: click.Command, words: Words) -> Iterator[tuple[Words, Any]]:
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below
            yield from _inside(below, (*words, name))


def options_of(command: click.Command) -> set[str]:
    """Give the long options of a command, without --help, which all have."""
    options = [part for part in command.params if isinstance(part, click.Option)]
    return {word for part in options for word in part.opts if word.startswith("--")}


def parsed(words: list[str]) -> dict[str, Any]:
    """Let click read a command line as it would, run nothing, and give its values.

    Raises `click.UsageError` where a command, an option or a value is unknown.
    """
    command: click.Command = group
    # With its settings: click keeps the help option of the first context it meets.
    context = click.Context(group, info_name="layerforge", **group.context_settings)
    while isinstance(command, click.Group) and words[:1] not in (["--version"], ["-h"]):
        name, words = words[0], words[1:]
        below = command.get_command(context, name)
        if below is None:
            raise click.UsageError(f"there is no command {name}")
        command = below
    if isinstance(command, click.Group):
        return {}
    return command.make_context(command.name, list(words), parent=context).params
