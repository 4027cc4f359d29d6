"""Where published layers are, for whoever deploys the functions that use them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from layerforge.errors import ConfigError

# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
_PREFIX: Final = re.compile(r"(?:/[a-zA-Z0-9_.-]+)+")
_RESERVED: Final = re.compile(r"/(?:aws|ssm)", re.IGNORECASE)
_LEVELS: Final = 15
_NAME_LENGTH: Final = 1011  # characters, those of the parameter's ARN among them
_OWN_LEVELS: Final = 4  # layer, runtime, architecture, version
_ROOM: Final = 300  # characters that those, and the beginning of an ARN, can have


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """One layer for one target, in one Region of one account: which version is there.

    ``layer`` is its name in layerforge.toml; ``runtime`` and ``architecture`` are as
    Lambda has them.
    """

    layer: str
    runtime: str
    architecture: str
    account: str
    region: str
    version: int
    arn: str


def places_of(
    layer: str,
    arn: str,
    *,
    runtimes: Iterable[str],
    architectures: Iterable[str],
) -> tuple[Place, ...]:
    """Give a place for each target that the version with this ARN is for."""
    architectures = tuple(architectures)
    _, _, _, region, account, _, _, version = arn.split(":")
    return tuple(
        Place(
            layer=layer,
            runtime=runtime,
            architecture=architecture,
            account=account,
            region=region,
            version=int(version),
            arn=arn,
        )
        for runtime in runtimes
        for architecture in architectures
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of the Systems Manager's, in a Region of an account.

    One that is ``fixed`` never gets another value.
    """

    account: str
    region: str
    name: str
    value: str
    fixed: bool


def parameters(prefix: str, places: Iterable[Place]) -> tuple[Parameter, ...]:
    """Name the parameters that hold ARNs: ``PREFIX/LAYER/RUNTIME/ARCH/VERSION``.

    Each stands before its ``…/latest``, so that who follows the latter finds both.
    Raises `ConfigError` for a prefix that the Systems Manager would refuse.
    """
    prefix = parameter_prefix(prefix)
    return tuple(
        Parameter(
            account=place.account,
            region=place.region,
            name=f"{prefix}/{place.layer}/{place.runtime}/{place.architecture}/{last}",
            value=place.arn,
            fixed=last != "latest",
        )
        for place in sorted(places)
        for last in (str(place.version), "latest")
    )


def parameter_prefix(prefix: str) -> str:
    """Give a prefix of parameters in its one form: ``/layers``, with no slash behind.

    Raises `ConfigError` where the Systems Manager would refuse it.
    """
    whole = f"/{prefix.strip('/')}"
    if not _PREFIX.fullmatch(whole):
        wrong = "has letters, digits, '_', '.' and '-' between its slashes"
    elif _RESERVED.match(whole):
        wrong = "does not begin with aws or ssm, which AWS keeps for itself"
    elif whole.count("/") > _LEVELS - _OWN_LEVELS:
        wrong = f"has at most {_LEVELS - _OWN_LEVELS} levels"
    elif len(whole) > _NAME_LENGTH - _ROOM:
        wrong = f"has at most {_NAME_LENGTH - _ROOM} characters"
    else:
        return whole
    raise ConfigError(
        f"{prefix!r} is no prefix for parameters: such a name {wrong}",
        remedy="Take one such as /layers: --ssm /layers",
    )
