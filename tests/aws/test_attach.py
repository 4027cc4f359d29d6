from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from layerforge.aws.attach import attach
from layerforge.aws.attachment import Attachment, Wish, plan_attachment
from layerforge.aws.budget import Budget, explain, measure
from layerforge.aws.errors import AwsError, NotFoundError
from layerforge.aws.functions import Function, get_function, read_function
from layerforge.aws.moves import (
    Means,
    carry_out,
    parse_old,
    plan_functions,
    plan_users,
    refused,
)
from layerforge.aws.names import Layers, parse_layers
from layerforge.aws.releases import NAME
from layerforge.aws.session import Session
from layerforge.errors import PublishError
from layerforge.events import Event, Noted
from layerforge.store import Store
from tests.aws.deployed import (
    REGION,
    WEB,
    a_version,
    arn_of,
    configuration,
    deploy,
    meant,
    publish,
)
from tests.aws.proxy import Fault, FaultProxy
from tests.aws.servers import Recorded, Reply, Server, failure, session

CONFIGURATION = "/2015-03-31/functions/api/configuration"
STALE = failure(
    412,
    "PreconditionFailedException",
    "The Revision Id provided does not match the latest Revision Id. Call the "
    "GetFunction/GetAlias API to retrieve the latest Revision Id",
)
BUSY = failure(
    409,
    "ResourceConflictException",
    "The operation cannot be performed at this time. An update is in progress for "
    "resource: arn:aws:lambda:eu-west-1:123456789012:function:api",
)


def unmeasured(function: Function) -> Budget:
    return Budget(function=function, parts=())


def at_once(_seconds: float) -> None:
    """Wait for nothing."""


def planned_for(*layers: str, **fields: str) -> Attachment:
    function = read_function(REGION, configuration(*layers, **fields))
    wish = Wish(version=a_version(), layers=meant())
    return plan_attachment(function, [wish], unmeasured)


def state(*layers: str, **fields: str) -> Reply:
    return Reply(body=configuration(*layers, **fields))


def do(
    recorded: Recorded,
    planned: Attachment,
    listen: Callable[[Event], None] = lambda _event: None,
) -> Attachment:
    speaker = session(recorded.url, attempts=1)
    return attach(speaker, planned, unmeasured, listen, sleep=at_once)


def updates(recorded: Recorded) -> list[dict[str, object]]:
    return [json.loads(one.body) for one in recorded.requests("PUT", CONFIGURATION)]


def test_the_layers_are_sent_with_the_revision_that_was_read(
    recorded: Recorded,
) -> None:
    recorded.when("GET", CONFIGURATION, state(RevisionId="seven"))
    recorded.when("PUT", CONFIGURATION, state())

    do(recorded, planned_for())

    assert updates(recorded) == [{"Layers": [arn_of(WEB, 7)], "RevisionId": "seven"}]


def test_an_update_is_waited_for(recorded: Recorded) -> None:
    recorded.when(
        "GET",
        CONFIGURATION,
        state(),
        state(LastUpdateStatus="InProgress"),
        state(LastUpdateStatus="InProgress"),
        state(arn_of(WEB, 7)),
    )
    recorded.when("PUT", CONFIGURATION, state(LastUpdateStatus="InProgress"))

    do(recorded, planned_for())

    assert len(recorded.requests("GET", CONFIGURATION)) == 4


def test_an_update_of_somebody_elses_is_waited_for_first(recorded: Recorded) -> None:
    recorded.when("GET", CONFIGURATION, state(LastUpdateStatus="InProgress"), state())
    recorded.when("PUT", CONFIGURATION, state())

    do(recorded, planned_for())

    methods = [asked.method for asked in recorded.asked]
    assert methods == ["GET", "GET", "PUT", "GET"]


def test_an_update_that_fails_is_an_error_with_lambdas_reason(
    recorded: Recorded,
) -> None:
    why = (
        "Function code combined with layers exceeds the maximum allowed size of "
        "262144000 bytes. The actual size is 262144009 bytes."
    )
    recorded.when(
        "GET",
        CONFIGURATION,
        state(),
        state(LastUpdateStatus="Failed", LastUpdateStatusReason=why),
    )
    recorded.when("PUT", CONFIGURATION, state())

    with pytest.raises(PublishError) as caught:
        do(recorded, planned_for())

    assert caught.value.message == f"api in eu-west-1: the update failed: {why}"
    assert caught.value.remedy == (
        "The code and all layers have 262144009 bytes together, unzipped: 10 too many. "
        'Lambda\'s "250 MB" are 262144000 bytes, and a function with its layers must '
        "be smaller."
    )


def test_a_refusal_for_size_is_explained(recorded: Recorded) -> None:
    said = "Layers consume more than the available size of 262144000 bytes"
    recorded.when("GET", CONFIGURATION, state())
    recorded.when(
        "PUT", CONFIGURATION, failure(400, "InvalidParameterValueException", said)
    )

    with pytest.raises(PublishError) as caught:
        do(recorded, planned_for())

    assert caught.value.message == (
        f"lambda:UpdateFunctionConfiguration in eu-west-1: {said} "
        "(InvalidParameterValueException)"
    )
    assert caught.value.remedy.startswith("The layers alone have 262144000 bytes")


def test_another_change_meanwhile_is_read_again_and_said(recorded: Recorded) -> None:
    recorded.when(
        "GET", CONFIGURATION, state(), state(arn_of("data", 1), RevisionId="two")
    )
    recorded.when("PUT", CONFIGURATION, STALE, state())
    events: list[Event] = []

    do(recorded, planned_for(), events.append)

    assert updates(recorded) == [
        {"Layers": [arn_of(WEB, 7)], "RevisionId": "one"},
        {"Layers": [arn_of("data", 1), arn_of(WEB, 7)], "RevisionId": "two"},
    ]
    assert [event for event in events if isinstance(event, Noted)] == [
        Noted(message="api in eu-west-1 was changed meanwhile; reading it again"),
        Noted(
            message="api in eu-west-1 is no longer what it was: planned again for what "
            "it holds now",
            warning=True,
        ),
    ]


def test_a_change_meanwhile_that_rules_it_out_is_an_error(recorded: Recorded) -> None:
    recorded.when("GET", CONFIGURATION, state(Runtime="python3.14"))

    with pytest.raises(PublishError) as caught:
        do(recorded, planned_for())

    assert caught.value.message == (
        "its layers stay as they are:\n"
        f"  {WEB}:7 is for python3.13, the function python3.14"
    )
    assert updates(recorded) == []


def test_an_update_whose_answer_was_lost_is_not_made_again(recorded: Recorded) -> None:
    recorded.when("GET", CONFIGURATION, state(), state(arn_of(WEB, 7)))
    recorded.when("PUT", CONFIGURATION, STALE)
    events: list[Event] = []

    done = do(recorded, planned_for(), events.append)

    assert len(updates(recorded)) == 1
    assert not done.changes
    assert not any(isinstance(one, Noted) and one.warning for one in events)


def test_a_conflict_is_tried_again(recorded: Recorded) -> None:
    recorded.when("GET", CONFIGURATION, state())
    recorded.when("PUT", CONFIGURATION, BUSY, state())

    do(recorded, planned_for())

    assert len(updates(recorded)) == 2


def test_conflicts_without_end_are_an_error(recorded: Recorded) -> None:
    recorded.when("GET", CONFIGURATION, state())
    recorded.when("PUT", CONFIGURATION, BUSY)

    with pytest.raises(PublishError) as caught:
        do(recorded, planned_for())

    assert caught.value.message == (
        "api in eu-west-1: others changed it 5 times while its layers were to be "
        "changed"
    )


# -- many functions ------------------------------------------------------------------


@pytest.fixture
def means(ministack: Server, tmp_path: Path) -> Means:
    speaker = session(ministack.url)
    return Means(
        session=speaker,
        regions=(REGION,),
        measure=partial(measure, speaker, store=Store(tmp_path)),
    )


def zeros(size: int) -> bytes:
    """Make a small zip of a large file."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("python/zeros", "w") as file,
    ):
        for _ in range(0, size, 1_000_000):
            file.write(bytes(1_000_000))
    return stream.getvalue()


def held(speaker: Session, name: str = "api") -> list[str]:
    function = get_function(speaker, REGION, name)
    return [str(layer) for layer in function.layers]


def own(means: Means) -> Layers:
    return parse_layers("web", NAME, means.session.account)


def test_a_function_gets_the_newest_version_for_its_runtime(means: Means) -> None:
    publish(means.session, "web-python312-arm64", runtimes=["python3.12"])
    publish(means.session)
    publish(means.session, content="x = 2")
    deploy(means.session)

    moves = plan_functions(means, ["api"], [own(means)])
    carry_out(means, moves)

    assert held(means.session) == [f"{WEB}:2"]


def test_a_function_is_found_by_its_arn(means: Means) -> None:
    publish(means.session)
    deploy(means.session)
    arn = f"arn:aws:lambda:{REGION}:{means.session.account}:function:api"

    moves = plan_functions(means, [arn], [own(means)])

    assert [str(one.function) for one in moves.planned] == ["api"]


def test_a_function_that_is_nowhere_is_an_error(means: Means) -> None:
    publish(means.session)

    with pytest.raises(NotFoundError):
        plan_functions(means, ["nobody"], [own(means)])


def test_all_users_of_an_old_version_move(means: Means) -> None:
    old = publish(means.session)
    deploy(means.session, "api", old)
    deploy(means.session, "jobs", old)
    deploy(means.session, "idle")
    publish(means.session, content="x = 2")

    moves = plan_users(means, own(means), parse_old("1", own(means), NAME))
    done, failures = carry_out(means, moves)

    assert {one.function.name for one in done} == {"api", "jobs"}
    assert failures == {}
    assert held(means.session, "api") == held(means.session, "jobs") == [f"{WEB}:2"]
    assert held(means.session, "idle") == []


def test_users_of_other_versions_stay(means: Means) -> None:
    publish(means.session)
    second = publish(means.session, content="x = 2")
    deploy(means.session, "api", second)
    publish(means.session, content="x = 3")

    moves = plan_users(means, own(means), parse_old("1", own(means), NAME))

    assert moves.planned == ()


def test_one_functions_failure_stops_no_other(means: Means) -> None:
    old = publish(means.session)
    deploy(means.session, "api", old)
    deploy(means.session, "jobs", old)
    publish(means.session, content="x = 2")
    moves = plan_users(means, own(means), parse_old("", own(means), NAME))
    means.session.call("lambda", REGION, "delete_function", FunctionName="jobs")

    _, failures = carry_out(means, moves)

    assert list(failures) == ["jobs in eu-west-1"]
    assert held(means.session, "api") == [f"{WEB}:2"]


def test_a_plan_that_cannot_be_is_told_and_left_out(means: Means) -> None:
    publish(means.session)
    deploy(means.session)
    means.session.call(
        "lambda",
        REGION,
        "update_function_configuration",
        FunctionName="api",
        Runtime="python3.12",
    )

    moves = plan_functions(means, ["api"], [own(means)])

    (error,) = refused(moves).values()
    assert error.message == (
        "its layers stay as they are:\n"
        f"  {WEB}:1 is for python3.13, the function python3.12"
    )
    assert held(means.session) == []


def test_what_would_be_too_large_is_refused_as_the_service_does(means: Means) -> None:
    archive = zeros(140_000_000)
    first = publish(means.session, "data", archive=archive)
    deploy(means.session, "api", first)
    second = publish(means.session, archive=archive)

    (planned,) = plan_functions(means, ["api"], [own(means)]).planned
    with pytest.raises(AwsError) as caught:
        means.session.call(
            "lambda",
            REGION,
            "update_function_configuration",
            FunctionName="api",
            Layers=[first, second],
        )

    (refusal,) = planned.refusals
    assert refusal.startswith("280000021 bytes unzipped, 17856022 too many: ")
    assert explain(caught.value.message)


def test_published_versions_of_functions_stay_and_are_told(
    moto: Server,
) -> None:
    speaker = session(moto.url)
    means = Means(
        session=speaker,
        regions=(REGION,),
        measure=unmeasured,
    )
    old = publish(speaker)
    deploy(speaker, "api", old, Publish=True)
    publish(speaker, content="x = 2")

    moves = plan_users(means, own(means), parse_old(old, own(means), NAME))

    assert [str(user.function) for user in moves.fixed] == ["api:1"]
    assert [str(one.function) for one in moves.planned] == ["api"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.CUT_BEFORE,
        Fault.CUT_REQUEST,
        Fault.CUT_AFTER,
        Fault.CUT_ANSWER,
        Fault.THROTTLED,
        Fault.FAILED_BEFORE,
        Fault.FAILED_AFTER,
    ],
    ids=lambda fault: fault.name,
)
def test_whatever_befalls_an_update_the_function_holds_the_layer_once(
    ministack: Server, fault: Fault, tmp_path: Path
) -> None:
    speaker = session(ministack.url)
    publish(speaker)
    deploy(speaker, "api")
    with FaultProxy(ministack.port) as proxy:
        faulty = session(proxy.url, attempts=4)
        weigh = partial(measure, faulty, store=Store(tmp_path))
        means = Means(session=faulty, regions=(REGION,), measure=weigh)
        moves = plan_functions(means, ["api"], [own(means)])
        proxy.fail("PUT", "/configuration$", fault)

        _, failures = carry_out(means, moves)

        assert proxy.suffered == [fault]
    assert failures == {}
    assert held(speaker) == [f"{WEB}:1"]
