"""Every command's help: it fits a terminal, and ends with an example that works."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

import click
import pytest
from click.testing import CliRunner

from layerforge.cli import group

WIDTH: Final = 80


def _commands(
    command: click.Command, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inside = command.get_command(context, name)
            assert inside
            yield from _commands(inside, (*words, name))


COMMANDS: Final = tuple(_commands(group))
each_command = pytest.mark.parametrize(
    "words", COMMANDS, ids=lambda words: " ".join(words) or "layerforge"
)


def help_of(words: tuple[str, ...], option: str = "--help") -> str:
    result = CliRunner().invoke(
        group, [*words, option], prog_name="layerforge", terminal_width=WIDTH
    )
    assert result.exit_code == 0
    return result.output


def examples_of(words: tuple[str, ...]) -> list[list[str]]:
    """Give the command lines that a help ends with, in words."""
    last = help_of(words).rstrip().rpartition("\n\n")[2]
    assert last.startswith("  Try: ")
    joined = " ".join(last.removeprefix("  Try: ").split())
    return [shlex.split(line) for line in joined.split(" && ")]


def parsed(words: list[str]) -> tuple[click.Command, dict[str, object]]:
    """Let click read a command line as it would, and run nothing."""
    command: click.Command = group
    context = click.Context(group, info_name="layerforge")
    arguments = words
    while isinstance(command, click.Group):
        name, *arguments = arguments
        inside = command.get_command(context, name)
        assert inside, f"there is no command {name}"
        command = inside
    inner = command.make_context(command.name, list(arguments), parent=context)
    return command, inner.params


@each_command
def test_help_fits_a_terminal(words: tuple[str, ...]) -> None:
    lines = help_of(words).splitlines()

    assert [line for line in lines if len(line) > WIDTH] == []


@each_command
def test_the_short_option_gives_the_same_help(words: tuple[str, ...]) -> None:
    assert help_of(words, "-h") == help_of(words)


@each_command
def test_help_says_what_every_option_does(words: tuple[str, ...]) -> None:
    command: click.Command = group
    for word in words:
        assert isinstance(command, click.Group)
        inside = command.get_command(click.Context(command), word)
        assert inside
        command = inside

    options = [part for part in command.params if isinstance(part, click.Option)]

    assert [option.name for option in options if not option.help] == []


@each_command
def test_help_ends_with_an_example_that_is_a_command_of_ours(
    words: tuple[str, ...],
) -> None:
    for program, *arguments in examples_of(words):
        assert program == "layerforge"
        parsed(arguments)  # raises where an option, a value or a command is unknown


@each_command
def test_an_example_is_of_the_command_that_it_stands_under(
    words: tuple[str, ...],
) -> None:
    begin = ("layerforge", *words)

    assert tuple(examples_of(words)[0][: len(begin)]) == begin


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["build", "--no-such-option"], id="option"),
        pytest.param(["build", "--strip", "all"], id="value"),
    ],
)
def test_a_wrong_example_would_be_noticed(words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parsed(words)


def test_commands_are_listed_in_the_order_in_which_they_are_met() -> None:
    names = [words[0] for words in COMMANDS if len(words) == 1]

    assert names == [
        "build",
        "lock",
        "plan",
        "export",
        "inspect",
        "init",
        "runtimes",
        "recipes",
        "cache",
    ]
