"""yarn.lock, of yarn 1 and of those since, as values.

Both have an entry for each package, headed by all that leads to it ("name@range").
"""

from __future__ import annotations

import json
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

YARN_LOCK: Final = "yarn.lock"

_HEAD: Final = re.compile(r'(?!__metadata:)"?([^\s#].*?)"?:')
_FIELD: Final = re.compile(r'  (\w+):? "?(.+?)"?')
_WISH: Final = re.compile(r'    "?(@?[^\s"@:]+)"?:? "?(.+?)"?')
_IDENTITY: Final = re.compile(r"(@?[^@]+)@(?:npm:)?([^@]*)")
_ALIAS: Final = re.compile(r"npm:(@?[^@]+)@.*")
# yarn's own, for what wouldn't run by its other way to install.
_BUILTIN: Final = "builtin<"

_Fields = dict[str, str]


def read_yarn_lock(text: str, manifests: Mapping[str, bytes]) -> ForeignLock:
    """Read the text of a yarn.lock; raises `LockError` where npm can't follow.

    ``manifests`` are the project's package.json and those of its workspaces, by path:
    what they lead to isn't in the lock.
    """
    blocks = tuple(_blocks(text))
    leads_to: dict[str, Identity] = {}
    for keys, fields, _ in blocks:
        identity = _identity(keys[0], fields)
        if identity:
            leads_to |= dict.fromkeys(map(_plain, keys), identity)
    packages = (
        ForeignPackage(
            identity=leads_to[_plain(keys[0])],
            integrity=fields.get("integrity", ""),
            dependencies=_found(wishes, leads_to),
        )
        for keys, fields, wishes in blocks
        if _plain(keys[0]) in leads_to
    )
    direct = {
        path: _found(_asked(manifest), leads_to)
        for path, manifest in manifests.items()
        if path.endswith(".json")
    }
    return ForeignLock(
        where=YARN_LOCK, packages=tuple(packages), direct=direct, peers=False
    )


def _blocks(text: str) -> Iterator[tuple[list[str], _Fields, _Fields]]:
    """Give each entry: what leads to it, its fields, and what it asks for."""
    for block in re.split(r"\n{2,}", text):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        head = _HEAD.fullmatch(lines[0]) if lines else None
        if head is None:
            continue
        fields: _Fields = {}
        wishes: _Fields = {}
        group = ""
        for line in lines[1:]:
            if found := _FIELD.fullmatch(line):
                fields[found[1]] = found[2]
            elif wish := _WISH.fullmatch(line):
                wishes |= {wish[1]: wish[2]} if group in GROUPS else {}
            else:
                group = line.strip().rstrip(":")
        yield re.split(r'"?, "?', head[1]), fields, wishes


def _identity(key: str, fields: _Fields) -> Identity | None:
    """Say which package of the registry an entry is; none for the project's own."""
    resolution = fields.get("resolution", "")
    name, _, wanted = key.rpartition("@") if key.count("@") == 1 else _parted(key)
    if not resolution:
        alias = _ALIAS.fullmatch(wanted)
        if re.match(r"(file|link):|\.\.?/", wanted):
            return None
        if re.match(r"git|https?:|[^@\s]+/[^@\s]+$", wanted):
            raise inconvertible(YARN_LOCK, f"{key} is from no registry")
        return (alias[1] if alias else name), fields["version"]
    if "@workspace:" in resolution or "@link:" in resolution or _BUILTIN in resolution:
        return None
    found = _IDENTITY.fullmatch(resolution) if "@npm:" in resolution else None
    if found is None:
        what = "patched" if "@patch:" in resolution else "from no registry"
        raise inconvertible(YARN_LOCK, f"{resolution} is {what}")
    return found[1], found[2]


def _parted(key: str) -> tuple[str, str, str]:
    name, at, wanted = key[1:].partition("@")
    return key[0] + name, at, wanted


def _asked(manifest: bytes) -> dict[str, str]:
    document: Any = json.loads(manifest)
    groups = (document.get(group, {}) for group in GROUPS)
    return {name: wanted for group in groups for name, wanted in group.items()}


def _found(
    wishes: Mapping[str, str], leads_to: Mapping[str, Identity]
) -> dict[str, Identity]:
    keys = {name: _plain(f"{name}@{wanted}") for name, wanted in wishes.items()}
    return {name: leads_to[key] for name, key in keys.items() if key in leads_to}


def _plain(key: str) -> str:
    """Give a key as yarn 1 has it, without the protocol that says "the registry"."""
    name, _, wanted = key.partition("@npm:")
    return f"{name}@{wanted}" if wanted and "@" not in wanted else key
