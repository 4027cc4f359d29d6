"""layerforge check."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerforge.check import Survey
from layerforge.check.survey import survey
from layerforge.cli.console import Console
from layerforge.cli.findings import painted
from layerforge.cli.options import console_of, console_options
from layerforge.errors import ConfigError, LayerforgeError
from layerforge.project import find_project
from layerforge.reports.paths import shown_path
from layerforge.reports.standings import (
    check_commands,
    check_document,
    check_markdown,
    check_text,
    error_command,
    error_markdown,
    workflow_command,
)
from layerforge.spec import Project

if TYPE_CHECKING:
    from layerforge.check.cost import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What there is to print, and of which project."""

    project: Project
    check: Survey
    cost: Cost | None
    status: int


@click.command("check", epilog="Try: layerforge check --against main")
@click.argument("names", nargs=-1, metavar="[LAYER | FUNCTION]...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "github"]),
    help="For people, programs, pull requests, or annotations.",
)
@click.option("--against", metavar="REV", help="Say what changes since a revision.")
@click.option(
    "--project",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder of layerforge.toml, if you stand elsewhere.",
)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@console_options
def command(names: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """See whether locks are fresh, and layers and functions within their limits.

    Only layerforge.toml, requirements and locks are read, and nothing is asked of a
    network. Ends with 3 where a lock is missing or stale, with 5 where a limit is
    exceeded.
    """
    console = console_of(options)
    form = options["form"] or ("json" if console.json else "text")
    console = replace(console, json=console.json or form == "json")
    try:
        _refuse_mixture(form, console, options["against"])
        folder = (options["folder"] or Path()).absolute()
        answer = _answer(names, folder, options["against"], strict=options["strict"])
    except LayerforgeError as error:
        if form in _ERRORS and not console.json:
            console.result(_ERRORS[form](error), None)
        console.fail(error)
    if text := _FORMS[form](answer, console):
        console.result(text, _document(answer))
    raise click.exceptions.Exit(answer.status)


def _refuse_mixture(form: str, console: Console, revision: str | None) -> None:
    """Raise `ConfigError` for options that say two things, or nothing."""
    if console.json and form != "json":
        raise ConfigError(
            f"--json and --format {form} are asked for at once",
            remedy="Leave one of them out.",
        )
    if revision is not None and not revision.strip():
        raise ConfigError(
            "--against names no revision",
            remedy="Name a branch, a tag or a commit; in a script, see that its "
            "variable is set.",
        )


def _answer(
    names: tuple[str, ...], folder: Path, revision: str | None, *, strict: bool
) -> _Answer:
    project = find_project(folder)
    if project.file is None:
        where = "here" if folder == Path.cwd() else f"in {shown_path(folder)}"
        raise ConfigError(
            f"there is no layerforge.toml {where} or in a folder above",
            remedy="Name its folder (--project FOLDER), or make one: layerforge init",
        )
    if not project.layers and not project.functions:
        raise ConfigError(
            f"{shown_path(project.file)} has neither layers nor functions",
            remedy="See how they are written: layerforge init, in an empty folder",
        )
    check = survey(project, folder, datetime.now(UTC).date(), names)
    cost = None
    if revision:
        from layerforge.check.cost import cost_since  # noqa: PLC0415 - asked for by few
        from layerforge.check.history import read_past  # noqa: PLC0415 - as above

        past = read_past(project, revision)
        cost = cost_since(past, check, gone=not names)
    status = check.status(strict=strict)
    return _Answer(project=project, check=check, cost=cost, status=status)


def _text(answer: _Answer, console: Console) -> str:
    text = check_text(answer.check, quiet=console.quiet, verbose=console.verbose)
    if answer.cost:
        from layerforge.reports.cost import cost_text  # noqa: PLC0415 - as above

        text = "\n\n".join(filter(None, [text, cost_text(answer.cost)]))
    return painted(text, terminal=sys.stdout.isatty())


def _markdown(answer: _Answer, _console: Console) -> str:
    text = check_markdown(answer.check)
    if answer.cost:
        from layerforge.reports.cost import cost_markdown  # noqa: PLC0415 - as above

        text += f"\n\n{cost_markdown(answer.cost)}"
    return text


def _github(answer: _Answer, _console: Console) -> str:
    file = answer.project.file
    name = _from_repository(file) if file else ""
    text = file.read_text(encoding="utf-8") if file else ""
    lines = check_commands(answer.check, name, text)
    if answer.cost:
        from layerforge.reports.cost import cost_text  # noqa: PLC0415 - as above

        told = cost_text(answer.cost)
        title = f"layerforge: since {answer.cost.revision}"
        lines.append(workflow_command("notice", told, file=name, title=title))
    return "\n".join(lines)


def _from_repository(file: Path) -> str:
    """Name a file as GitHub does: from the repository's root."""
    roots = (folder for folder in file.parents if (folder / ".git").exists())
    root = next(roots, Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()))
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def _github_error(error: LayerforgeError) -> str:
    """Annotate the file that a message begins with, if it begins with one."""
    file = Path(re.split(r":|, line | is not TOML", error.message, maxsplit=1)[0])
    return error_command(error, _from_repository(file) if file.is_file() else "")


def _document(answer: _Answer) -> dict[str, Any]:
    document = {"format": 1, "status": answer.status, **check_document(answer.check)}
    if answer.cost:
        from layerforge.reports.cost import cost_document  # noqa: PLC0415 - as above

        document["since"] = cost_document(answer.cost)
    return document


_FORMS = {
    "text": _text,
    "json": lambda _answer, _console: "JSON",  # made of the document
    "markdown": _markdown,
    "github": _github,
}
# What stderr says is seen by nobody where annotations or comments are.
_ERRORS = {"github": _github_error, "markdown": error_markdown}
