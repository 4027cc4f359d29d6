"""User and password of an index go to that index, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import TARGET, Outcome, Program, files_below
from tests.servers import Fault, Index

WEB = ("-r", "requirements.in", "--name", "web", *TARGET)
USER, PASSWORD = "robot", "s3cr3t"
SECRETS = (PASSWORD, "cm9ib3Q6czNjcjN0")  # the second is what Basic makes of both


@pytest.fixture
def private(web: Program, shelf: Path) -> Iterator[Program]:
    with Index(shelf, credentials=(USER, PASSWORD)) as index:
        url = index.simple_url.replace("://", f"://{USER}:{PASSWORD}@")
        yield web.elsewhere(index=index, index_url=url)


def refuse_secrets(program: Program, *ran: Outcome) -> None:
    told = [text for each in ran for text in (each.stdout, each.stderr)]
    # uv's own cache is uv's: what layerforge keeps is looked at.
    kept = {
        path: data
        for folder in (program.folder, program.cache)
        for path, data in files_below(folder).items()
        if not path.startswith("uv/")
    }
    for secret in SECRETS:
        assert not [text for text in told if secret in text]
        assert not [path for path, data in kept.items() if secret.encode() in data]


def test_are_used_and_never_told(private: Program) -> None:
    locked = private("lock", *WEB, "-v")
    built = private("build", *WEB, "-v")
    planned = private("plan", *WEB, "--json")
    exported = private("export", *WEB)

    assert [each.status for each in (locked, built, planned, exported)] == [0] * 4
    refuse_secrets(private, locked, built, planned, exported)


def test_are_not_told_where_the_index_fails(private: Program) -> None:
    locked = private("lock", *WEB)
    failing = [Fault(status=404)] * 9
    private.index.script("/files/demo-1.0-py3-none-any.whl", *failing)

    built = private("build", *WEB, "-v")

    assert (locked.status, built.status) == (0, 4)
    refuse_secrets(private, locked, built)


def test_are_not_told_where_they_are_wrong(private: Program) -> None:
    other = private.elsewhere(index_url=private.index_url.replace(USER, "another"))

    ran = other("lock", *WEB, "-v")

    assert ran.status == 3
    refuse_secrets(private, ran)


def test_are_not_told_where_there_is_no_such_package(private: Program) -> None:
    private.write("requirements.in", "nothing-of-that-name\n")

    ran = private("lock", *WEB)

    assert ran.status == 3
    refuse_secrets(private, ran)
