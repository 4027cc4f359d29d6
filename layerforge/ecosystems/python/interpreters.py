"""Interpreters of a minor version on this machine, for compiling bytecode."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# An interpreter is asked as it will be used: a shim that would choose one by folder or
# by variables answers nothing, and what it stands for is found by itself.
CLEAN_ENVIRONMENT = {"PYTHONHASHSEED": "0"}  # sets of constants in one order
_SECONDS = 10.0
_QUESTION = (
    "import sys; v = sys.version_info;"
    "print(sys.implementation.name, *v[:3], v[3], sep='.')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A CPython; ``version`` is full, such as 3.13.9."""

    path: Path
    version: str


def find_interpreters(minor: str) -> tuple[Interpreter, ...]:
    """Find every final release of CPython ``minor`` (such as 3.13), the newest first.

    Looks on PATH, and where pyenv, uv and Homebrew put interpreters; starts each once.
    """
    found: dict[str, Interpreter] = {}
    for path in _candidates(minor):
        version = _version(path)
        if version.startswith(f"{minor}."):
            found.setdefault(version, Interpreter(path=path, version=version))
    newest_first = sorted(found, key=lambda version: int(version.split(".")[2]))
    return tuple(found[version] for version in reversed(newest_first))


def _candidates(minor: str) -> Iterator[Path]:
    name = f"python{minor}"
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    folders = [Path(part) for part in os.get_exec_path() if part]
    folders += sorted((pyenv / "versions").glob(f"{minor}.*/bin"))
    folders += sorted((home / ".local/share/uv/python").glob(f"cpython-{minor}*/bin"))
    folders += [Path(f"/opt/homebrew/opt/python@{minor}/bin"), Path("/usr/local/bin")]
    for folder in dict.fromkeys(folders):
        path = folder / name
        if path.is_file() and os.access(path, os.X_OK):
            yield path


def _version(path: Path) -> str:
    try:
        answer = subprocess.run(
            [path, "-I", "-S", "-c", _QUESTION],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
            env=CLEAN_ENVIRONMENT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    name, _, version = answer.stdout.strip().partition(".")
    number, _, level = version.rpartition(".")
    return number if name == "cpython" and level == "final" else ""
