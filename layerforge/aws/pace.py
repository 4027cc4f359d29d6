"""No more requests than AWS takes: 15 a second for an account and Region.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

CONTROL_PLANE: Final = 15.0
"""Requests a second, all calls of Lambda's control plane together."""


class Pace:
    """Spaces requests out evenly, whatever thread they come from.

    ``rate`` is in requests a second; ``clock`` and ``sleep`` are in seconds.
    """

    def __init__(
        self,
        rate: float = CONTROL_PLANE,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1 / rate
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when it is this request's turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)

    def hold(self, seconds: float) -> None:
        """Let nobody pass for so long: AWS asked for it."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)
