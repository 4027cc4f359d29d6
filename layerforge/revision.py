"""What a project calls its present state: its version, and git's revision."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Final

_PATIENCE: Final = 10.0  # seconds


def project_version(folder: Path) -> str:
    """Read the version in a folder's pyproject.toml or package.json, or ''."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
        version = project.get("project", {}).get("version", "")
        if version:
            return str(version)
    except (OSError, ValueError, AttributeError):
        pass
    try:
        package = json.loads((folder / "package.json").read_text("utf-8"))
        return str(package.get("version") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def git_revision(folder: Path) -> str:
    """Name the commit that is checked out, '-dirty' where files differ, or ''."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        process = subprocess.run(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return process.stdout.strip()
