"""usage, budget, attach and prune, as their users call them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from layerforge.aws.functions import get_function
from layerforge.aws.session import Session
from layerforge.aws.versions import list_versions
from layerforge.cli import group
from layerforge.errors import ConfigError
from tests.aws.deployed import REGION, WEB, deploy, publish
from tests.aws.servers import Server, session

Run = Callable[..., Any]


@pytest.fixture
def speaker(ministack: Server) -> Session:
    return session(ministack.url)


@pytest.fixture
def run(
    ministack: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a command; gives what it printed, as JSON where it was asked for."""
    monkeypatch.chdir(tmp_path)
    stored = ("--cache-dir", str(tmp_path / "cache"))

    def call(name: str, *words: str) -> Any:  # noqa: ANN401 - JSON's values
        given = [name, "--endpoint-url", ministack.url, "--region", REGION, *words]
        given += stored if name in {"attach", "budget"} else ()
        capsys.readouterr()
        status = group.main(given, standalone_mode=False)
        printed = capsys.readouterr().out
        if "--json" in words:
            return {"status": status or 0, **json.loads(printed)}
        return printed

    return call


def held(speaker: Session, name: str = "api") -> list[str]:
    return [str(layer) for layer in get_function(speaker, REGION, name).layers]


def test_usage_prints_who_holds_a_layer(speaker: Session, run: Run) -> None:
    deploy(speaker, "api", publish(speaker))

    assert run("usage", "web") == (
        "Region     function  aliases  layer\n"
        "eu-west-1  api                web-python313-arm64:1\n"
        "1 version of functions looked through\n"
    )


def test_usage_takes_the_name_from_layerforge_toml(
    speaker: Session, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "layerforge.toml").write_text(
        '[publish]\nname = "acme-{layer}"\n[layers.web]\nrequirements = ["six"]\n'
    )
    deploy(speaker, "api", publish(speaker, "acme-web"))
    deploy(speaker, "jobs", publish(speaker, WEB))

    document = run("usage", "web", "--json")

    assert [user["function"] for user in document["users"]] == ["api"]


def test_budget_prints_code_and_layers(speaker: Session, run: Run) -> None:
    arn = publish(speaker, content="x" * 3_000)
    deploy(speaker, "api", arn, content="y" * 1_000)

    document = run("budget", "--function", "api", "--json")

    (function,) = document["functions"]
    assert [part["unzipped"] for part in function["parts"]] == [1_000, 3_000]
    assert function["left"] == 262_143_999 - 4_000


def test_budget_explains_a_message(run: Run) -> None:
    said = "Unzipped size must be smaller than 53642504 bytes"

    assert run("budget", "--explain", said) == (
        "53642504 bytes are what the function's layers leave: they have 208501496 "
        "unzipped, of 262144000. The code must be smaller than the rest, or a layer "
        "must go.\n"
    )


def test_budget_says_that_a_message_is_of_something_else(run: Run) -> None:
    with pytest.raises(ConfigError) as caught:
        run("budget", "--explain", "The role can't be assumed")

    assert caught.value.message == "that is no message of Lambda's about sizes"


def test_attach_changes_one_function(speaker: Session, run: Run) -> None:
    publish(speaker)
    deploy(speaker)

    assert run("attach", "web", "--function", "api") == "1 function changed\n"
    assert held(speaker) == [f"{WEB}:1"]


def test_attach_changes_nothing_in_a_dry_run(speaker: Session, run: Run) -> None:
    publish(speaker, content="x" * 3_000)
    deploy(speaker, content="y" * 1_000)

    printed = run("attach", "web", "--function", "api", "--dry-run")

    assert printed == (
        "Region     function  layer                now  then\n"
        "eu-west-1  api       web-python313-arm64          1  ok\n"
        "api (python3.13, arm64) in eu-west-1\n"
        "  part                   zipped  unzipped  share\n"
        "  code                    1,110     1,000  25.0%\n"
        "  web-python313-arm64:1             3,000  75.0%\n"
        "  unzipped 4,000 bytes (0.0 MiB), 0.0% of Lambda's limit\n"
        "  262,139,999 bytes are left\n"
    )
    assert held(speaker) == []


def test_attach_says_that_nothing_is_to_do(speaker: Session, run: Run) -> None:
    deploy(speaker, "api", publish(speaker))

    printed = run("attach", "web", "--function", "api")

    assert printed == "no function is to change\n"


def test_attach_moves_all_users_of_a_version(speaker: Session, run: Run) -> None:
    old = publish(speaker)
    deploy(speaker, "api", old)
    deploy(speaker, "jobs", old)
    publish(speaker, content="x = 2")

    document = run("attach", "web", "--all-users", "--from", "1", "--yes", "--json")

    assert document["status"] == 0
    assert document["changed"] == ["api in eu-west-1", "jobs in eu-west-1"]
    assert held(speaker, "api") == held(speaker, "jobs") == [f"{WEB}:2"]


def test_attach_to_all_users_asks_first(speaker: Session, run: Run) -> None:
    deploy(speaker, "api", publish(speaker))
    publish(speaker, content="x = 2")

    with pytest.raises(ConfigError) as caught:
        run("attach", "web", "--all-users")

    assert caught.value.message == "nobody is there to be asked: Change 1 function?"
    assert caught.value.remedy == "Look first with --dry-run, then give --yes."
    assert held(speaker) == [f"{WEB}:1"]


def test_attach_ends_with_the_status_of_a_refusal(speaker: Session, run: Run) -> None:
    publish(speaker, runtimes=["python3.12"])
    deploy(speaker)

    document = run("attach", "web", "--function", "api", "--json")

    assert document["status"] == 6
    assert document["failures"] == {
        "api in eu-west-1": {
            "kind": "publish",
            "exit_code": 6,
            "message": "its layers stay as they are:\n  web-python313-arm64:1 is for "
            "python3.12, the function python3.13",
            "remedy": "See what it holds: layerforge budget --function api --region "
            "eu-west-1",
        }
    }
    assert held(speaker) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("web",), "say where to: --function NAME, or --all-users"),
        (
            ("web", "--function", "api", "--all-users"),
            "say where to: --function NAME, or --all-users",
        ),
        (
            ("web", "--function", "api", "--from", "3"),
            "--from goes with --all-users",
        ),
        (("web", "data", "--all-users"), "--all-users takes one layer"),
    ],
)
def test_attach_refuses_words_that_make_no_sense_together(
    run: Run, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(click.UsageError) as caught:
        run("attach", *words)

    assert caught.value.message == message


def test_prune_shows_what_would_go(speaker: Session, run: Run) -> None:
    for number in range(3):
        publish(speaker, content=f"x = {number}")

    document = run("prune", "web", "--keep", "2", "--dry-run", "--json")

    assert [arn.rpartition(":")[2] for arn in document["delete"]] == ["1"]
    assert document["deleted"] == []
    assert len(list_versions(speaker, REGION, WEB)) == 3


def test_prune_deletes_what_it_showed(speaker: Session, run: Run) -> None:
    for number in range(3):
        publish(speaker, content=f"x = {number}")

    assert run("prune", "web", "--keep", "1", "--yes") == "2 versions deleted\n"
    assert [v.version for v in list_versions(speaker, REGION, WEB)] == [3]


def test_prune_asks_first(speaker: Session, run: Run) -> None:
    for number in range(2):
        publish(speaker, content=f"x = {number}")

    with pytest.raises(ConfigError) as caught:
        run("prune", "web", "--keep", "1")

    assert caught.value.message == (
        "nobody is there to be asked: Delete 1 version for good?"
    )
    assert len(list_versions(speaker, REGION, WEB)) == 2


def test_regions_are_an_accounts_own_where_it_has_any(
    ministack: Server,
    speaker: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "layerforge.toml").write_text(
        '[publish]\nregions = ["us-east-1"]\n'
        '[publish.accounts]\nlive = { regions = ["eu-west-1"] }\n'
        '[layers.web]\nrequirements = ["six"]\n'
    )
    monkeypatch.chdir(tmp_path)
    deploy(speaker, "api", publish(speaker))
    words = [
        "usage",
        "web",
        "--account",
        "live",
        "--endpoint-url",
        ministack.url,
        "--json",
    ]

    group.main(words, standalone_mode=False)

    document = json.loads(capsys.readouterr().out)
    assert [user["region"] for user in document["users"]] == ["eu-west-1"]


def test_an_account_that_is_not_in_the_file_is_an_error(run: Run) -> None:
    with pytest.raises(ConfigError) as caught:
        run("usage", "web", "--account", "live")

    assert caught.value.message == "live is not in [publish.accounts]"


def test_without_any_region_there_is_an_error(
    ministack: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        group.main(
            ["usage", "web", "--endpoint-url", ministack.url], standalone_mode=False
        )

    assert caught.value.message == "no Region is named"


def test_the_region_of_an_arn_needs_no_other(
    ministack: Server,
    speaker: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arn = publish(speaker)
    deploy(speaker, "api", arn)
    monkeypatch.chdir(tmp_path)
    words = ["usage", arn, "--endpoint-url", ministack.url, "--json"]

    group.main(words, standalone_mode=False)

    document = json.loads(capsys.readouterr().out)
    assert [user["layer"] for user in document["users"]] == [arn]


def test_a_function_of_another_account_is_left_alone(
    speaker: Session, run: Run
) -> None:
    publish(speaker)
    deploy(speaker)
    arn = f"arn:aws:lambda:{REGION}:999999999999:function:api"

    with pytest.raises(ConfigError) as caught:
        run("attach", "web", "--function", arn)

    assert caught.value.message == (
        f"{arn} is of another account than these credentials, 000000000000"
    )
    assert held(speaker) == []
