"""Trying again what may yet work: how often, and after how long."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, TypeVar

from layerforge.errors import FetchError

T = TypeVar("T")

LONGEST_WAIT: Final = 60.0  # seconds


class TransientError(Exception):
    """An attempt failed in a way that another may not; ``wait`` is in seconds."""

    def __init__(self, error: FetchError, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait


def persist(
    attempt: Callable[[], T],
    *,
    retries: int,
    sleep: Callable[[float], None],
    reached: Callable[[], int],
) -> T:
    """Try until it works; failures only add up while nothing new is ``reached``.

    After ``retries`` of them in a row, the last one's error is raised.
    """
    furthest, failures = reached(), 0
    while True:
        try:
            return attempt()
        except TransientError as failure:
            if reached() > furthest:
                furthest, failures = reached(), 0
            if failures >= retries:
                tries = f" (after {failures + 1} tries)" if failures else ""
                raise FetchError(
                    f"{failure.error.message}{tries}", remedy=failure.error.remedy
                ) from failure
            wait = failure.wait
            sleep(_backoff(failures) if wait is None else wait)
            failures += 1


def _backoff(failures: int) -> float:
    """Seconds to wait: twice as long each time, never two clients in step."""
    jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing
    return min(LONGEST_WAIT, 2.0**failures) * jitter
