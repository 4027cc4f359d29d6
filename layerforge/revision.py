"""What a project calls its present state, and what git has of an earlier one."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from layerforge.errors import ConfigError

_PATIENCE: Final = 10.0  # seconds


def project_version(folder: Path) -> str:
    """Read the version in a folder's pyproject.toml or package.json, or ''."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
        version = project.get("project", {}).get("version", "")
        if version:
            return str(version)
    except (OSError, ValueError, AttributeError, RecursionError):
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


def files_at(
    folder: Path, revision: str, wanted: Callable[[PurePosixPath], bool]
) -> dict[PurePosixPath, bytes]:
    """Read files below a folder as they were at a git revision.

    They are by their path from ``folder``, which says whether one is ``wanted``. Raises
    `ConfigError` where git can't tell.
    """
    commit = _commit(folder, revision)
    listing = _git(folder, "ls-tree", "-r", "-z", commit).decode(errors="replace")
    blobs: dict[PurePosixPath, str] = {}
    for line in filter(None, listing.split("\0")):
        facts, _, name = line.partition("\t")
        _, kind, blob = facts.split()
        path = PurePosixPath(name)
        if kind == "blob" and wanted(path):
            blobs[path] = blob
    asked = "".join(f"{blob}\n" for blob in blobs.values())
    answer = _git(folder, "cat-file", "--batch", data=asked.encode())
    return dict(zip(blobs, _contents(answer), strict=True))


def _contents(answer: bytes) -> list[bytes]:
    """Take apart what ``git cat-file --batch`` says: a line with a size, and a blob."""
    contents, start = [], 0
    while start < len(answer):
        begin = answer.index(b"\n", start) + 1
        *_, size = answer[start:begin].split()
        if not size.isdigit():  # "missing"
            raise ConfigError(
                "git hasn't got all files of that revision",
                remedy="The repository is damaged, or a partial clone: git fsck",
            )
        end = begin + int(size)
        contents.append(answer[begin:end])
        start = end + 1
    return contents


def _commit(folder: Path, revision: str) -> str:
    _find_repository(folder)
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    try:
        return _git(folder, *words, f"{revision}^{{commit}}").decode().strip()
    except ConfigError:
        shallow = _git(folder, "rev-parse", "--is-shallow-repository").strip()
        raise ConfigError(
            f"git knows no revision {revision!r} here"
            + (": the clone is shallow" if shallow == b"true" else ""),
            remedy="Fetch what is missing: git fetch --unshallow (for actions/checkout,"
            " fetch-depth: 0)."
            if shallow == b"true"
            else "Name a branch, a tag or a commit: git fetch brings those of others.",
        ) from None


def _find_repository(folder: Path) -> None:
    try:
        _git(folder, "rev-parse", "--git-dir")
    except ConfigError as error:
        if "dubious ownership" in error.message:
            raise ConfigError(
                f"git reads nothing in {folder}, which belongs to another user",
                remedy=f"Allow it: git config --global --add safe.directory {folder}",
            ) from error
        if "not a git repository" in error.message:
            raise ConfigError(
                f"{folder} is in no git repository, so there is no earlier revision",
                remedy="Run it in a clone of the project, or leave out --against.",
            ) from error
        raise


def _git(folder: Path, *words: str, data: bytes = b"") -> bytes:
    """Ask git; raises `ConfigError` with what it says, if it says no."""
    command = ["git", *words]
    try:
        process = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},  # its errors are told apart by words
            input=data,
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )
    except FileNotFoundError as error:
        raise ConfigError(
            "there is no git here to ask for an earlier revision",
            remedy="Install it, or leave out --against.",
        ) from error
    except subprocess.CalledProcessError as error:
        told = error.stderr.decode(errors="replace").strip().splitlines()
        fatal = (line for line in told if line.startswith("fatal: "))
        said = next(fatal, "it failed").removeprefix("fatal: ")
        raise ConfigError(
            f"git {words[0]} in {folder}: {said}",
            remedy="See that git itself works there: git status",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"git {words[0]} took longer than {_PATIENCE:g} s",
            remedy="Try again, or leave out --against.",
        ) from error
    return process.stdout
