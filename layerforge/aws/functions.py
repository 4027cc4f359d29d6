"""Functions as they are deployed: what they run on, and the layers that they hold.

Read from FunctionConfiguration, as the Lambda API describes it:
https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from layerforge.aws.errors import NotFoundError
from layerforge.aws.session import Session
from layerforge.errors import ConfigError

LATEST: Final = "$LATEST"
"""The one version of a function whose layers can be changed."""

# Which variable of a language's has the folders that its modules come from.
_SEARCH_PATHS: Final = {"python": "PYTHONPATH", "nodejs": "NODE_PATH"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLayer:
    """A layer version, as a function names it; ``zipped`` is in bytes."""

    arn: str
    zipped: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def layer(self) -> str:
        """The layer's ARN, without a version."""
        return self.arn.rpartition(":")[0]

    @property
    def account(self) -> str:
        """The twelve digits of who owns it."""
        return self.arn.split(":")[4]

    @property
    def name(self) -> str:
        """The layer's name, by which its owner knows it."""
        return self.arn.split(":")[6]

    @property
    def version(self) -> int:
        """The version's number."""
        return int(self.arn.rpartition(":")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A version of a function; ``zipped`` are the bytes of its code.

    ``runtime`` is '' where it is a container image, which holds no layers.
    ``search_path`` is what it sets PYTHONPATH or NODE_PATH to, '' where it does not;
    nothing else is kept of its variables, since they may be secrets. ``revision``
    changes with each of its changes. ``update`` and ``reason`` are how the last of
    them went: InProgress, Successful or Failed, and '' in lists.
    """

    name: str
    region: str
    version: str = LATEST
    runtime: str = ""
    architecture: str = "x86_64"
    code_sha256: str = ""
    zipped: int = 0
    layers: tuple[HeldLayer, ...] = ()
    search_path: str = ""
    revision: str = ""
    update: str = ""
    reason: str = ""
    aliases: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name if self.version == LATEST else f"{self.name}:{self.version}"

    @property
    def search_variable(self) -> str:
        """The variable that adds folders to its language's search, or ''."""
        return next(
            (
                variable
                for language, variable in _SEARCH_PATHS.items()
                if self.runtime.startswith(language)
            ),
            "",
        )


def read_function(region: str, configuration: Mapping[str, Any]) -> Function:
    """Take a function out of the API's FunctionConfiguration."""
    read = configuration.get
    function = Function(
        name=configuration["FunctionName"],
        region=region,
        version=read("Version", LATEST),
        runtime=read("Runtime", ""),
        architecture=next(iter(read("Architectures", ())), "x86_64"),
        code_sha256=read("CodeSha256", ""),
        zipped=read("CodeSize", 0),
        layers=tuple(
            HeldLayer(arn=layer["Arn"], zipped=layer.get("CodeSize", 0))
            for layer in read("Layers") or ()
        ),
        revision=read("RevisionId", ""),
        update=read("LastUpdateStatus", ""),
        reason=read("LastUpdateStatusReason", ""),
    )
    variables = read("Environment", {}).get("Variables", {})
    found = variables.get(function.search_variable, "")
    return replace(function, search_path=found)


def get_function(session: Session, region: str, name: str) -> Function:
    """Ask for a function by its name or ARN; raises `AwsError`."""
    answer = session.call(
        "lambda", region, "get_function_configuration", FunctionName=name
    )
    return read_function(region, answer)


def find_functions(
    session: Session, regions: Iterable[str], name: str
) -> tuple[Function, ...]:
    """Find a function in each Region that has it, or where its ARN says.

    Raises `NotFoundError` where none does.
    """
    if name.startswith("arn:"):
        return (get_function(session, _region_of(name, session.account), name),)
    found = []
    missing: NotFoundError | None = None
    for region in regions:
        try:
            found.append(get_function(session, region, name))
        except NotFoundError as error:
            missing = error
    if missing and not found:
        raise missing
    return tuple(found)


def _region_of(arn: str, account: str) -> str:
    match = re.fullmatch(r"arn:aws[a-z-]*:lambda:([a-z0-9-]+):([0-9]{12}):.+", arn)
    if match is None:
        raise ConfigError(
            f"{arn} is not the ARN of a function",
            remedy="They look like arn:aws:lambda:eu-west-1:123456789012:function:api.",
        )
    if match[2] != account:
        raise ConfigError(
            f"{arn} is of another account than these credentials, {account}",
            remedy="Name its account's profile (--profile) or [publish.accounts] "
            "(--account).",
        )
    return match[1]


def locate_code(session: Session, function: Function) -> str:
    """Ask for the address of a function's zip, which holds for ten minutes."""
    answer = session.call(
        "lambda",
        function.region,
        "get_function",
        FunctionName=function.name,
        Qualifier=function.version,
    )
    return str(answer.get("Code", {}).get("Location", ""))


def list_functions(session: Session, region: str) -> Iterator[Function]:
    """Give every version of every function of a Region, as its pages come."""
    for page in session.pages(
        "lambda", region, "list_functions", FunctionVersion="ALL"
    ):
        for configuration in page["Functions"]:
            yield read_function(region, configuration)


def list_aliases(
    session: Session, region: str, name: str
) -> Mapping[str, tuple[str, ...]]:
    """Give a function's aliases by the versions that they send requests to."""
    found: dict[str, list[str]] = {}
    for page in session.pages("lambda", region, "list_aliases", FunctionName=name):
        for alias in page["Aliases"]:
            weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights")
            for version in {alias["FunctionVersion"], *(weights or ())}:
                found.setdefault(version, []).append(alias["Name"])
    return {version: tuple(sorted(names)) for version, names in found.items()}
