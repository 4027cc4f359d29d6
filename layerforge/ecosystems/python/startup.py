"""What runs, or is put on the path, before a function is: ``.pth`` files.

Lambda's runtimes hand both folders of a layer to `site.addsitedir`, which reads them
(https://docs.python.org/3/library/site.html).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Final

from layerforge.findings import Finding, Severity
from layerforge.target import Target
from layerforge.tree import FileEntry, Tree

_LONGEST: Final = 64 << 10  # bytes; a longer file is none of paths
_RUN: Final = ("import ", "import\t")  # what site runs; all else are folders
_SHOWN: Final = 200  # characters of a line; setuptools has one of 151
_EDITABLE: Final = "__editable__"  # how setuptools calls what pip install -e leaves


def find_startup_files(tree: Tree, target: Target) -> Iterator[Finding]:
    """Find ``.pth`` files that run code, and those whose folders aren't there."""
    places = {*target.runtime.search_path}
    found = [
        entry
        for entry in tree
        if entry.path.endswith(".pth") and _is_read(entry.path, places)
    ]
    if not found:
        return
    there = _there(tree)
    for entry in found:
        lines = [line.rstrip() for line in _lines(entry)]
        running = [line for line in lines if line.startswith(_RUN)]
        if running and not _is_editable(entry):
            yield _running(entry, running)
        named = [line for line in lines if line not in running]
        absent = [line for line in named if not _is_there(line, entry, there)]
        if absent or (running and _is_editable(entry)):
            yield _absent(entry, absent)


def _is_read(path: str, places: set[str]) -> bool:
    folder, _, name = path.rpartition("/")
    return folder in places and not name.startswith(".")


def _is_editable(entry: FileEntry) -> bool:
    return posixpath.basename(entry.path).startswith(_EDITABLE)


def _lines(entry: FileEntry) -> Iterator[str]:
    if entry.content is None or entry.size > _LONGEST:
        return
    text = entry.content.inflated().decode("utf-8-sig", errors="replace")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _there(tree: Tree) -> set[str]:
    """Give the paths of all files and folders: zips and eggs are imported from, too."""
    there: set[str] = {""}
    for entry in tree:
        path = entry.path
        while path not in there:
            there.add(path)
            path = posixpath.dirname(path)
    return there


def _is_there(line: str, entry: FileEntry, there: set[str]) -> bool:
    """Say whether the layer has a place; one outside of /opt a function may have."""
    path = posixpath.join("/opt", posixpath.dirname(entry.path), line)
    inside = posixpath.normpath(path)
    if inside.startswith(("/var/", "/tmp/", "/mnt/")):  # noqa: S108 - Lambda's own
        return True
    return inside == "/opt" or inside.removeprefix("/opt/") in there


def _running(entry: FileEntry, lines: list[str]) -> Finding:
    code = " ".join(lines[0].split())
    shown = code if len(code) <= _SHOWN else f"{code[: _SHOWN - 1]}…"
    return Finding(
        check="pth",
        severity=Severity.NOTE,
        path=entry.path,
        message=f"runs code at every cold start: {shown}",
        remedy="Leave it out with exclude, if nothing needs what it does.",
    )


def _absent(entry: FileEntry, absent: list[str]) -> Finding:
    message = "finds its package outside of the layer"
    if absent:
        message = f"puts {absent[0]} on the path, which is not in the layer"
    remedy = (
        "Leave it out with exclude; if pip install -e left it, install the package "
        "itself."
    )
    if _is_editable(entry):
        message += ": it was left by an editable install"
        remedy = "Install the package itself: pip install without -e."
    return Finding(
        check="pth",
        severity=Severity.WARNING,
        path=entry.path,
        message=message,
        remedy=remedy,
    )
