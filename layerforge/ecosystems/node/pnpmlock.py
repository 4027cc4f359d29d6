"""pnpm-lock.yaml, lockfileVersion 6 and 9, as values.

The format is described at https://github.com/pnpm/spec/tree/master/lockfile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from layerforge.ecosystems.node.foreignlock import (
    GROUPS,
    ForeignLock,
    ForeignPackage,
    Identity,
    inconvertible,
)

PNPM_LOCK: Final = "pnpm-lock.yaml"

_KNOWN: Final = re.compile(r"(6|9)\.\d+")
_LINE: Final = re.compile(r"( *)('[^']+'|\"[^\"]+\"|[^\s'\"#-].*?):(?: +(.*))?")
_INTEGRITY: Final = re.compile(r"integrity: ([^,}\s]+)")
_PEERS: Final = re.compile(r"\(.*\)$")
_IDENTITY: Final = re.compile(r"(@?[^@]+)@(.*)")


def read_pnpm_lock(text: str) -> ForeignLock:
    """Read the text of a pnpm-lock.yaml; raises `LockError` where npm can't follow."""
    document = _outline(text)
    version = document.get("lockfileVersion", "missing")
    if not _KNOWN.fullmatch(version):
        raise inconvertible(PNPM_LOCK, f"its lockfileVersion is {version}")
    if "patchedDependencies" in document:
        raise inconvertible(PNPM_LOCK, "it has packages that are patched")
    importers = document.get("importers", {".": document})
    if list(importers) != ["."]:
        raise inconvertible(PNPM_LOCK, "it is a workspace's, with several packages")
    direct = {
        name: _identity(name, row.get("version", ""))
        for group in GROUPS
        for name, row in importers["."].get(group, {}).items()
    }
    return ForeignLock(
        where=PNPM_LOCK,
        packages=tuple(_packages(document)),
        direct={"package.json": direct},
        peers=document.get("settings", {}).get("autoInstallPeers") == "true",
    )


def _packages(document: Mapping[str, Any]) -> Iterator[ForeignPackage]:
    packages = document.get("packages", {})
    # Until lockfileVersion 9 these were one.
    for key, row in document.get("snapshots", packages).items():
        known = packages.get(_PEERS.sub("", key), row)
        integrity = _INTEGRITY.search(known.get("resolution", ""))
        if not integrity:
            raise inconvertible(PNPM_LOCK, f"{key.lstrip('/')} is from no registry")
        yield ForeignPackage(
            identity=_identity("", key),
            integrity=integrity[1],
            dependencies={
                name: _identity(name, wanted)
                for group in GROUPS
                for name, wanted in row.get(group, {}).items()
            },
        )


def _identity(name: str, told: str) -> Identity:
    """Read ``1.2.3(peer@1)``, or, under another name, ``/other@1.2.3``."""
    bare = _PEERS.sub("", told).removeprefix("/")
    match = _IDENTITY.fullmatch(bare)
    found, version = match.groups() if match else (name, bare)
    if not re.match(r"\d", version):
        raise inconvertible(PNPM_LOCK, f"{found or told} is from no registry: {told}")
    return found, version


def _outline(text: str) -> dict[str, Any]:
    """Read the little of YAML that pnpm writes: mappings, one key a line.

    Lists and wrapped texts are left out: nothing that is looked for is one.
    """
    root: dict[str, Any] = {}
    holders: list[tuple[int, dict[str, Any]]] = [(-1, root)]
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        indent, key, value = len(match[1]), match[2].strip("'\""), match[3]
        while holders[-1][0] >= indent:
            holders.pop()
        holder = holders[-1][1]
        if value and value != "{}":
            holder[key] = value.strip("'\"")
        else:
            holder[key] = {}
            holders.append((indent, holder[key]))
    return root
