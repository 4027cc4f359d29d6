"""Run in the build container, by its tools' Python: finds versions, then their files.

    resolve.py GLIBC PIP-OPTION...

GLIBC is the target's, such as 2.34: wheels are chosen for it, whatever this container
has. From requirements.in and constraints.txt among the secrets, with what stands in
/work/requirements.txt preferred, to /work/out/pylock.toml. Runs from Python 3.9 on.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

SECRETS = Path("/run/layerforge")
PINS = Path("/work/requirements.txt")
OUTPUT = Path("/work/out/pylock.toml")
TRACEBACK = "Traceback (most recent call last):"


# Nothing that is chosen is run here. What a source is built with is: pip installs that
# by a process of its own, which knows the container's glibc and nothing of this.
MODULE = """
import runpy, sys
from pip._vendor.packaging import _manylinux
_manylinux._get_glibc_version = lambda: {glibc}
sys.argv[0] = {module!r}
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


def main(glibc: str, options: list[str]) -> None:
    """Have pip-compile choose versions, and pip lock name the file of each."""
    version = tuple(map(int, glibc.split(".")))
    _run(
        version,
        *("piptools", "compile", "--quiet", "--allow-unsafe"),
        *("--strip-extras", "--no-header"),
        *("--no-annotate", "--no-emit-options", "--resolver=backtracking"),
        *("--pip-args", shlex.join(options)),
        *("--constraint", str(SECRETS / "constraints.txt")),
        *("--output-file", str(PINS), str(SECRETS / "requirements.in")),
    )
    _run(
        version,
        *("pip", "--quiet", "lock", "--no-deps", *options),
        *("--requirement", str(PINS), "--output", str(OUTPUT)),
    )


def _run(glibc: tuple[int, ...], module: str, *arguments: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MODULE.format(glibc=glibc, module=module), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        _tell(process)
    if process.returncode:
        sys.exit(process.returncode)


def _tell(process: subprocess.Popen[str]) -> None:
    """Pass on what is said, but for the frames of a traceback: the last line tells."""
    within = False
    for line in process.stdout or ():
        within = line.startswith((TRACEBACK, " ") if within else TRACEBACK)
        if not within:
            sys.stderr.write(line)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
