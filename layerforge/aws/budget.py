"""A function's budget: its code and all its layers against Lambda's one limit.

The limit, "250 MB" in the documentation, holds for their sum unzipped; which of them
went over it, the service's messages don't say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from layerforge.aws.directory import code_size, unzipped_size
from layerforge.aws.download import EXPIRED
from layerforge.aws.errors import DeniedError, NotFoundError
from layerforge.aws.functions import Function, HeldLayer
from layerforge.aws.session import Session
from layerforge.client import Client
from layerforge.errors import ArchiveError, FetchError, PublishError
from layerforge.limits import MAX_UNZIPPED, UNZIPPED_LIMIT
from layerforge.store import Store

_AT_ONCE: Final = 6  # the code, and the five layers that a function may hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The code or a layer (``arn``); ``zipped`` and ``unzipped`` are in bytes.

    ``unzipped`` is None where it can't be known, and ``reason`` says why.
    """

    title: str
    zipped: int
    unzipped: int | None = None
    arn: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How a function's bytes are spread, the code first, then its layers in order."""

    function: Function
    parts: tuple[Part, ...]

    @property
    def used(self) -> int:
        """Bytes unzipped of all parts that are known."""
        return sum(part.unzipped or 0 for part in self.parts)

    @property
    def left(self) -> int:
        """Bytes that may still be added; negative where there are too many."""
        return MAX_UNZIPPED - self.used

    @property
    def unknown(self) -> tuple[Part, ...]:
        """Parts whose size can't be known: the sum is at least what it says."""
        return tuple(part for part in self.parts if part.unzipped is None)


def measure(session: Session, function: Function, store: Store) -> Budget:
    """Add up a function's code and its layers; what was measured once is kept.

    A layer that was deleted, or that these credentials may not read, has no size.
    Raises `AwsError` for all else.
    """
    if not function.runtime:
        raise PublishError(
            f"{function} is a container image, which has another limit (10 GB) and "
            "holds no layers",
            remedy="Name a function whose code is a zip.",
        )
    with Client(sign_in=EXPIRED) as client, ThreadPoolExecutor(_AT_ONCE) as pool:

        def of_code() -> int:
            return code_size(session, function, store, client)

        def of_layer(layer: HeldLayer) -> Part:
            part = Part(title=str(layer), zipped=layer.zipped, arn=layer.arn)
            return _sized(
                part, lambda: unzipped_size(session, layer.arn, store, client)
            )

        layers = pool.map(of_layer, function.layers)
        code = _sized(Part(title="code", zipped=function.zipped), of_code)
        return Budget(function=function, parts=(code, *layers))


def _sized(part: Part, size: Callable[[], int]) -> Part:
    try:
        return replace(part, unzipped=size())
    except NotFoundError:
        return replace(part, reason="deleted, or of nobody who lets us read it")
    except (DeniedError, FetchError, ArchiveError) as error:
        return replace(part, reason=error.message)


# -- what the service says ---------------------------------------------------------


def explain(message: str) -> str:
    """Say what Lambda's message on sizes means, in bytes; '' for any other message."""
    for pattern, meaning in _MEANINGS:
        if match := pattern.search(message):
            return meaning(*map(int, match.groups()))
    return ""


def _of_all(actual: int) -> str:
    return (
        f"The code and all layers have {actual} bytes together, unzipped: "
        f"{actual - MAX_UNZIPPED} too many. {_LIMIT}"
    )


def _of_layers(_available: int) -> str:
    return (
        f"The layers alone have {UNZIPPED_LIMIT} bytes or more, unzipped; the code "
        f"comes on top. {_LIMIT}"
    )


def _of_one(remains: int) -> str:
    if remains >= UNZIPPED_LIMIT:
        return f"That is all there is for a zip, and for code and layers. {_LIMIT}"
    return (
        f"{remains} bytes are what the function's layers leave: they have "
        f"{UNZIPPED_LIMIT - remains} unzipped, of {UNZIPPED_LIMIT}. The code must be "
        "smaller than the rest, or a layer must go."
    )


_LIMIT: Final = (
    f'Lambda\'s "250 MB" are {UNZIPPED_LIMIT} bytes, and a function with its layers '
    "must be smaller."
)
_MEANINGS: Final[tuple[tuple[re.Pattern[str], Callable[[int], str]], ...]] = (
    (re.compile(r"maximum allowed size of \d+ bytes.*actual size is (\d+)"), _of_all),
    (re.compile(r"Layers consume more than the available size of (\d+)"), _of_layers),
    (re.compile(r"[Uu]nzipped size must be smaller than (\d+) bytes"), _of_one),
)
