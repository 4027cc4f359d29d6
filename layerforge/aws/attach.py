"""A layer into a function's configuration: done as planned, and waited for.

https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from layerforge.aws.attachment import (
    Attachment,
    Measure,
    arns_of,
    plan_attachment,
    refusal,
)
from layerforge.aws.budget import explain
from layerforge.aws.errors import AwsError
from layerforge.aws.functions import Function, get_function
from layerforge.aws.session import Session
from layerforge.errors import PublishError
from layerforge.events import Finished, Listener, Noted, Started, silent

Sleep = Callable[[float], None]

_TRIES: Final = 5
_POLL: Final = 1.0  # seconds between two looks at an update
_PATIENCE: Final = 600  # looks; a function in a VPC may take minutes
_IN_PROGRESS: Final = "InProgress"
_FAILED: Final = "Failed"
# A stale RevisionId, and an update of somebody else's that is not finished.
_OUTPACED: Final = {"PreconditionFailedException", "ResourceConflictException"}


def attach(
    session: Session,
    planned: Attachment,
    measure: Measure,
    listen: Listener = silent,
    *,
    sleep: Sleep = time.sleep,
) -> Attachment:
    """Do what was planned, and wait until it holds; gives what was done in the end.

    Where others have changed the function since, its new state is planned for anew,
    and that is said. Raises `PublishError` where Lambda refuses, or the plan can't be.
    """
    name = f"{planned.function} in {planned.function.region}"
    _refuse(planned)
    for _ in range(_TRIES):
        planned = _renewed(session, planned, measure, listen, sleep)
        _refuse(planned)
        if not planned.changes:
            return planned
        try:
            _update(session, planned)
        except AwsError as error:
            if error.code not in _OUTPACED:
                error.remedy = explain(error.message) or error.remedy
                raise
            listen(Noted(message=f"{name} was changed meanwhile; reading it again"))
            sleep(_POLL)
            continue
        listen(Started(task=name, doing="updating", done="updated"))
        _await_update(session, planned.function, sleep)
        listen(Finished(task=name))
        return planned
    raise PublishError(
        f"{name}: others changed it {_TRIES} times while its layers were to be changed",
        remedy="Run it again when they are done: it was left as it is.",
    )


def _refuse(planned: Attachment) -> None:
    error = refusal(planned)
    if error:
        raise error


def _renewed(
    session: Session,
    planned: Attachment,
    measure: Measure,
    listen: Listener,
    sleep: Sleep,
) -> Attachment:
    """Read the function as it is now; plan again where it has changed."""
    known = planned.function
    function = _settled(session, known, sleep)
    done = arns_of(function.layers) == arns_of(planned.after)  # its answer was lost
    if done or _matters(function) == _matters(known):
        return replace(planned, function=function)
    listen(
        Noted(
            message=f"{function} in {function.region} is no longer what it was: "
            "planned again for what it holds now",
            warning=True,
        )
    )
    return plan_attachment(function, planned.wishes, measure)


def _matters(function: Function) -> tuple[object, ...]:
    return (
        function.runtime,
        function.architecture,
        function.code_sha256,
        arns_of(function.layers),
    )


def _update(session: Session, planned: Attachment) -> None:
    function = planned.function
    session.call(
        "lambda",
        function.region,
        "update_function_configuration",
        FunctionName=function.name,
        Layers=list(arns_of(planned.after)),
        RevisionId=function.revision,
    )


def _settled(session: Session, function: Function, sleep: Sleep) -> Function:
    """Wait until no update is under way."""
    for _ in range(_PATIENCE):
        found = get_function(session, function.region, function.name)
        if found.update != _IN_PROGRESS:
            return found
        sleep(_POLL)
    raise PublishError(
        f"{function} in {function.region} is still being updated after "
        f"{_PATIENCE * _POLL:g} seconds",
        remedy="Run it again: what was done is not done twice.",
    )


def _await_update(session: Session, updated: Function, sleep: Sleep) -> None:
    function = _settled(session, updated, sleep)
    if function.update == _FAILED:
        raise PublishError(
            f"{function} in {function.region}: the update failed: {function.reason}",
            remedy=explain(function.reason)
            or "It goes on as it was before; mend what the message names.",
        )
