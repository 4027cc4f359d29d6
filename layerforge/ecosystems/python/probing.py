"""Modules imported by a Python like the target's: in its container, or on this machine.

The same two programs do it in both: programs/probe.py drives, and what it drives is
the function of programs/probe_handler.py.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from layerforge.containers.image import Image
from layerforge.containers.service import Containers
from layerforge.containers.task import Task
from layerforge.ecosystems.python.importable import find_imports
from layerforge.ecosystems.python.interpreters import (
    CLEAN_ENVIRONMENT,
    Interpreter,
    find_interpreters,
)
from layerforge.errors import BuildError
from layerforge.imports import SECONDS, How, Import, Imported, Row, Run, read_run
from layerforge.target import Target

__all__ = ["find_imports", "import_here", "import_in_container", "separator"]

separator: Final = "."
_PROGRAMS: Final = Path(__file__).with_name("programs")
_DRIVER: Final = _PROGRAMS / "probe.py"
_HANDLER: Final = _PROGRAMS / "probe_handler.py"
_FUNCTION: Final = "_layerforge_probe.py"  # a name that no layer's module has
_TASK: Final = "/var/task"
_ENTRYPOINT: Final = "/lambda-entrypoint.sh"  # of Lambda's images and those like them
_REGION: Final = "us-east-1"  # a function always has one
_CHOICES: Final = "start Docker, or name an engine with DOCKER_HOST"
# What left the standard library, by the minor version that came without
# (https://peps.python.org/pep-0594/ and What's New): nothing optional about these.
_REMOVED: Final = {
    10: "formatter parser symbol",
    11: "binhex",
    12: "asynchat asyncore distutils imp smtpd",
    13: "aifc audioop cgi cgitb chunk crypt imghdr lib2to3 mailcap msilib nis nntplib"
    " ossaudiodev pipes sndhdr spwd sunau telnetlib uu xdrlib",
}


def import_in_container(
    imports: Sequence[Import],
    target: Target,
    image: Image,
    volume: str,
    containers: Containers,
) -> Run:
    """Import modules in the runtime, with the layer in a volume at /opt.

    Raises `TaskError`, `EngineError`.
    """
    folders = [f"/opt/{place}" for place in target.runtime.search_path]
    asked = _asked(imports, _TASK, [*folders, "/var/runtime"], _ENTRYPOINT)
    driver, question = f"{_TASK}/_layerforge_driver.py", f"{_TASK}/_layerforge.json"
    task = Task(
        name=f"the modules for {target}",
        doing="importing",
        done="imported",
        image=image.id,
        arch=target.arch,
        command=(f"python{target.runtime.version}", "-I", driver, question),
        files={
            f"{_TASK}/{_FUNCTION}": _HANDLER,
            driver: _DRIVER,
            question: json.dumps(asked).encode(),
        },
        environment={"AWS_REGION": _REGION, "AWS_DEFAULT_REGION": _REGION},
        volumes={"/opt": volume},
    )
    answer = containers.run(task).stdout
    return read_run(answer, target, How.IMAGE, partial(_explained, target=target))


def import_here(imports: Sequence[Import], target: Target, layer: Path) -> Run:
    """Import modules by an interpreter of this machine, the layer's alone on its path.

    Raises `BuildError` where there is none that could.
    """
    interpreter = local_interpreter(target)
    with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
        folder = Path(name)
        (folder / _FUNCTION).write_bytes(_HANDLER.read_bytes())
        folders = [str(layer / place) for place in target.runtime.search_path]
        asked = _asked(imports, name, folders, "")
        (folder / "probe.json").write_text(json.dumps(asked), encoding="utf-8")
        answer = subprocess.run(
            [interpreter.path, "-I", "-S", "-B", _DRIVER, folder / "probe.json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=False,
            cwd=folder,
            env=_environment(layer, name, target),
        )
    explain = partial(_explained, target=target)
    return read_run(answer.stdout, target, How.INTERPRETER, explain)


def _environment(layer: Path, home: str, target: Target) -> dict[str, str]:
    """Give what Lambda sets as well: the layer's own folders come last."""
    usual = [f"/lib/{target.arch.machine}-linux-gnu", "/lib64", "/usr/lib64"]
    return {
        **CLEAN_ENVIRONMENT,
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_REGION": _REGION,
        "HOME": home,
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": os.pathsep.join((*usual, str(layer / "lib"))),
        "PATH": os.pathsep.join((os.defpath, str(layer / "bin"))),
    }


def local_interpreter(target: Target) -> Interpreter:
    """Find an interpreter that could import the target's modules, or `BuildError`."""
    machine = platform.machine()
    if sys.platform != "linux" or machine != target.arch.machine:
        raise BuildError(
            f"modules for {target} can't be imported on this machine, which is "
            f"{sys.platform} on {machine}",
            remedy=f"Have a container do it: {_CHOICES}.",
        )
    minor = target.runtime.version
    found = find_interpreters(minor)
    if not found:
        raise BuildError(
            f"there is no Python {minor} on this machine to import modules with",
            remedy=f"Install it (pyenv install {minor}, or uv python install {minor}); "
            f"or have a container do it, which proves more: {_CHOICES}.",
        )
    return found[0]


def _asked(
    imports: Sequence[Import], task: str, folders: list[str], entrypoint: str
) -> dict[str, Any]:
    return {
        "modules": [one.module for one in imports],
        "handler": f"{task}/{_FUNCTION}",
        "folders": folders,
        "entrypoint": entrypoint,
        "seconds": SECONDS,
    }


def _explained(imported: Imported, row: Row, target: Target) -> Imported:
    """Tell a part that is missing, and what Python has no more, from a package."""
    missing = imported.missing or _lost_part(row)
    top = missing.partition(".")[0]
    if top not in _removed_until(target):
        return replace(imported, missing=missing)
    remedy = (
        f"Python has no {top} any more: take a version of the package that is for "
        f"Python {target.runtime.version}."
    )
    return replace(imported, missing="", remedy=remedy)


def _lost_part(row: Row) -> str:
    """Name the part of a module that it didn't find, whatever it then raised."""
    missing: str = row.get("cause_missing", "")
    return missing if missing.startswith(f"{row['module']}.") else ""


def _removed_until(target: Target) -> set[str]:
    minor = target.runtime.version_info[1]
    return {
        name
        for version, names in _REMOVED.items()
        if version <= minor
        for name in names.split()
    }
