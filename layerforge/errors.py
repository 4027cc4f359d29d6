"""What can go wrong, by kind, each kind with the exit status it gives.

    LayerforgeError
    ├── ConfigError     2   an option, layerforge.toml, a recipe, a requirements file
    ├── LockError       3   no resolution, or a lock that no longer fits its inputs
    │   ├── DamagedLockError    a lock that can't be read
    │   └── UnsuitableLockError a lock that can't serve the target
    ├── BuildError      4   fetching, reading or writing an archive
    │   ├── FetchError      an index or a download that did not answer as it should
    │   └── ArchiveError    a wheel or tarball that is malformed or not what was locked
    ├── VerifyError     5   the layer would not work, or Lambda would refuse it
    └── PublishError    6   AWS

Anything else that escapes is a bug of layerforge's own (exit status 70).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class LayerforgeError(Exception):
    """Say what happened (and where) in ``message``, what to do in ``remedy``."""

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "error"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class ConfigError(LayerforgeError):
    """What the user wrote can't be meant as it stands."""

    exit_code = 2
    kind = "config"


class LockError(LayerforgeError):
    """Requirements can't be resolved for a target, or a lock is stale."""

    exit_code = 3
    kind = "lock"


class DamagedLockError(LockError):
    """A lock that can't be read; making it again mends it."""


class UnsuitableLockError(LockError):
    """A whole lock with a package that doesn't suit the target, or is gone."""


class BuildError(LayerforgeError):
    """A layer can't be made from what was locked."""

    exit_code = 4
    kind = "build"


class FetchError(BuildError):
    """A download failed for good, after its retries."""

    kind = "fetch"


class ArchiveError(BuildError):
    """An archive is malformed, hostile, or has other bytes than were locked."""

    kind = "archive"


class VerifyError(LayerforgeError):
    """The layer is whole, but it would fail on Lambda."""

    exit_code = 5
    kind = "verify"


class PublishError(LayerforgeError):
    """AWS refused, or could not be asked."""

    exit_code = 6
    kind = "publish"


def guess(name: str, known: Iterable[str]) -> str:
    """Begin a remedy with what a wrong name may stand for; '' where nothing is near."""
    from difflib import get_close_matches  # noqa: PLC0415 - for errors alone

    near = get_close_matches(name, [*known], n=3)
    return f"Did you mean {' or '.join(near)}? " if near else ""
