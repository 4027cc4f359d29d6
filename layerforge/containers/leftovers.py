"""Whose a container or volume is, and what processes that died have left of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from layerforge import __version__

if TYPE_CHECKING:
    from docker.api.client import APIClient

_OWNER: Final = "layerforge.owner"


def labels() -> dict[str, str]:
    """Mark what this process has an engine make."""
    return {"layerforge": __version__, _OWNER: f"{_place()}:{os.getpid()}"}


def sweep(api: APIClient) -> None:
    """Remove what processes of this machine have left that are no more."""
    from docker.errors import APIError  # noqa: PLC0415 - docker is slow to import

    mine = {"label": _OWNER}
    for container in api.containers(all=True, filters=mine):
        if _orphaned(container["Labels"]):
            with suppress(APIError):  # another process is about it already
                api.remove_container(container["Id"], force=True, v=True)
    for volume in api.volumes(filters=mine)["Volumes"] or ():
        if _orphaned(volume["Labels"]):
            with suppress(APIError):
                api.remove_volume(volume["Name"], force=True)


def _orphaned(marks: Mapping[str, str]) -> bool:
    place, _, number = marks[_OWNER].rpartition(":")
    return place == _place() and not _lives(int(number))


def _place() -> str:
    """Name what counts processes: two containers may have one host's name."""
    namespace = Path("/proc/self/ns/pid")
    number = f"/{namespace.stat().st_ino}" if namespace.exists() else ""
    return f"{os.uname().nodename}{number}"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
