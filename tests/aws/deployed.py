"""Functions and layer versions from a few words: as values, and on servers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from layerforge.aws.functions import Function, HeldLayer
from layerforge.aws.names import Layers, parse_layers
from layerforge.aws.releases import NAME
from layerforge.aws.session import Session
from layerforge.aws.versions import PublishedVersion
from tests.aws.zips import layer_zip

REGION: Final = "eu-west-1"
ACCOUNT: Final = "123456789012"
WEB: Final = "web-python313-arm64"

_TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def arn_of(
    name: str, version: int, region: str = REGION, account: str = ACCOUNT
) -> str:
    return f"arn:aws:lambda:{region}:{account}:layer:{name}:{version}"


def a_version(name: str = WEB, version: int = 7, **fields: Any) -> PublishedVersion:  # noqa: ANN401 - of any field
    region = fields.get("region", REGION)
    usual: dict[str, Any] = {
        "arn": arn_of(name, version, region),
        "layer": name,
        "region": region,
        "version": version,
        "created": "2026-11-23T10:00:00.000+0000",
        "runtimes": ("python3.13",),
        "architectures": ("arm64",),
    }
    return PublishedVersion(**usual | fields)


def a_function(*held: str, **fields: Any) -> Function:  # noqa: ANN401 - the same
    """Give the function api; ``held`` are layer versions: ``web:3``, or an ARN."""
    layers = tuple(
        HeldLayer(arn=one if one.startswith("arn:") else _own(one)) for one in held
    )
    usual: dict[str, Any] = {
        "name": "api",
        "region": REGION,
        "runtime": "python3.13",
        "architecture": "arm64",
        "layers": layers,
    }
    return Function(**usual | fields)


def meant(word: str = "web", template: str = NAME) -> Layers:
    return parse_layers(word, template, ACCOUNT)


def publish(
    session: Session,
    name: str = WEB,
    content: str = "x = 1",
    *,
    archive: bytes = b"",
    region: str = REGION,
    runtimes: Sequence[str] = ("python3.13",),
) -> str:
    """Publish a layer of one file, or a zip; gives the version's ARN."""
    answer = session.call(
        "lambda",
        region,
        "publish_layer_version",
        LayerName=name,
        Content={"ZipFile": archive or layer_zip(content)},
        CompatibleRuntimes=list(runtimes),
        CompatibleArchitectures=["arm64"],
    )
    return str(answer["LayerVersionArn"])


def deploy(
    session: Session,
    name: str = "api",
    *layers: str,
    region: str = REGION,
    content: str = "def handler(*_): pass",
    **settings: Any,  # noqa: ANN401 - CreateFunction's own
) -> None:
    """Create a function of one file."""
    _have_role(session, region)
    session.call(
        "lambda",
        region,
        "create_function",
        FunctionName=name,
        Runtime="python3.13",
        Architectures=["arm64"],
        Role=f"arn:aws:iam::{session.account}:role/api",
        Handler="api.handler",
        Code={"ZipFile": layer_zip(content, "api.py")},
        Layers=list(layers),
        **settings,
    )


def configuration(*layers: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - the API's own
    """Give a FunctionConfiguration of api, as the service answers it."""
    usual: dict[str, Any] = {
        "FunctionName": "api",
        "Version": "$LATEST",
        "Runtime": "python3.13",
        "Architectures": ["arm64"],
        "CodeSha256": "c29tZSBjb2Rl",
        "CodeSize": 900,
        "RevisionId": "one",
        "LastUpdateStatus": "Successful",
        "Layers": [{"Arn": arn, "CodeSize": 100} for arn in layers],
    }
    return usual | fields


def _own(text: str) -> str:
    name, _, version = text.partition(":")
    return arn_of(name, int(version))


def _have_role(session: Session, region: str) -> None:
    roles = session.call("iam", region, "list_roles")["Roles"]
    if not any(role["RoleName"] == "api" for role in roles):
        session.call(
            "iam",
            region,
            "create_role",
            RoleName="api",
            AssumeRolePolicyDocument=json.dumps(_TRUST),
        )
