from __future__ import annotations

import pytest

from layerforge.aws.names import parse_layers
from layerforge.aws.prune import look, prune
from layerforge.aws.releases import NAME
from layerforge.aws.session import Session
from layerforge.aws.versions import list_versions
from layerforge.errors import ConfigError
from tests.aws.deployed import REGION, WEB, arn_of, deploy, meant, publish
from tests.aws.proxy import Fault, FaultProxy
from tests.aws.servers import Recorded, Reply, Server, failure, session


def publish_many(speaker: Session, count: int, name: str = WEB) -> list[str]:
    return [publish(speaker, name, f"x = {number}") for number in range(count)]


def numbers(speaker: Session, name: str = WEB) -> list[int]:
    return [version.version for version in list_versions(speaker, REGION, name)]


def test_exactly_the_old_versions_are_deleted(server: Server) -> None:
    speaker = session(server.url)
    publish_many(speaker, 5)
    publish_many(speaker, 3, "web-api-python313-arm64")
    layers = parse_layers("web", NAME, speaker.account)

    pruning, failures = look(speaker, [REGION], layers, keep=2)
    pruned = prune(speaker, pruning, layers)

    assert failures == pruned.failures == {}
    assert [version.version for version in pruned.deleted] == [3, 2, 1]
    assert numbers(speaker) == [5, 4]
    assert numbers(speaker, "web-api-python313-arm64") == [3, 2, 1]


def test_what_a_function_holds_is_never_deleted(server: Server) -> None:
    speaker = session(server.url)
    arns = publish_many(speaker, 4)
    deploy(speaker, "api", arns[1])
    layers = parse_layers("web", NAME, speaker.account)

    pruning, _ = look(speaker, [REGION], layers, keep=1)
    prune(speaker, pruning, layers)

    assert [version.version for version in pruning.in_use] == [2]
    assert numbers(speaker) == [4, 2]


def test_what_a_published_version_of_a_function_holds_is_never_deleted(
    moto: Server,
) -> None:
    speaker = session(moto.url)
    arns = publish_many(speaker, 3)
    deploy(speaker, "api", arns[0], Publish=True)
    speaker.call(
        "lambda",
        REGION,
        "update_function_configuration",
        FunctionName="api",
        Layers=[arns[2]],
    )

    pruning, _ = look(speaker, [REGION], meant(), keep=1)

    assert [version.version for version in pruning.delete] == [2]
    assert [
        str(user.function) for users in pruning.in_use.values() for user in users
    ] == ["api:1"]


def test_what_a_function_came_to_hold_meanwhile_stays(server: Server) -> None:
    speaker = session(server.url)
    arns = publish_many(speaker, 3)
    layers = parse_layers("web", NAME, speaker.account)
    pruning, _ = look(speaker, [REGION], layers, keep=1)
    deploy(speaker, "api", arns[0])

    pruned = prune(speaker, pruning, layers)

    assert numbers(speaker) == [3, 1]
    assert {arn: error.message for arn, error in pruned.failures.items()} == {
        arns[0]: "api has come to hold it meanwhile"
    }


def test_a_version_published_meanwhile_stays(server: Server) -> None:
    speaker = session(server.url)
    publish_many(speaker, 2)
    layers = parse_layers("web", NAME, speaker.account)
    pruning, _ = look(speaker, [REGION], layers, keep=1)
    publish(speaker, content="x = 9")

    prune(speaker, pruning, layers)

    assert numbers(speaker) == [3, 2]


def test_nothing_is_deleted_where_functions_cannot_be_listed(
    recorded: Recorded,
) -> None:
    rows = [{"LayerVersionArn": arn_of(WEB, n), "Version": n} for n in (2, 1)]
    recorded.when(
        "GET", "/2018-10-31/layers", Reply(body={"Layers": [{"LayerName": WEB}]})
    )
    recorded.when(
        "GET",
        f"/2018-10-31/layers/{WEB}/versions",
        Reply(body={"LayerVersions": rows}),
    )
    said = "ci is not authorized to perform: lambda:ListFunctions on resource: *"
    recorded.when(
        "GET", "/2015-03-31/functions/?", failure(403, "AccessDeniedException", said)
    )

    pruning, failures = look(session(recorded.url), [REGION], meant(), keep=1)

    assert pruning.delete == ()
    assert list(failures) == [REGION]


def test_one_version_is_no_layer_to_prune(recorded: Recorded) -> None:
    with pytest.raises(ConfigError) as caught:
        look(session(recorded.url), [REGION], meant(f"{WEB}:7"), keep=1)

    assert caught.value.message == f"{WEB}:7 is one version of a layer"


@pytest.mark.parametrize(
    "fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.THROTTLED, Fault.FAILED_AFTER]
)
def test_whatever_befalls_a_deletion_what_was_shown_goes_and_nothing_else(
    ministack: Server, fault: Fault
) -> None:
    speaker = session(ministack.url)
    publish_many(speaker, 4)
    layers = parse_layers("web", NAME, speaker.account)
    pruning, _ = look(speaker, [REGION], layers, keep=2)
    with FaultProxy(ministack.port) as proxy:
        proxy.fail("DELETE", "/versions/2$", fault)

        pruned = prune(session(proxy.url, attempts=4), pruning, layers)

        assert proxy.suffered == [fault]
    assert pruned.failures == {}
    assert numbers(speaker) == [4, 3]
