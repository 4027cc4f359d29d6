"""Modules loaded by a Node.js like the target's: in its container, or on this machine.

The same two programs do it in both: programs/probe.mjs drives, and what it drives is
the function of programs/probe_handler.cjs.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from layerforge.containers.image import Image
from layerforge.containers.service import Containers
from layerforge.containers.task import Task
from layerforge.ecosystems.node.importable import (
    find_imports,
    refuses_esm,
)
from layerforge.ecosystems.node.nodejs import find_node
from layerforge.errors import BuildError
from layerforge.imports import SECONDS, How, Import, Imported, Row, Run, read_run
from layerforge.target import Target
from layerforge.tools import Tools
from layerforge.tree import FileEntry

_PROGRAMS: Final = Path(__file__).with_name("programs")
_DRIVER: Final = _PROGRAMS / "probe.mjs"
_HANDLER: Final = _PROGRAMS / "probe_handler.cjs"
_FUNCTION: Final = "_layerforge_probe.cjs"  # a name that no function has
_TASK: Final = "/var/task"
_ENTRYPOINT: Final = "/lambda-entrypoint.sh"  # of Lambda's images and those like them
_RUNTIME: Final = "/var/runtime/node_modules"  # of its own, the AWS SDK among them
_REGION: Final = "us-east-1"  # a function always has one
_COMPILE: Final = (
    "Its native code is not in the layer: if its install script was skipped, let it "
    'run in the build container (install-scripts = {{"{package}" = "run"}}).'
)
# What Node.js says (https://nodejs.org/api/errors.html), and who loads native code.
_REMEDIES: Final[dict[str, str]] = {
    r"ERR_REQUIRE_ESM|ERR_REQUIRE_ASYNC_MODULE|require\(\) of ES Module": (
        "The require() of {target} takes no ES modules, and a package that this one "
        "requires is nothing else: take an older version of that."
    ),
    r"NODE_MODULE_VERSION|was compiled against a different Node": (
        "Its native code is for another version of Node.js: build the layer for "
        "{target}."
    ),
    r"Cannot find module '[^']*\.node'|[Nn]o native build was found": _COMPILE,
    r"[Cc]ould not locate the bindings? file": _COMPILE,
    r"EACCES": "In a layer, files need mode 644, folders and executables 755.",
}


@dataclass(frozen=True, slots=True)
class NodeImporter:
    """What `Importer` promises, for the Node.js runtimes."""

    tools: Tools
    separator: str = "/"

    def find_imports(
        self, entries: Iterable[FileEntry], target: Target, *, shaken: bool = False
    ) -> tuple[Import, ...]:
        """Name the packages of the top level."""
        return find_imports(entries, target, shaken=shaken)

    def import_in_container(
        self,
        imports: Sequence[Import],
        target: Target,
        image: Image,
        volume: str,
        containers: Containers,
    ) -> Run:
        """Load modules in the runtime, with the layer in a volume at /opt.

        Raises `TaskError`, `EngineError`.
        """
        folders = [f"/opt/{place}" for place in target.runtime.search_path]
        asked = _asked(imports, target, _TASK, [*folders, _RUNTIME], _ENTRYPOINT)
        driver, question = (
            f"{_TASK}/_layerforge_driver.mjs",
            f"{_TASK}/_layerforge.json",
        )
        task = Task(
            name=f"the modules for {target}",
            doing="importing",
            done="imported",
            image=image.id,
            arch=target.arch,
            command=("node", driver, question),
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

    def import_here(
        self, imports: Sequence[Import], target: Target, layer: Path
    ) -> Run:
        """Load modules by a Node.js of this machine, or one of the npm registry's.

        Raises `BuildError` where none can be had, or the machine is of another kind.
        """
        _check_machine(target)
        node = find_node(target.runtime.version, self.tools)
        with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
            folder = Path(name)
            (folder / _FUNCTION).write_bytes(_HANDLER.read_bytes())
            folders = [str(layer / place) for place in target.runtime.search_path]
            asked = _asked(imports, target, name, folders, "")
            (folder / "probe.json").write_text(json.dumps(asked), encoding="utf-8")
            answer = subprocess.run(
                [node, _DRIVER, folder / "probe.json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                check=False,
                cwd=folder,
                env=_environment(layer, name, target),
            )
        explain = partial(_explained, target=target)
        return read_run(answer.stdout, target, How.INTERPRETER, explain)


def _check_machine(target: Target) -> None:
    machine = platform.machine()
    if sys.platform != "linux" or machine != target.arch.machine:
        raise BuildError(
            f"modules for {target} can't be imported on this machine, which is "
            f"{sys.platform} on {machine}",
            remedy="Have a container do it: start Docker, or name an engine with "
            "DOCKER_HOST.",
        )


def _environment(layer: Path, home: str, target: Target) -> dict[str, str]:
    """Give what Lambda sets as well: the layer's own folders come last."""
    usual = [f"/lib/{target.arch.machine}-linux-gnu", "/lib64", "/usr/lib64"]
    return {
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_REGION": _REGION,
        "HOME": home,
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": os.pathsep.join((*usual, str(layer / "lib"))),
        "PATH": os.pathsep.join((os.defpath, str(layer / "bin"))),
        "TMPDIR": home,
    }


def _asked(
    imports: Sequence[Import],
    target: Target,
    task: str,
    folders: list[str],
    entrypoint: str,
) -> dict[str, Any]:
    return {
        "modules": [one.module for one in imports],
        "handler": f"{task}/{_FUNCTION}",
        "folders": folders,
        "entrypoint": entrypoint,
        "seconds": SECONDS,
        "refuses": refuses_esm(target),
    }


def _explained(imported: Imported, row: Row, target: Target) -> Imported:
    """Add what helps, where Node.js or a loader of native code says what is wrong."""
    said = f"{row.get('code', '')}\n{imported.error}\n{imported.cause}"
    for pattern, remedy in _REMEDIES.items():
        if imported.error and re.search(pattern, said):
            package = _package(imported.module)
            text = remedy.format(target=target, package=package)
            return replace(imported, remedy=text)
    return imported


def _package(module: str) -> str:
    parts = module.split("/")
    return "/".join(parts[: 2 if module.startswith("@") else 1])
