from __future__ import annotations

import base64
import hashlib

import pytest

from layerforge.aws.errors import NotFoundError
from layerforge.aws.session import Session
from layerforge.aws.versions import (
    LayerArn,
    get_version,
    list_layers,
    list_versions,
)
from layerforge.errors import ConfigError
from tests.aws.servers import Recorded, Reply, Server, session
from tests.aws.zips import layer_zip

REGION = "eu-west-1"


def publish(speaker: Session, name: str, content: str) -> str:
    answer = speaker.once(
        "lambda",
        REGION,
        "publish_layer_version",
        LayerName=name,
        Content={"ZipFile": layer_zip(content)},
        CompatibleRuntimes=["python3.13"],
        Description="for tests",
    )
    return str(answer["LayerVersionArn"])


def test_a_layer_that_never_was_has_no_versions(server: Server) -> None:
    assert list_versions(session(server.url), REGION, "web") == ()


def test_versions_are_listed_the_newest_first(server: Server) -> None:
    speaker = session(server.url)
    arns = [publish(speaker, "web", f"x = {number}") for number in range(3)]

    found = list_versions(speaker, REGION, "web")

    assert [version.arn for version in found] == arns[::-1]


def test_versions_of_all_pages_are_listed(recorded: Recorded) -> None:
    rows = [
        {
            "LayerVersionArn": f"arn:aws:lambda:{REGION}:123456789012:layer:web:{n}",
            "Version": n,
        }
        for n in (3, 2, 1)
    ]
    recorded.when(
        "GET",
        "/2018-10-31/layers/web/versions",
        Reply(body={"LayerVersions": rows[:2], "NextMarker": "more"}),
        Reply(body={"LayerVersions": rows[2:]}),
    )

    found = list_versions(session(recorded.url), REGION, "web")

    assert [version.version for version in found] == [3, 2, 1]


def test_a_version_is_looked_at_with_its_hash_and_size(server: Server) -> None:
    speaker = session(server.url)
    arn = publish(speaker, "web", "x = 1")
    body = layer_zip("x = 1")

    version, _ = get_version(speaker, arn)

    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert (version.code_sha256, version.zipped) == (digest, len(body))


def test_a_version_that_is_gone_is_not_found(server: Server) -> None:
    arn = f"arn:aws:lambda:{REGION}:{server.account}:layer:web:7"

    with pytest.raises(NotFoundError) as caught:
        get_version(session(server.url), arn)

    assert caught.value.action == "lambda:GetLayerVersion"


def test_layers_are_listed_in_order(server: Server) -> None:
    speaker = session(server.url)
    for name in ("web", "data"):
        publish(speaker, name, "x = 1")

    assert list_layers(speaker, REGION) == ("data", "web")


def test_an_arn_is_taken_apart() -> None:
    arn = "arn:aws-cn:lambda:cn-north-1:123456789012:layer:web:7"

    assert LayerArn.parse(arn) == LayerArn(
        layer="arn:aws-cn:lambda:cn-north-1:123456789012:layer:web",
        partition="aws-cn",
        region="cn-north-1",
        account="123456789012",
        name="web",
        version=7,
    )


def test_what_is_no_arn_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        LayerArn.parse("arn:aws:lambda:eu-west-1:123456789012:layer:web")

    assert caught.value.message == (
        "arn:aws:lambda:eu-west-1:123456789012:layer:web is not the ARN of a layer "
        "version"
    )
