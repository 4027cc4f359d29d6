from __future__ import annotations

from urllib.parse import parse_qs

from layerforge.aws.usage import find_users
from layerforge.events import Event, Finished, Said, Started
from layerforge.reports.usage import usage_document, usage_text
from tests.aws.deployed import (
    REGION,
    WEB,
    arn_of,
    configuration,
    deploy,
    meant,
    publish,
)
from tests.aws.servers import Asked, Recorded, Reply, Server, failure, session

FUNCTIONS = "/2015-03-31/functions"


def titles(users: object) -> list[tuple[str, str]]:
    return [(str(user.function), str(user.layer)) for user in users]  # type: ignore[attr-defined]  # of any Usage


def test_functions_with_any_version_of_a_layer_are_found(moto: Server) -> None:
    speaker = session(moto.url)
    first, second = publish(speaker), publish(speaker, content="x = 2")
    other = publish(speaker, "data")
    deploy(speaker, "api", first)
    deploy(speaker, "jobs", other, second)
    deploy(speaker, "idle", other)

    usage = find_users(speaker, [REGION], meant())

    assert titles(usage.users) == [("jobs", f"{WEB}:2"), ("api", f"{WEB}:1")]
    assert usage.functions == 3


def test_published_versions_are_found_with_their_aliases(moto: Server) -> None:
    speaker = session(moto.url)
    deploy(speaker, "api", publish(speaker), Publish=True)
    speaker.call(
        "lambda",
        REGION,
        "create_alias",
        FunctionName="api",
        Name="live",
        FunctionVersion="1",
    )

    usage = find_users(speaker, [REGION], meant())

    assert titles(usage.users) == [("api", f"{WEB}:1"), ("api:1", f"{WEB}:1")]
    assert [user.function.aliases for user in usage.users] == [(), ("live",)]


def test_an_alias_that_sends_some_requests_to_a_version_is_found(
    recorded: Recorded,
) -> None:
    functions = [configuration(arn_of(WEB, 7), Version="3")]
    alias = {
        "Name": "canary",
        "FunctionVersion": "2",
        "RoutingConfig": {"AdditionalVersionWeights": {"3": 0.1}},
    }
    recorded.when("GET", f"{FUNCTIONS}/?", Reply(body={"Functions": functions}))
    recorded.when("GET", f"{FUNCTIONS}/api/aliases", Reply(body={"Aliases": [alias]}))

    usage = find_users(session(recorded.url), [REGION], meant())

    assert [user.function.aliases for user in usage.users] == [("canary",)]


def test_all_pages_and_all_versions_are_asked_for(recorded: Recorded) -> None:
    first = {"Functions": [configuration()], "NextMarker": "more"}
    last = {"Functions": [configuration(arn_of(WEB, 7), FunctionName="jobs")]}
    recorded.when("GET", f"{FUNCTIONS}/?", Reply(body=first), Reply(body=last))
    recorded.when("GET", f"{FUNCTIONS}/jobs/aliases", Reply(body={"Aliases": []}))

    usage = find_users(session(recorded.url), [REGION], meant())

    queries = [
        parse_qs(one.query) for one in recorded.requests("GET", f"{FUNCTIONS}/?")
    ]
    assert queries == [
        {"FunctionVersion": ["ALL"]},
        {"FunctionVersion": ["ALL"], "Marker": ["more"]},
    ]
    assert titles(usage.users) == [("jobs", f"{WEB}:7")]


def test_aliases_are_asked_for_of_users_alone(recorded: Recorded) -> None:
    recorded.when("GET", f"{FUNCTIONS}/?", Reply(body={"Functions": [configuration()]}))

    find_users(session(recorded.url), [REGION], meant())

    assert recorded.requests("GET", ".*/aliases") == []


def test_a_region_that_cannot_be_looked_through_stops_no_other(
    recorded: Recorded,
) -> None:
    def answer(asked: Asked) -> Reply:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        if "us-east-1" in headers["authorization"]:
            said = "not authorized to perform: lambda:ListFunctions on resource: *"
            return failure(403, "AccessDeniedException", f"ci is {said}")
        return Reply(body={"Functions": [configuration(arn_of(WEB, 7))]})

    recorded.when("GET", f"{FUNCTIONS}/?", answer)
    recorded.when("GET", f"{FUNCTIONS}/api/aliases", Reply(body={"Aliases": []}))

    usage = find_users(session(recorded.url), ["us-east-1", REGION], meant())

    assert titles(usage.users) == [("api", f"{WEB}:7")]
    assert list(usage.failures) == ["us-east-1"]


def test_progress_is_told_by_region(recorded: Recorded) -> None:
    functions = [configuration(FunctionName=f"f{number}") for number in range(60)]
    recorded.when("GET", f"{FUNCTIONS}/?", Reply(body={"Functions": functions}))
    events: list[Event] = []

    find_users(session(recorded.url), [REGION], meant(), events.append)

    task = "functions of eu-west-1"
    assert events == [
        Started(task=task, doing="listing", done="listed"),
        Said(task=task, line="50 versions of functions"),
        Finished(task=task),
    ]


def test_the_table_has_functions_aliases_and_layers(moto: Server) -> None:
    speaker = session(moto.url)
    deploy(speaker, "api", publish(speaker))

    usage = find_users(speaker, [REGION], meant())

    assert usage_text(usage, "web") == (
        "Region     function  aliases  layer\n"
        "eu-west-1  api                web-python313-arm64:1\n"
        "1 version of functions looked through"
    )
    assert usage_document(usage) == {
        "functions": 1,
        "users": [
            {
                "region": "eu-west-1",
                "function": "api",
                "version": "$LATEST",
                "aliases": [],
                "runtime": "python3.13",
                "architecture": "arm64",
                "layer": arn_of(WEB, 1),
            }
        ],
    }


def test_a_layer_that_nobody_uses_is_said_to_be_that(moto: Server) -> None:
    usage = find_users(session(moto.url), [REGION], meant())

    assert usage_text(usage, "web") == (
        "no function holds web; 0 versions of functions looked through"
    )
