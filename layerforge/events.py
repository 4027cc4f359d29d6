"""What the core says while it works; the command line decides how it looks.

Every function of the core that takes time has a ``listen`` parameter, silent by
default, and calls it with one of these values, from whatever thread it works in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A task has begun; ``total`` is its size in bytes, where that is known.

    ``doing`` and ``done`` are what it is called while it lasts, and afterwards.
    """

    task: str
    total: int | None = None
    doing: str = "fetching"
    done: str = "fetched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """``done`` bytes of a started task are behind it."""

    task: str
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A program that does a started task printed a line."""

    task: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A started task ended well, with ``size`` bytes where it was to fetch some."""

    task: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A started task ended badly; the error itself is raised, not told."""

    task: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something worth a line; a ``warning`` is shown even when asked to be quiet."""

    message: str
    warning: bool = False


Event = Started | Progress | Said | Finished | Failed | Noted
Listener = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Listen to nothing."""
