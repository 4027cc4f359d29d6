"""The options of `layerforge publish` by which ARNs are handed over."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest

from layerforge.aws.session import Session
from layerforge.cli.console import Console
from layerforge.cli.handover import (
    Handover,
    hand_over,
    handover_of,
    handover_options,
)
from layerforge.errors import ConfigError
from layerforge.events import silent
from layerforge.handover import places_of
from tests.aws.servers import Server, session

ACCOUNT = "123456789012"
ARNS = [
    f"arn:aws:lambda:{region}:{ACCOUNT}:layer:web:7"
    for region in ("us-east-1", "eu-west-1")
]
PLACES = [
    place
    for arn in ARNS
    for place in places_of("web", arn, runtimes=["python3.13"], architectures=["arm64"])
]


def asked(*words: str) -> dict[str, Any]:
    """Give a command's options as click hands them over."""

    @click.command
    @handover_options
    def command(**options: Any) -> dict[str, Any]:  # noqa: ANN401 - click's
        return options

    options: dict[str, Any] = command.main(list(words), standalone_mode=False)
    return options


def nobody(account: str) -> Session:
    raise AssertionError(account)


def test_nothing_is_handed_over_where_nobody_asked() -> None:
    options = asked()

    assert handover_of(options, json=True) == Handover()
    assert options == {}


def test_a_format_and_a_prefix_are_taken() -> None:
    handover = handover_of(asked("--output", "cdk", "--ssm", "/layers"), json=False)

    assert handover == Handover(format="cdk", prefix="/layers")


def test_two_documents_at_once_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        handover_of(asked("--output", "terraform"), json=True)

    assert caught.value.message == (
        "--json and --output terraform are asked for at once"
    )
    assert caught.value.remedy == (
        "Take one of them; --output json has the ARNs alone."
    )


def test_a_wrong_prefix_is_refused_before_anything_is_published() -> None:
    with pytest.raises(ConfigError, match="'aws' is no prefix for parameters"):
        handover_of(asked("--ssm", "aws"), json=False)


def test_arns_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    hand_over(Handover(format="json"), PLACES, nobody, Console(), silent)

    printed = json.loads(capsys.readouterr().out)
    assert sorted(row["arn"] for row in printed["layers"]) == sorted(ARNS)


def test_parameters_are_written_in_the_region_of_each_version(
    ministack: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    speaker = session(ministack.url)
    accounts: list[str] = []

    def speak_for(account: str) -> Session:
        accounts.append(account)
        return speaker

    hand_over(Handover(prefix="layers"), PLACES, speak_for, Console(), silent)

    found = [
        speaker.call(
            "ssm", region, "get_parameter", Name="/layers/web/python3.13/arm64/latest"
        )["Parameter"]["Value"]
        for region in ("us-east-1", "eu-west-1")
    ]
    assert found == ARNS
    assert accounts == [ACCOUNT, ACCOUNT]
    assert capsys.readouterr().out == ""
