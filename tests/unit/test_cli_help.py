"""Every command's help: it fits a terminal, and ends with an example that works."""

from __future__ import annotations

import shlex
from typing import Final

import click
import pytest
from click.testing import CliRunner

from layerforge.cli import group
from layerforge.target import find_arch, find_runtime
from tests.commands import Words, all_commands, parsed

WIDTH: Final = 80
COMMANDS: Final = all_commands()
each_command = pytest.mark.parametrize(
    "words", COMMANDS, ids=lambda words: " ".join(words) or "layerforge"
)


def help_of(words: Words, option: str = "--help") -> str:
    result = CliRunner().invoke(
        group, [*words, option], prog_name="layerforge", terminal_width=WIDTH
    )
    assert result.exit_code == 0
    return result.output


def examples_of(words: Words) -> list[list[str]]:
    """Give the command lines that a help ends with, in words."""
    last = help_of(words).rstrip().rpartition("\n\n")[2]
    assert last.startswith("  Try: ")
    joined = " ".join(last.removeprefix("  Try: ").split())
    return [shlex.split(line) for line in joined.split(" && ")]


@each_command
def test_help_fits_a_terminal(words: Words) -> None:
    lines = help_of(words).splitlines()

    assert [line for line in lines if len(line) > WIDTH] == []


@each_command
def test_the_short_option_gives_the_same_help(words: Words) -> None:
    assert help_of(words, "-h") == help_of(words)


@each_command
def test_help_says_what_every_option_does(words: Words) -> None:
    options = [
        part for part in COMMANDS[words].params if isinstance(part, click.Option)
    ]

    assert [option.name for option in options if not option.help] == []


@each_command
def test_help_ends_with_an_example_that_is_a_command_of_ours(
    words: Words,
) -> None:
    for program, *arguments in examples_of(words):
        assert program == "layerforge"
        values = parsed(arguments)  # raises where a command, option or value is unknown
        for runtime in values.get("runtime", ()):
            find_runtime(runtime)
        for arch in values.get("arch", ()):
            find_arch(arch)


@each_command
def test_an_example_is_of_the_command_that_it_stands_under(
    words: Words,
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
        "size",
        "check",
        "plan",
        "export",
        "inspect",
        "verify",
        "explain",
        "publish",
        "list",
        "budget",
        "usage",
        "attach",
        "prune",
        "diff",
        "init",
        "runtimes",
        "recipes",
        "images",
        "cache",
    ]
