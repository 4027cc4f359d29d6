"""Symbolic links of a layer: whether what they lead to is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from posixpath import basename, dirname
from typing import Final

from layerforge.findings import Finding, Severity
from layerforge.tree import Tree

_MOST_HOPS: Final = 40  # as many as Linux follows
# Folders that each of Lambda's images has, besides the layer's own.
_HOST_FOLDERS: Final = frozenset(
    {"bin", "dev", "etc", "lib", "lib64", "mnt", "proc", "run", "tmp", "usr", "var"}
)
# What is loaded by its name, so that a link which leads nowhere breaks it.
_CODE: Final = (".py", ".so", ".js", ".cjs", ".mjs", ".node")
_REMEDY: Final = "Put the file itself there, or leave the link out with exclude."


def check_links(tree: Tree) -> Iterator[Finding]:
    """Find links that lead nowhere, or out of the layer.

    An error where a module is such a link; else a warning: nothing may follow it.
    """
    links = {entry.path: entry.link for entry in tree if entry.link}
    if not links:
        return
    present = {entry.path for entry in tree}
    for path in tuple(present):
        while (path := dirname(path)) not in present:
            present.add(path)
    for path in links:
        end = follow(path, links)
        top, _, inside = end.strip("/").partition("/")
        if top == "opt" and inside in present:
            continue
        lost = not end or (top not in _HOST_FOLDERS and end != "/")
        yield Finding(
            check="link",
            severity=Severity.ERROR if lost and _is_code(path) else Severity.WARNING,
            path=path,
            message=_message(end, top, lost=lost),
            remedy=_REMEDY,
        )


def follow(path: str, links: Mapping[str, str]) -> str:
    """Say where a path below /opt leads, from the root; '' where that has no end.

    ``links`` are those of the layer, each with its target.
    """
    ahead = ["opt", *path.split("/")][::-1]
    behind: list[str] = []
    hops = 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            behind = behind[:-1]
        elif part not in {"", "."}:
            behind.append(part)
        target = links.get("/".join(behind[1:])) if behind[:1] == ["opt"] else None
        if not target or part in {"", ".", ".."}:
            continue
        hops += 1
        if hops > _MOST_HOPS:
            return ""
        behind = [] if target.startswith("/") else behind[:-1]
        ahead += target.split("/")[::-1]
    return "/" + "/".join(behind)


def _is_code(path: str) -> bool:
    return path.endswith(_CODE) and not basename(path).startswith(".")


def _message(end: str, top: str, *, lost: bool) -> str:
    if not end:
        return "is a link that goes round in a circle"
    if top == "opt":
        return f"is a link to {end}, which is not in the layer"
    if lost:
        return f"is a link to {end}, which Lambda hasn't got"
    return (
        f"is a link out of the layer, to {end}: whether that is there, is the runtime's"
    )
