"""The same lock gives the same zip, whoever builds it and wherever."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.program import TARGET, Program

BUILD = ("build", "-r", "requirements.in", "--name", "web", *TARGET)
ZIP = "dist/web-python3.12-x86_64.zip"

OTHERWISE: dict[str, Callable[[Program], Program]] = {
    "umask": lambda it: it.elsewhere(before=lambda: os.umask(0o077) and None),
    "time zone": lambda it: it.elsewhere(variables={"TZ": "Pacific/Kiritimati"}),
    "locale": lambda it: it.elsewhere(variables={"LC_ALL": "C", "LANG": "tr_TR"}),
    "hash seed": lambda it: it.elsewhere(variables={"PYTHONHASHSEED": "7"}),
    "cache": lambda it: it.elsewhere(cache=it.home / "other"),
    "folder": lambda it: moved(it, it.home / "another place" / "é"),
}


def moved(program: Program, folder: Path) -> Program:
    shutil.copytree(program.folder, folder, ignore=shutil.ignore_patterns("dist"))
    return program.elsewhere(folder=folder)


@pytest.mark.parametrize("what", OTHERWISE)
def test_whatever_else_differs(web: Program, what: str) -> None:
    web.write("requirements.in", "demo\nnative\n")
    web(*BUILD)
    whole = (web.folder / ZIP).read_bytes()
    (web.folder / ZIP).unlink()
    other = OTHERWISE[what](web)

    ran = other(*BUILD)

    assert ran.status == 0, ran.stderr
    assert (other.folder / ZIP).read_bytes() == whole
