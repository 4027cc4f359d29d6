"""Parameters of the Systems Manager's that hold ARNs, on moto and MiniStack."""

from __future__ import annotations

from dataclasses import replace

import pytest

from layerforge.aws.parameters import write_parameters
from layerforge.aws.session import Session
from layerforge.errors import PublishError
from layerforge.events import Event, Noted
from layerforge.handover import Parameter, parameters, places_of
from tests.aws.proxy import Fault, FaultProxy
from tests.aws.servers import Recorded, Reply, Server, session

REGION = "eu-west-1"
LAYER = "arn:aws:lambda:eu-west-1:123456789012:layer:web-python313-arm64"
FOLDER = "/layers/web/python3.13/arm64"


def wanted(version: int, *, arn: str = LAYER) -> tuple[Parameter, ...]:
    places = places_of(
        "web", f"{arn}:{version}", runtimes=["python3.13"], architectures=["arm64"]
    )
    return parameters("/layers", places)


def values(speaker: Session) -> dict[str, str]:
    pages = speaker.pages(
        "ssm", REGION, "get_parameters_by_path", Path="/layers", Recursive=True
    )
    return {row["Name"]: row["Value"] for page in pages for row in page["Parameters"]}


def test_a_version_and_the_latest_are_written(server: Server) -> None:
    speaker = session(server.url)

    written = write_parameters(speaker, REGION, wanted(7))

    assert written == wanted(7)
    assert values(speaker) == {
        f"{FOLDER}/7": f"{LAYER}:7",
        f"{FOLDER}/latest": f"{LAYER}:7",
    }


def test_a_new_version_leaves_the_one_before(server: Server) -> None:
    speaker = session(server.url)
    write_parameters(speaker, REGION, wanted(7))

    write_parameters(speaker, REGION, wanted(8))

    assert values(speaker) == {
        f"{FOLDER}/7": f"{LAYER}:7",
        f"{FOLDER}/8": f"{LAYER}:8",
        f"{FOLDER}/latest": f"{LAYER}:8",
    }


def test_what_has_its_value_is_not_written(server: Server) -> None:
    speaker = session(server.url)
    write_parameters(speaker, REGION, wanted(7))
    events: list[Event] = []

    written = write_parameters(speaker, REGION, wanted(7), events.append)

    assert (written, events) == ((), [])


def test_each_that_is_written_is_told(moto: Server) -> None:
    events: list[Event] = []

    write_parameters(session(moto.url), REGION, wanted(7), events.append)

    assert events == [
        Noted(message=f"eu-west-1: {FOLDER}/7 is {LAYER}:7"),
        Noted(message=f"eu-west-1: {FOLDER}/latest is {LAYER}:7"),
    ]


def test_more_than_one_call_takes_are_read_and_written(server: Server) -> None:
    speaker = session(server.url)
    places = places_of(
        "web",
        f"{LAYER}:7",
        runtimes=[f"python3.{minor}" for minor in range(9, 15)],
        architectures=["x86_64", "arm64"],
    )
    write_parameters(speaker, REGION, parameters("/layers", places))

    again = write_parameters(speaker, REGION, parameters("/layers", places))

    assert (len(values(speaker)), again) == (24, ())


def test_what_is_of_one_version_never_changes(server: Server) -> None:
    speaker = session(server.url)
    write_parameters(speaker, REGION, wanted(7))
    before = values(speaker)

    with pytest.raises(PublishError) as caught:
        write_parameters(speaker, REGION, wanted(7, arn=f"{LAYER}-2"))

    assert caught.value.message == (
        f"{FOLDER}/7 in eu-west-1 is {LAYER}:7, and not {LAYER}-2:7: what is of one "
        "version never changes"
    )
    assert caught.value.remedy == (
        "Take another prefix with --ssm, or delete the parameter: aws ssm "
        f"delete-parameter --region eu-west-1 --name {FOLDER}/7"
    )
    assert values(speaker) == before


class FaultAt(FaultProxy):
    """Fails one request alone, by its number: they all have one path."""

    def __init__(self, upstream: int, number: int, fault: Fault) -> None:
        super().__init__(upstream)
        self._faults = [None] * number + [fault]

    def fault(self, method: str, path: str) -> Fault | None:
        del method, path
        fault = self._faults.pop(0) if self._faults else None
        self.suffered += [fault] if fault else []
        return fault


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(
    "fault",
    [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.CUT_ANSWER, Fault.FAILED_AFTER],
    ids=lambda fault: fault.name.lower(),
)
def test_a_fault_leaves_none_out(moto: Server, fault: Fault, number: int) -> None:
    with FaultAt(moto.port, number, fault) as proxy:
        write_parameters(session(proxy.url), REGION, wanted(7))

    assert proxy.suffered == [fault]
    assert values(session(moto.url)) == {
        f"{FOLDER}/7": f"{LAYER}:7",
        f"{FOLDER}/latest": f"{LAYER}:7",
    }


def test_one_that_another_run_wrote_meanwhile_is_good(recorded: Recorded) -> None:
    version, _ = wanted(7)
    replies = [
        Reply(body={"Parameters": []}),
        Reply(
            status=400,
            body={"__type": "ParameterAlreadyExists", "message": "It exists."},
        ),
        Reply(body={"Parameters": [{"Name": version.name, "Value": version.value}]}),
    ]
    recorded.when("POST", "/", *replies)

    written = write_parameters(session(recorded.url), REGION, [version])

    assert written == (version,)


def test_one_that_another_run_wrote_otherwise_is_an_error(recorded: Recorded) -> None:
    version, _ = wanted(7)
    other = replace(version, value=f"{LAYER}-2:7")
    exists = {"__type": "ParameterAlreadyExists", "message": "It exists."}
    there = {"Parameters": [{"Name": other.name, "Value": other.value}]}
    recorded.when(
        "POST",
        "/",
        Reply(body={"Parameters": []}),
        Reply(status=400, body=exists),
        Reply(body=there),
    )

    with pytest.raises(PublishError, match="what is of one version never changes"):
        write_parameters(session(recorded.url), REGION, [version])
