"""What an image really is: a job looks into it, once for each image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from layerforge.containers.engine import Engine
from layerforge.containers.settings import ContainerSettings
from layerforge.containers.task import ImageError, Task, TaskError
from layerforge.target import Target

# Where Lambda has its Python comes first; an image of a user's may have another place.
_LOOK: Final = """
uname -m
for folder in /var/lang/bin /usr/local/bin /usr/bin; do
    if [ -x "$folder/python$0" ]; then
        exec "$folder/python$0" -c 'import os, platform
print(os.confstr("CS_GNU_LIBC_VERSION"), platform.python_version())'
    fi
done
getconf GNU_LIBC_VERSION || ldd --version 2>&1 | head -n 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a job saw in an image; ``python`` is '' where it has not the target's."""

    machine: str
    glibc: tuple[int, int]
    python: str


_SETTINGS: Final = ContainerSettings(timeout=600)  # seconds: emulation is slow

# What an image's ID names never changes: by ID and the Python that was looked for.
_SEEN: Final[dict[tuple[str, str], Facts]] = {}


def look_into(engine: Engine, name: str, number: str, target: Target) -> Facts:
    """Look into an image, once; raise `ImageError` where it doesn't suit the target."""
    runtime = target.runtime
    version = runtime.version if runtime.language == "python" else "-"
    key = (number, version)
    if key not in _SEEN:
        task = Task(
            name=f"a look into {name}",
            image=number,
            arch=target.arch,
            command=("sh", "-c", _LOOK, version),
        )
        try:
            # Nobody needs to hear of it.
            said = engine.run(task, _SETTINGS).stdout.decode(errors="replace")
        except (ImageError, TaskError) as error:
            raise _unfit(name, target, error.message, error.remedy) from error
        _SEEN[key] = _facts(said, name, target)
    facts = _SEEN[key]
    if facts.machine != target.arch.machine:
        reason = f"its programs are for {facts.machine}"
        raise _unfit(name, target, reason)
    if version != "-" and not facts.python:
        raise _unfit(name, target, f"it has no python{version}")
    return facts


def _facts(said: str, name: str, target: Target) -> Facts:
    machine, _, rest = said.partition("\n")
    glibc = re.search(r"(?:glibc|GNU libc|GLIBC)\D*(\d+)\.(\d+)", rest)
    python = re.search(r"\d+\.\d+\.\d+\S*$", rest.strip())
    if not glibc:
        raise _unfit(name, target, "its C library isn't glibc")
    return Facts(
        machine=machine.strip(),
        glibc=(int(glibc[1]), int(glibc[2])),
        python=python[0] if python else "",
    )


def _unfit(name: str, target: Target, reason: str, remedy: str = "") -> ImageError:
    return ImageError(
        f"{name} can't stand for {target}: {reason}",
        remedy=remedy
        or "Name an image of that runtime and architecture: --image, or `image` in "
        "`[containers]` of layerforge.toml, with {runtime} and {arch} in its place.",
    )
