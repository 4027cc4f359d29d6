"""Who uses a layer: no API lists functions by layer, so all of them are looked through.

https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html with all versions,
as a published version, and so an alias, keeps the layers that it was published with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from layerforge.aws.functions import (
    Function,
    HeldLayer,
    list_aliases,
    list_functions,
)
from layerforge.aws.names import Layers
from layerforge.aws.session import Session
from layerforge.errors import LayerforgeError
from layerforge.events import Failed, Finished, Listener, Said, Started, silent

K = TypeVar("K")
T = TypeVar("T")

_TOLD: Final = 50  # functions, as many as a page has
_AT_ONCE: Final = 16  # calls under way; each Region has its own rate


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A version of a function, and one of the layers in question that it holds."""

    function: Function
    layer: HeldLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Users in order, out of ``functions`` versions of functions that were seen.

    ``failures`` are Regions that could not be looked through, with the reason.
    """

    users: tuple[User, ...]
    functions: int
    failures: Mapping[str, LayerforgeError]


def find_users(
    session: Session,
    regions: Sequence[str],
    layers: Layers,
    listen: Listener = silent,
) -> Usage:
    """Look through all functions of all Regions at once; one's failure stops no other.

    Functions of other accounts can't be seen.
    """
    found, failures = in_parallel(
        regions, lambda region: _users_in(session, region, layers, listen)
    )
    return Usage(
        users=tuple(user for usage in found.values() for user in usage.users),
        functions=sum(usage.functions for usage in found.values()),
        failures=failures,
    )


def in_parallel(
    items: Iterable[K], work: Callable[[K], T]
) -> tuple[Mapping[K, T], Mapping[K, LayerforgeError]]:
    """Do ``work`` on all at once; give results and errors by item, in their order."""
    results: dict[K, T] = {}
    failures: dict[K, LayerforgeError] = {}
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        pending = [(item, pool.submit(work, item)) for item in items]
        for item, future in pending:
            try:
                results[item] = future.result()
            except LayerforgeError as error:
                failures[item] = error
    finally:
        # Who presses Ctrl-C doesn't wait for answers that nobody will read.
        pool.shutdown(wait=False, cancel_futures=True)
    return results, failures


def _users_in(session: Session, region: str, layers: Layers, listen: Listener) -> Usage:
    task = f"functions of {region}"
    listen(Started(task=task, doing="listing", done="listed"))
    try:
        users: list[User] = []
        seen = 0
        for function in list_functions(session, region):
            seen += 1
            if seen % _TOLD == 0:
                listen(Said(task=task, line=f"{seen:,} versions of functions"))
            users += (
                User(function=function, layer=held)
                for held in function.layers
                if held in layers
            )
        named = _with_aliases(session, region, users)
    except LayerforgeError as error:
        listen(Failed(task=task, reason=error.message))
        raise
    listen(Finished(task=task))
    return Usage(users=named, functions=seen, failures={})


def _with_aliases(
    session: Session, region: str, users: Sequence[User]
) -> tuple[User, ...]:
    names = dict.fromkeys(user.function.name for user in users)
    aliases = {name: list_aliases(session, region, name) for name in names}
    return tuple(
        sorted(
            (
                replace(user, function=replace(function, aliases=found))
                for user in users
                for function in [user.function]
                for found in [aliases[function.name].get(function.version, ())]
            ),
            key=lambda user: (user.layer.name, -user.layer.version, str(user.function)),
        )
    )
