"""How published layers are handed over: options that `layerforge publish` takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import click

from layerforge.aws.parameters import write_parameters
from layerforge.aws.session import Session
from layerforge.cli.console import Console
from layerforge.errors import ConfigError, LayerforgeError
from layerforge.events import Listener
from layerforge.handover import Parameter, Place, parameter_prefix, parameters
from layerforge.reports.handover import HANDOVERS

F = TypeVar("F", bound=Callable[..., Any])

_output = click.option(
    "--output",
    "handover_format",
    type=click.Choice(list(HANDOVERS)),
    help="Print the ARNs for these tools.",
)
_ssm = click.option(
    "--ssm",
    "ssm_prefix",
    default="",
    metavar="PREFIX",
    help="Keep the ARNs in parameters: PREFIX/LAYER/RUNTIME/ARCH/latest.",
)


def handover_options(function: F) -> F:
    """Give a command the options of a hand-over."""
    return _output(_ssm(function))


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """To whom ARNs are handed: a format of `HANDOVERS`, and a prefix of parameters.

    What nobody asked for is ''.
    """

    format: str = ""
    prefix: str = ""


def handover_of(options: dict[str, Any], *, json: bool) -> Handover:
    """Take the options out of a command's, before anything is published.

    Raises `ConfigError` for a prefix that AWS would refuse, and where there would be
    two documents on stdout.
    """
    handover = Handover(
        format=options.pop("handover_format") or "", prefix=options.pop("ssm_prefix")
    )
    if handover.format and json:
        raise ConfigError(
            f"--json and --output {handover.format} are asked for at once",
            remedy="Take one of them; --output json has the ARNs alone.",
        )
    if handover.prefix:
        parameter_prefix(handover.prefix)
    return handover


def hand_over(
    handover: Handover,
    places: Sequence[Place],
    sessions: Callable[[str], Session],
    console: Console,
    listen: Listener,
) -> dict[str, LayerforgeError]:
    """Write the parameters, then print what was asked for; nothing, if nothing was.

    ``sessions`` gives who speaks for an account of 12 digits. Gives the failures by
    Region: what could not be written in one stops no other.
    """
    failures: dict[str, LayerforgeError] = {}
    if handover.prefix:
        failures = _write(parameters(handover.prefix, places), sessions, listen)
    if handover.format:
        console.result(HANDOVERS[handover.format](places), {})
    return failures


def _write(
    wanted: Sequence[Parameter], sessions: Callable[[str], Session], listen: Listener
) -> dict[str, LayerforgeError]:
    failures: dict[str, LayerforgeError] = {}

    def where(parameter: Parameter) -> tuple[str, str]:
        return parameter.account, parameter.region

    for (account, region), some in groupby(sorted(wanted, key=where), where):
        try:
            write_parameters(sessions(account), region, some, listen)
        except LayerforgeError as error:
            failures[f"parameters in {region} of {account}"] = error
    return failures
