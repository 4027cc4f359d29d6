"""Run in the build container, by its tools' Python: finds versions, then their files.

    resolve.py PIP-OPTION...

From requirements.in and constraints.txt among the secrets, with what stands in
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
TOOLS = Path(sys.prefix) / "bin"
TRACEBACK = "Traceback (most recent call last):"


def main(options: list[str]) -> None:
    """Have pip-compile choose versions, and pip lock name the file of each."""
    _run(
        *("pip-compile", "--quiet", "--allow-unsafe", "--strip-extras", "--no-header"),
        *("--no-annotate", "--no-emit-options", "--resolver=backtracking"),
        *("--pip-args", shlex.join(options)),
        *("--constraint", str(SECRETS / "constraints.txt")),
        *("--output-file", str(PINS), str(SECRETS / "requirements.in")),
    )
    _run(
        *("pip", "--quiet", "lock", "--no-deps", *options),
        *("--requirement", str(PINS), "--output", str(OUTPUT)),
    )


def _run(program: str, *arguments: str) -> None:
    with subprocess.Popen(
        [str(TOOLS / program), *arguments],
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
    main(sys.argv[1:])
