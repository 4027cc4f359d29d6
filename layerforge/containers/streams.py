"""What an engine says while it pulls or builds an image, as events."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, cast

from layerforge.containers.engine import Engine
from layerforge.containers.process import plain
from layerforge.containers.tars import pack
from layerforge.containers.task import LAST_LINES, ImageError
from layerforge.events import (
    Failed,
    Finished,
    Listener,
    Progress,
    Said,
    Started,
    silent,
)
from layerforge.target import Arch

_BOOKKEEPING: Final = re.compile(r" ---> |Removing intermediate container ")
# An engine is silent while a step computes, or an emulated one does.
_PATIENCE: Final = 3600  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBuild:
    """An image to be built: its name, and what ``docker build`` would be told.

    ``context`` are files by their path in it. ``proxies`` are Docker's predefined
    arguments, of which an image keeps nothing.
    """

    name: str
    arch: Arch
    context: Mapping[str, bytes | Path]
    arguments: Mapping[str, str] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = ""


def build(engine: Engine, image: ImageBuild, listen: Listener = silent) -> None:
    """Build an image; raises `ImageError` with what a failing step said last."""
    last = deque[str](maxlen=LAST_LINES)
    begun = ""

    def hear(said: Mapping[str, Any]) -> None:
        nonlocal begun
        # What comes is as long as a step's process wrote at once.
        *lines, begun = re.split("[\r\n]+", begun + said.get("stream", ""))
        for line in filter(None, map(plain, lines)):
            if not _BOOKKEEPING.match(line):
                last.append(line)
                listen(Said(task=image.name, line=line))

    with _told(engine, image.name, "building", "built", listen):
        reason = _follow(_start_build(engine, image), hear)
        hear({"stream": "\n"})
        if reason:
            told = "".join(f"\n  {line}" for line in last)
            raise ImageError(
                f"building {image.name} failed: {reason}{told}",
                remedy="Its packages come from the system's own servers: does the "
                "engine reach them, and do they have what is asked for?",
            )


def pull(engine: Engine, name: str, arch: Arch, listen: Listener = silent) -> None:
    """Pull an image for a platform; raises `ImageError` where that can't be done."""
    from docker.errors import APIError  # noqa: PLC0415 - docker is slow to import

    downloaded: dict[str, int] = {}

    def hear(said: Mapping[str, Any]) -> None:
        if said.get("status") == "Downloading":
            downloaded[said["id"]] = said["progressDetail"].get("current", 0)
            listen(Progress(task=name, done=sum(downloaded.values())))

    with _told(engine, name, "pulling", "pulled", listen):
        try:
            said = engine.client.api.pull(
                name, platform=arch.docker, stream=True, decode=True
            )
            reason = _follow(said, hear)
        except APIError as error:
            reason = str(error.explanation or error)
        if reason:
            raise ImageError(f"{name} can't be pulled: {reason.strip()}")


@contextmanager
def _told(
    engine: Engine, task: str, doing: str, done: str, listen: Listener
) -> Iterator[None]:
    listen(Started(task=task, doing=doing, done=done))
    try:
        with engine.explained():
            yield
    except Exception as error:
        listen(Failed(task=task, reason=str(error)))
        raise
    listen(Finished(task=task))


def _start_build(engine: Engine, image: ImageBuild) -> Iterable[Mapping[str, Any]]:
    api = engine.client.api
    return api.build(
        fileobj=cast("IO[bytes]", pack(image.context)),
        custom_context=True,
        tag=image.name,
        platform=image.arch.docker,
        buildargs={**image.proxies, **image.arguments},
        labels=dict(image.labels),
        network_mode=image.network or None,
        # What Docker's own configuration says of proxies may be meant for other hosts.
        use_config_proxy=not image.proxies,
        rm=True,
        forcerm=True,
        decode=True,
        timeout=_PATIENCE,
    )


def _follow(
    stream: Iterable[Mapping[str, Any]], hear: Callable[[Mapping[str, Any]], None]
) -> str:
    """Hear all that is said; give the reason where it ends with an error, else ''."""
    reason = ""
    for said in stream:  # to its end, so that the connection is free again
        reason = reason or str(said.get("error", ""))
        hear(said)
    return reason
