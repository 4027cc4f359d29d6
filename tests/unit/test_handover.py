from __future__ import annotations

import ast
import json
from typing import Final

import pytest

from layerforge.errors import ConfigError
from layerforge.handover import Place, parameter_prefix, parameters, places_of
from layerforge.reports.handover import (
    HANDOVERS,
    handover_cdk,
    handover_cloudformation,
    handover_json,
)

ONE: Final = "123456789012"
OTHER: Final = "210987654321"


def arn_of(name: str, region: str = "eu-west-1", account: str = ONE) -> str:
    return f"arn:aws:lambda:{region}:{account}:layer:{name}:7"


def web(region: str = "eu-west-1", account: str = ONE) -> tuple[Place, ...]:
    return places_of(
        "web",
        arn_of("web-python313-x86_64", region, account),
        runtimes=["python3.13"],
        architectures=["x86_64"],
    )


PLACES: Final = (
    *web("us-east-1"),
    *web("eu-west-1"),
    *web("eu-west-1", OTHER),
    *places_of(
        "pg-redis",
        arn_of("pg-redis-nodejs22-arm64"),
        runtimes=["nodejs22.x"],
        architectures=["arm64"],
    ),
)

each_format = pytest.mark.parametrize("name", list(HANDOVERS))


def test_a_version_is_in_a_place_for_each_of_its_targets() -> None:
    places = places_of(
        "web",
        arn_of("web"),
        runtimes=["nodejs22.x", "nodejs24.x"],
        architectures=["arm64", "x86_64"],
    )

    assert [(place.runtime, place.architecture) for place in places] == [
        ("nodejs22.x", "arm64"),
        ("nodejs22.x", "x86_64"),
        ("nodejs24.x", "arm64"),
        ("nodejs24.x", "x86_64"),
    ]
    assert {(place.region, place.account, place.version) for place in places} == {
        ("eu-west-1", ONE, 7)
    }


@each_format
def test_the_text_is_the_same_in_whatever_order_layers_came(name: str) -> None:
    assert HANDOVERS[name](PLACES[::-1]) == HANDOVERS[name](PLACES)


def test_json_has_a_row_for_each_place() -> None:
    document = json.loads(handover_json(PLACES))

    assert document["format"] == 1
    assert len(document["layers"]) == len(PLACES)
    assert document["layers"][0] == {
        "layer": "pg-redis",
        "runtime": "nodejs22.x",
        "architecture": "arm64",
        "account": ONE,
        "region": "eu-west-1",
        "version": 7,
        "arn": arn_of("pg-redis-nodejs22-arm64"),
    }


def test_cloudformation_has_a_mapping_for_each_target() -> None:
    assert handover_cloudformation(web()) == (
        "# Layers that layerforge published, by Region and account\n"
        "Mappings:\n"
        "  WebPython313X8664:\n"
        "    eu-west-1:\n"
        f'      "{ONE}": "{arn_of("web-python313-x86_64")}"'
    )


def test_cdk_constants_are_python() -> None:
    module = ast.parse(handover_cdk(PLACES))

    constants = {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in module.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
    }
    name = "web-python313-x86_64"
    assert constants == {
        "PG_REDIS_NODEJS22_ARM64": {
            ONE: {"eu-west-1": arn_of("pg-redis-nodejs22-arm64")}
        },
        "WEB_PYTHON313_X86_64": {
            ONE: {
                "eu-west-1": arn_of(name),
                "us-east-1": arn_of(name, "us-east-1"),
            },
            OTHER: {"eu-west-1": arn_of(name, account=OTHER)},
        },
    }


def test_a_constant_never_begins_with_a_digit() -> None:
    places = places_of(
        "3d", arn_of("3d"), runtimes=["python3.13"], architectures=["arm64"]
    )

    assert "\nLAYER_3D_PYTHON313_ARM64 = {\n" in handover_cdk(places)


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("cloudformation", "WebApiPython313Arm64"),
        ("cdk", "WEB_API_PYTHON313_ARM64"),
    ],
)
def test_two_layers_that_would_have_one_name_are_refused(
    name: str, shared: str
) -> None:
    places = [
        place
        for layer in ("web-api", "web_api")
        for place in places_of(
            layer, arn_of(layer), runtimes=["python3.13"], architectures=["arm64"]
        )
    ]

    with pytest.raises(ConfigError) as caught:
        HANDOVERS[name](places)

    assert caught.value.message == (
        "web-api-python313-arm64 and web_api-python313-arm64 would both be named "
        f"{shared}"
    )
    assert caught.value.remedy == (
        "Rename one of the layers, or hand over as json or terraform."
    )


def test_a_version_has_a_parameter_of_its_own_and_then_the_latest() -> None:
    rows = [(row.name, row.fixed) for row in parameters("/layers", web())]

    assert rows == [
        ("/layers/web/python3.13/x86_64/7", True),
        ("/layers/web/python3.13/x86_64/latest", False),
    ]


@pytest.mark.parametrize("prefix", ["layers/prod", "/layers/prod", "/layers/prod/"])
def test_a_prefix_has_one_form(prefix: str) -> None:
    assert parameter_prefix(prefix) == "/layers/prod"


@pytest.mark.parametrize(
    ("prefix", "wrong"),
    [
        ("/", "has letters, digits, '_', '.' and '-' between its slashes"),
        ("/a//b", "has letters, digits, '_', '.' and '-' between its slashes"),
        ("/a b", "has letters, digits, '_', '.' and '-' between its slashes"),
        ("/AWS-layers", "does not begin with aws or ssm, which AWS keeps for itself"),
        ("ssm/layers", "does not begin with aws or ssm, which AWS keeps for itself"),
        ("/a" * 12, "has at most 11 levels"),
        ("/" + "a" * 711, "has at most 711 characters"),
    ],
)
def test_a_prefix_that_aws_would_refuse(prefix: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parameter_prefix(prefix)

    assert caught.value.message == (
        f"{prefix!r} is no prefix for parameters: such a name {wrong}"
    )
    assert caught.value.remedy == "Take one such as /layers: --ssm /layers"
