"""What an image really is: a job looks into it, once for each image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from layerforge.containers.engine import Engine
from layerforge.containers.settings import ContainerSettings
from layerforge.containers.task import ImageError, Task, TaskError
from layerforge.target import Target

# Where Lambda has its interpreter comes first; an image of a user's may have another
# place. Lambda's own images needn't have getconf.
_LOOK: Final = """
uname -m
for folder in /var/lang/bin /usr/local/bin /usr/bin; do
    if [ -x "$folder/$0" ]; then
        exec "$folder/$0" "$@"
    fi
done
getconf GNU_LIBC_VERSION || ldd --version 2>&1 | head -n 1
"""
_PYTHON: Final = """
import os, platform
print(os.confstr("CS_GNU_LIBC_VERSION"), platform.python_version())
"""
_NODE: Final = """
const glibc = process.report.getReport().header.glibcVersionRuntime;
console.log(glibc ? `glibc ${glibc}` : "", process.versions.node);
"""
# By language: an interpreter, and how it says the version of glibc, then its own.
_INTERPRETERS: Final = {
    "python": ("python{version}", "-c", _PYTHON),
    "node": ("node", "-e", _NODE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a job saw in an image; ``interpreter`` is '' where it has not that one."""

    machine: str
    glibc: tuple[int, int]
    interpreter: str


_SETTINGS: Final = ContainerSettings(timeout=600)  # seconds: emulation is slow

# What an image's ID names never changes: by ID and what was looked for.
_SEEN: Final[dict[tuple[str, str], Facts]] = {}


def look_into(engine: Engine, name: str, number: str, target: Target) -> Facts:
    """Look into an image, once; raise `ImageError` where it doesn't suit the target."""
    version = target.runtime.version
    program, *words = _INTERPRETERS[target.runtime.language]
    program = program.format(version=version)
    key = (number, program)
    if key not in _SEEN:
        task = Task(
            name=f"a look into {name}",
            image=number,
            arch=target.arch,
            command=("sh", "-c", _LOOK, program, *words),
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
    if not facts.interpreter:
        raise _unfit(name, target, f"it has no {program}")
    if not f"{facts.interpreter}.".startswith(f"{version}."):
        reason = f"its {program} is {facts.interpreter}"
        raise _unfit(name, target, reason)
    return facts


def _facts(said: str, name: str, target: Target) -> Facts:
    machine, _, rest = said.partition("\n")
    glibc = re.search(r"(?:glibc|GNU libc|GLIBC)\D*(\d+)\.(\d+)", rest)
    interpreter = re.search(r"\d+\.\d+\.\d+\S*$", rest.strip())
    if not glibc:
        raise _unfit(name, target, "its C library isn't glibc")
    return Facts(
        machine=machine.strip(),
        glibc=(int(glibc[1]), int(glibc[2])),
        interpreter=interpreter[0] if interpreter else "",
    )


def _unfit(name: str, target: Target, reason: str, remedy: str = "") -> ImageError:
    return ImageError(
        f"{name} can't stand for {target}: {reason}",
        remedy=remedy
        or "Name an image of that runtime and architecture: --image, or `image` in "
        "`[containers]` of layerforge.toml, with {runtime} and {arch} in its place.",
    )
