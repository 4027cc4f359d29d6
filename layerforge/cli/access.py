"""Who asks AWS, in which Regions, about which layers: for the commands that do."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from layerforge.aws.names import Layers, parse_layers
from layerforge.aws.releases import NAME
from layerforge.aws.session import Access, Session
from layerforge.cli.console import Console, error_document
from layerforge.errors import ConfigError, LayerforgeError
from layerforge.events import Listener
from layerforge.spec import Project, PublishAccount, PublishSpec

F = TypeVar("F", bound=Callable[..., Any])

_ARN: Final = re.compile("arn:[^:]+:lambda:([^:]+):")


def access_options(command: F) -> F:
    """Add the options that say who asks AWS, and where."""
    for option in (
        click.option("--endpoint-url", default="", help="Ask there, not AWS itself."),
        click.option("--account", default="", help="One of [publish.accounts]."),
        click.option("--profile", default="", help="A profile of ~/.aws/config."),
        click.option(
            "--region",
            "regions",
            multiple=True,
            help="A Region, not those of layerforge.toml.",
        ),
    ):
        command = option(command)
    return command


def session_of(options: dict[str, Any], project: Project, listen: Listener) -> Session:
    """Take who asks out of a command's options; nothing is asked yet.

    An account's own Regions become those of the command, where it names none.
    """
    profile, account = options.pop("profile"), options.pop("account")
    endpoint_url = options.pop("endpoint_url")
    named = {account.name: account for account in project.accounts}
    if account and account not in named:
        raise ConfigError(
            f"{account} is not in [publish.accounts]",
            remedy=f"It has {', '.join(named)}." if named else "",
        )
    known = named.get(account, PublishAccount(name=""))
    options["regions"] = options["regions"] or known.regions
    # STS is asked in one of them: it answers for its own partition alone.
    regions = options["regions"] or project.publish.regions
    access = Access(
        profile=profile or known.profile,
        role=known.role,
        region=next(iter(regions), ""),
        endpoint_url=endpoint_url,
    )
    return Session(access, listen)


def layers_of(word: str, project: Project, session: Session) -> Layers:
    """Say which layers on AWS a word means: publish.name of its layer tells."""
    template = publish_of(word, project).name or NAME
    others = {layer.name: layer.publish.name or NAME for layer in project.layers}
    return parse_layers(word, template, session.account, others)


def publish_of(word: str, project: Project) -> PublishSpec:
    """Give how a layer is published, or the project's layers if it is none of them."""
    layer = project.layer(word.partition(":")[0])
    return layer.publish if layer else project.publish


def regions_of(
    named: tuple[str, ...], words: Sequence[str], project: Project, session: Session
) -> tuple[str, ...]:
    """Give the Regions that were named, or ARNs', or layers', or boto3's own.

    ``words`` are names and ARNs of layers and functions.
    """
    arns = [match[1] for word in words if (match := _ARN.match(word))]
    published = [
        region for word in words or [""] for region in publish_of(word, project).regions
    ]
    default = [session.default_region] if session.default_region else []
    regions = named or arns or published or default
    if not regions:
        raise ConfigError(
            "no Region is named",
            remedy="Name one: --region eu-west-1, [publish] regions in "
            "layerforge.toml, or region in ~/.aws/config.",
        )
    return tuple(dict.fromkeys(regions))


def show_failures(failures: Mapping[str, LayerforgeError], console: Console) -> None:
    """Show each with what it is of: a Region, a function, a version's ARN."""
    for place, error in failures.items():
        shown = LayerforgeError(f"{place}: {error.message}", remedy=error.remedy)
        console.error(shown)


def end_with(failures: Mapping[str, LayerforgeError]) -> None:
    """End with the first failure's exit status, if there is one."""
    for error in failures.values():
        raise click.exceptions.Exit(error.exit_code)


def ending(failures: Mapping[str, LayerforgeError], console: Console) -> None:
    """Show failures, and end with the first one's exit status, if there are any."""
    show_failures(failures, console)
    end_with(failures)


def failures_document(failures: Mapping[str, LayerforgeError]) -> dict[str, Any]:
    """Give failures by what they are of, as JSON's values."""
    return {place: error_document(error) for place, error in failures.items()}


def agreed(plan: str, question: str, console: Console, *, yes: bool) -> bool:
    """Show what is to be done and ask; ``yes`` is the answer where it was given."""
    if yes:
        console.say(plan)
        return True
    if not sys.stdin.isatty():
        raise ConfigError(
            f"nobody is there to be asked: {question}",
            remedy="Look first with --dry-run, then give --yes.",
        )
    click.echo(plan, err=True)
    return click.confirm(question, err=True)
