from __future__ import annotations

import pytest

from layerforge.aws.functions import HeldLayer
from layerforge.aws.names import parse_layers
from layerforge.aws.releases import NAME
from layerforge.errors import ConfigError
from layerforge.target import Target, find_arch, load_runtimes
from tests.aws.deployed import ACCOUNT, arn_of, meant


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
@pytest.mark.parametrize("runtime", load_runtimes().values(), ids=str)
def test_a_layer_means_its_name_for_every_target(runtime: object, arch: str) -> None:
    target = Target(runtime=runtime, arch=find_arch(arch))  # type: ignore[arg-type]  # ids=str hides the type

    assert meant("web").named(f"web-{target.slug}")


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (NAME, "web"),
        (NAME, "web-nodejs22-nodejs24-x86_64"),
        ("{layer}", "web"),
        ("acme-{layer}-{arch}", "acme-web-arm64"),
        ("{layer}_{runtime}", "web_python313"),
        ("{layer}-{version}", "web-1-2-0"),
    ],
)
def test_a_layer_means_what_its_template_gives(template: str, name: str) -> None:
    assert meant("web", template).named(name)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (NAME, "web-api-python313-arm64"),
        (NAME, "web-v2-python313-arm64"),
        ("{layer}-{version}", "web-admin-1"),
        ("{layer}-{digest}", "web-v2-0123456789ab"),
        (NAME, "my-web-python313-arm64"),
        (NAME, "web-python313"),
        ("{layer}", "web-python313-arm64"),
        ("acme.{layer}", "acmexweb"),
    ],
)
def test_a_layer_means_no_other(template: str, name: str) -> None:
    assert not meant("web", template).named(name)


def test_a_name_with_a_version_means_that_version_alone() -> None:
    layers = meant("web-python313-arm64:7")

    assert HeldLayer(arn=arn_of("web-python313-arm64", 7)) in layers
    assert HeldLayer(arn=arn_of("web-python313-arm64", 6)) not in layers


def test_an_arn_means_that_version_of_its_account() -> None:
    arn = arn_of("web", 7, region="us-east-1", account="999999999999")

    layers = parse_layers(arn, NAME, ACCOUNT)

    assert HeldLayer(arn=arn) in layers
    assert HeldLayer(arn=arn_of("web", 7)) not in layers
    assert layers.region == "us-east-1"


def test_a_layer_of_another_account_is_another() -> None:
    theirs = arn_of("web-python313-arm64", 7, account="999999999999")

    assert HeldLayer(arn=theirs) not in meant("web")


def test_what_can_be_no_name_is_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        meant("web:latest")

    assert caught.value.message == "'web:latest' names no layer"
    assert caught.value.remedy == (
        "Name a layer of layerforge.toml, one on AWS (web-python313-arm64, or one of "
        "its versions, web-python313-arm64:7), or an ARN."
    )


def test_a_name_of_a_longer_layer_is_that_layers() -> None:
    others = {"web": "{layer}-{revision}", "web-admin": "{layer}-{revision}"}

    layers = parse_layers("web", others["web"], ACCOUNT, others)

    assert layers.named("web-v1")
    assert not layers.named("web-admin-v1")
