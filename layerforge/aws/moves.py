"""Many functions at once: what each is to hold, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from layerforge.aws.attach import attach
from layerforge.aws.attachment import (
    Attachment,
    Measure,
    choose,
    plan_attachment,
    refusal,
)
from layerforge.aws.functions import LATEST, Function, find_functions
from layerforge.aws.names import Layers, newest, parse_layers
from layerforge.aws.session import Session
from layerforge.aws.usage import User, find_users, in_parallel
from layerforge.errors import LayerforgeError
from layerforge.events import Listener, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What doing needs besides values: who asks, in which Regions, whom to tell."""

    session: Session
    regions: tuple[str, ...]
    measure: Measure
    listen: Listener = silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What is planned for functions, those aside that hold all of it already.

    ``fixed`` are published versions of functions, which nobody can change;
    ``failures`` tell, by what they are of, what could not be planned.
    """

    planned: tuple[Attachment, ...]
    fixed: tuple[User, ...] = ()
    failures: Mapping[str, LayerforgeError]

    @property
    def able(self) -> tuple[Attachment, ...]:
        """Plans that nothing speaks against."""
        return tuple(one for one in self.planned if not one.refusals)


def plan_functions(
    means: Means, names: Sequence[str], wanted: Sequence[Layers]
) -> Moves:
    """Plan for functions that are named; in each Region that has them.

    Raises `NotFoundError` for one that isn't in any.
    """
    functions = [
        function
        for name in names
        for function in find_functions(means.session, means.regions, name)
    ]
    return _plan(means, functions, wanted)


def plan_users(means: Means, wanted: Layers, old: Layers) -> Moves:
    """Plan for all functions that hold a version of ``old``: ``wanted`` instead."""
    usage = find_users(means.session, means.regions, old, means.listen)
    functions = [
        user.function for user in usage.users if user.function.version == LATEST
    ]
    moves = _plan(means, functions, (wanted,), old)
    return replace(
        moves,
        fixed=tuple(user for user in usage.users if user.function.version != LATEST),
        failures={**usage.failures, **moves.failures},
    )


def parse_old(text: str, layers: Layers, template: str) -> Layers:
    """Read which versions are to go: ``7``, ``web-python313-arm64:7``, an ARN, all."""
    if not text:
        return replace(layers, versions=(), arn="", region="")
    if text.isdecimal():
        return replace(layers, versions=(int(text),), arn="", region="")
    return parse_layers(text, template, layers.account)


def refused(moves: Moves) -> Mapping[str, LayerforgeError]:
    """Give what can't be planned or done, by what it is of."""
    errors = {function_place(one.function): refusal(one) for one in moves.planned}
    return {
        **moves.failures,
        **{place: error for place, error in errors.items() if error},
    }


def carry_out(
    means: Means, moves: Moves
) -> tuple[tuple[Attachment, ...], Mapping[str, LayerforgeError]]:
    """Do what can be done, at once; one function's failure stops no other."""
    done, failed = in_parallel(
        moves.able,
        lambda planned: attach(means.session, planned, means.measure, means.listen),
    )
    failures = {
        function_place(planned.function): error for planned, error in failed.items()
    }
    return tuple(done.values()), failures


def _plan(
    means: Means,
    functions: Sequence[Function],
    wanted: Sequence[Layers],
    old: Layers | None = None,
) -> Moves:
    regions = dict.fromkeys(function.region for function in functions)
    found, missing = in_parallel(
        regions,
        lambda region: [
            (layers, newest(means.session, region, layers)) for layers in wanted
        ],
    )

    def plan(function: Function) -> Attachment:
        wishes = [
            replace(choose(function, layers, candidates), old=old)
            for layers, candidates in found[function.region]
        ]
        return plan_attachment(function, wishes, means.measure)

    able = dict.fromkeys(one for one in functions if one.region in found)
    planned, failed = in_parallel(able, plan)
    return Moves(
        planned=tuple(one for one in planned.values() if one.changes or one.refusals),
        failures={
            **missing,
            **{function_place(function): error for function, error in failed.items()},
        },
    )


def function_place(function: Function) -> str:
    """Say which function, and where."""
    return f"{function} in {function.region}"
