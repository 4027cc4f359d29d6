"""What tests of AWS start from: servers of their own, and nothing of the machine's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.aws import servers
from tests.aws.servers import CREDENTIALS, Recorded, Server


@pytest.fixture(autouse=True)
def _nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have boto3 find made-up credentials, and no Region or endpoint."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Server]:
    with servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def ministack_server() -> Iterator[Server]:
    with servers.ministack() as server:
        yield server


@pytest.fixture
def moto(moto_server: Server) -> Server:
    """A moto_server that knows nothing yet."""
    moto_server.reset()
    return moto_server


@pytest.fixture
def ministack(ministack_server: Server) -> Server:
    """A MiniStack that knows nothing yet."""
    ministack_server.reset()
    return ministack_server


@pytest.fixture(params=["moto", "ministack"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the two."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """A server that says what the test has it say."""
    with Recorded() as server:
        yield server
