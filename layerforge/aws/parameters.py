"""ARNs in the Systems Manager's Parameter Store, for templates that look them up.

https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-parameter-store.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from layerforge.aws.errors import RefusedError
from layerforge.aws.session import Session
from layerforge.errors import PublishError
from layerforge.events import Listener, Noted, silent
from layerforge.handover import Parameter

_MOST_NAMES: Final = 10  # that GetParameters takes
_THERE: Final = "ParameterAlreadyExists"


def write_parameters(
    session: Session,
    region: str,
    parameters: Iterable[Parameter],
    listen: Listener = silent,
) -> tuple[Parameter, ...]:
    """Have parameters hold their values in one Region; give those that did not.

    They are written in the order given. Raises `AwsError`, and `PublishError` where a
    fixed one has another value: nothing is written then.
    """
    wanted = tuple(parameters)
    present = _values(session, region, [parameter.name for parameter in wanted])
    for parameter in wanted:
        _refuse_change(parameter, present.get(parameter.name))
    outdated = [each for each in wanted if present.get(each.name) != each.value]
    for parameter in outdated:
        _write(session, region, parameter)
        listen(Noted(message=f"{region}: {parameter.name} is {parameter.value}"))
    return tuple(outdated)


def _values(session: Session, region: str, names: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for start in range(0, len(names), _MOST_NAMES):
        some = names[start : start + _MOST_NAMES]
        answer = session.call("ssm", region, "get_parameters", Names=some)
        values |= {row["Name"]: row["Value"] for row in answer["Parameters"]}
    return values


def _write(session: Session, region: str, parameter: Parameter) -> None:
    try:
        session.call(
            "ssm",
            region,
            "put_parameter",
            Name=parameter.name,
            Value=parameter.value,
            Type="String",
            Description="The ARN of a Lambda layer, published by layerforge",
            Overwrite=not parameter.fixed,
        )
    except RefusedError as error:
        if error.code != _THERE:
            raise
        # By now: from another run, or from a first try whose answer was lost.
        present = _values(session, region, [parameter.name])
        _refuse_change(parameter, present.get(parameter.name))


def _refuse_change(parameter: Parameter, present: str | None) -> None:
    if parameter.fixed and present not in (None, parameter.value):
        raise PublishError(
            f"{parameter.name} in {parameter.region} is {present}, and not "
            f"{parameter.value}: what is of one version never changes",
            remedy="Take another prefix with --ssm, or delete the parameter: "
            f"aws ssm delete-parameter --region {parameter.region} "
            f"--name {parameter.name}",
        )
