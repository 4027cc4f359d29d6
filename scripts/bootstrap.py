"""Make or mend the checkout's .venv; scripts/bootstrap finds the Python and starts it.

    bootstrap.py ROOT EXTRA     EXTRA may be empty

A stamp, ROOT and the text of pyproject.toml, is written into .venv when all is
installed, and taken away while anything changes. No stamp: .venv is made afresh.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from package_index import PackageIndexError, fetch_pip


def main(root: Path, extra: str) -> int:
    """Bring .venv up to date, and give the exit status."""
    venv = root / ".venv"
    with _alone(root / "pyproject.toml") as pyproject:
        stamp = os.fsencode(root) + b"\n" + pyproject
        usable = _is_whole(venv, root) and _runs(venv)
        stamped = _stamp(venv, extra)
        if usable and stamped.is_file() and stamped.read_bytes() == stamp:
            return 0
        _say(f"setting up {venv} with Python {sys.version.split()[0]}")
        try:
            if not usable:
                _make(venv)
            _install(venv, root, extra)
        except PackageIndexError as error:
            _say(f"pip can't be fetched: {error}")
            _say("HTTPS_PROXY, PIP_INDEX_URL and PIP_CERT say how to reach an index;")
            _say("the usual certificates are in Debian's package ca-certificates")
            return 1
        except subprocess.CalledProcessError:
            _say(f"{venv} could not be set up, for the reason above")
            return 1
        _stamp(venv, "").write_bytes(stamp)
        stamped.write_bytes(stamp)
    return 0


def _say(message: str) -> None:
    print(f"layerforge: {message}", file=sys.stderr, flush=True)


@contextmanager
def _alone(pyproject: Path) -> Iterator[bytes]:
    """Hold off other processes; a lock of the system's ends with whoever has it."""
    with pyproject.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another process is setting it up; waiting for that")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.read()


def _stamp(venv: Path, extra: str) -> Path:
    return venv / (f"stamp-{extra}" if extra else "stamp")


def _is_whole(venv: Path, root: Path) -> bool:
    # What was made elsewhere has scripts that start another checkout's Python.
    made_here = os.fsencode(root) + b"\n"
    stamps = venv.glob("stamp*")
    return any(stamp.read_bytes().startswith(made_here) for stamp in stamps)


def _runs(venv: Path) -> bool:
    check = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    try:
        _run(venv / "bin/python", "-c", check)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _make(venv: Path) -> None:
    # By the name with the version: python3 may be another Python after an upgrade.
    named = Path(sys.base_prefix, f"bin/python3.{sys.version_info.minor}")
    python = named if named.exists() else Path(sys.executable)
    if find_spec("ensurepip"):
        _run(python, "-m", "venv", "--clear", venv)
        return
    _run(python, "-m", "venv", "--clear", "--without-pip", venv)
    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch_pip(Path(folder))
        _run(venv / "bin/python", wheel / "pip", "install", "--no-index", wheel)


def _install(venv: Path, root: Path, extra: str) -> None:
    installed = _installed(venv)
    stamps = {stamp: stamp.read_bytes() for stamp in venv.glob("stamp*")}
    for stamp in stamps:
        stamp.unlink()
    requirement = f"{root}[{extra}]" if extra else str(root)
    try:
        _run(venv / "bin/python", "-m", "pip", "install", "--editable", requirement)
    except subprocess.CalledProcessError:
        if _installed(venv) == installed:  # as where the index does not answer
            for stamp, text in stamps.items():
                stamp.write_bytes(text)
        raise


def _installed(venv: Path) -> set[str]:
    return {path.name for path in venv.glob("lib/python3*/site-packages/*")}


def _run(python: Path, *arguments: str | Path) -> None:
    """Run Python for itself: what it says is on stderr, and PYTHONPATH is nothing."""
    subprocess.run(
        [python, "-I", *arguments],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_QUIET": "1"},
    )


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
    except KeyboardInterrupt:
        sys.exit(130)
