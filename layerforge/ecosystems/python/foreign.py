"""Other tools' locks, taken as they are: uv's and PEP 751's, poetry's and pipenv's.

uv exports its own; poetry and pipenv are asked where they are installed. Their locks
pin one version for all platforms: which file of it fits is decided for each target.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

from packaging.pylock import is_valid_pylock_path

from layerforge.ecosystems.python.requirements import (
    Asked,
    read_requirements,
    read_requirements_file,
)
from layerforge.ecosystems.python.uv import Uv
from layerforge.errors import ConfigError, LockError
from layerforge.indexes import hide_credentials
from layerforge.spec import Requirements

_EXPORTS: Final = {
    "poetry.lock": ("poetry", "export", "--format", "requirements.txt"),
    "Pipfile.lock": ("pipenv", "requirements", "--hash"),
}
_INSTALL: Final = {
    "poetry": "pip install poetry poetry-plugin-export",
    "pipenv": "pip install pipenv",
}


def read_foreign_pylock(asked: Requirements, uv: Uv) -> dict[str, Any] | None:
    """Give a uv.lock or pylock.toml as a pylock document; nothing for other files."""
    if asked.file is None:
        return None
    if asked.file.name == "uv.lock":
        return uv.export(asked.file, asked.extras, asked.groups)
    if is_valid_pylock_path(asked.file):
        try:
            return tomllib.loads(asked.file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{asked.file} is not TOML: {error}") from error
    return None


def export_requirements(asked: Requirements) -> Asked:
    """Have a poetry.lock or Pipfile.lock exported by its own tool, and read that."""
    if asked.file is None or asked.file.name not in _EXPORTS:
        return read_requirements(asked)
    lines = _run_exporter(asked, asked.file)
    with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
        exported = Path(name) / "requirements.txt"
        exported.write_text(lines, encoding="utf-8")
        return read_requirements_file(exported)


def _run_exporter(asked: Requirements, file: Path) -> str:
    program, *arguments = _EXPORTS[file.name]
    found = shutil.which(program)
    if found is None:
        raise ConfigError(
            f"{file} can only be read by {program}, which is not on PATH",
            remedy=f"{_INSTALL[program]}; or export the lock to a requirements file.",
        )
    if program == "poetry":
        for extra in asked.extras:
            arguments += ["--extras", extra]
        for group in asked.groups:
            arguments += ["--with", group]
    elif asked.groups:
        arguments += ["--categories", ",".join(("packages", *asked.groups))]
    answer = subprocess.run(
        [found, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=file.parent,
        stdin=subprocess.DEVNULL,
    )
    if answer.returncode:
        lines = hide_credentials(answer.stderr or answer.stdout).strip().splitlines()
        raise LockError(
            f"{program} could not export {file}:\n  " + "\n  ".join(lines[-6:]),
            remedy=f"See that this works: {program} {' '.join(arguments)}",
        )
    return answer.stdout
