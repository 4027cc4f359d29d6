"""@vercel/nft, which follows code to the files it needs without running any of it.

Got as a layer's packages are: by a lock, data/package-lock.nft.json, through the store.
Another release of it may keep other files. To renew the lock, have npm make one for
@vercel/nft alone (--package-lock-only --omit-lockfile-registry-resolved).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from layerforge.ecosystems.node.installation import read_installation, to_lock
from layerforge.ecosystems.node.lockfiles import lock_path
from layerforge.ecosystems.node.nodejs import find_node
from layerforge.ecosystems.node.packagelock import MODULES
from layerforge.ecosystems.node.packs import obtain_packs
from layerforge.errors import BuildError
from layerforge.spec import LayerSpec, Requirements
from layerforge.strip import Profile, Stripping, rules_for, strip
from layerforge.target import Target
from layerforge.tools import Tools
from layerforge.tree import FileEntry

_DATA: Final = Path(__file__).parents[2] / "data"
_PROGRAM: Final = Path(__file__).with_name("programs") / "shake.mjs"
_MAIN: Final = "node_modules/@vercel/nft/out/index.js"
_OLDEST: Final = 20  # Node.js that it runs on


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A module that was asked for by ``name``, and not found; ``parent`` is a file."""

    name: str
    parent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Where entry points lead: paths below /opt, or on this machine outside of it.

    ``unread`` are files of code that can't be parsed, and why.
    """

    reached: frozenset[str]
    missing: tuple[Missing, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()


def trace(
    entries: Iterable[FileEntry],
    entry_points: Sequence[Path],
    own: Iterable[str],
    target: Target,
    tools: Tools,
) -> Trace:
    """Follow ``entry_points``, and the files of the layer that are its ``own``.

    It is told by the files, the target and the release of nft alone: what else is
    installed on this machine isn't looked at. Raises `BuildError` where there is no
    Node.js, or nft fails.
    """
    node = _node(target, tools)
    with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
        folder = Path(name).resolve()
        layer = folder / "opt"
        _write(_packages(target, tools), folder / "nft")
        _write(entries, layer)
        starts = [*(path.resolve() for path in entry_points), *map(layer.joinpath, own)]
        asked = {
            "nft": str(folder / "nft" / _MAIN),
            "layer": str(layer),
            "base": str((layer / target.runtime.search_path[0]).parent),
            "entryPoints": sorted(map(str, starts)),
            "cpu": target.arch.npm,
        }
        question = folder / "question.json"
        question.write_text(json.dumps(asked), encoding="utf-8")
        return _trace(_answer([node, _PROGRAM, question], folder))


def _node(target: Target, tools: Tools) -> Path:
    """Have a Node.js like the target's, whose version decides what packages export."""
    major = max(target.runtime.version_info[0], _OLDEST)
    try:
        return find_node(str(major), tools)
    except BuildError as error:
        raise BuildError(
            f"shake needs Node.js {major}: {error.message}",
            remedy=f"Install it (nvm install {major}), or build without shake.",
        ) from error


def _packages(target: Target, tools: Tools) -> tuple[FileEntry, ...]:
    """Have the files of nft, and of what it depends on."""
    spec = LayerSpec(
        name="nft", requirements=Requirements(language="node", folder=_DATA)
    )
    path = lock_path(spec)
    lock = to_lock(read_installation(path, spec, target), path, spec, target)
    packs = obtain_packs(lock, spec, target, "", tools)
    entries = [entry for pack in packs for entry in pack.entries]
    rules = rules_for(target, Profile.SAFE)
    return strip(entries, Stripping(root=MODULES, rules=rules)).entries


def _write(entries: Iterable[FileEntry], folder: Path) -> None:
    """Lay files out to be read as code: of libraries, it is enough that they exist."""
    for entry in entries:
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.content is None:
            path.symlink_to(entry.link)
        else:
            path.write_bytes(b"" if entry.elf else entry.content.inflated())


def _answer(command: Sequence[str | Path], folder: Path) -> dict[str, Any]:
    # LIBC is what node-gyp-build goes by, on a machine of another kind too.
    ended = subprocess.run(
        command,
        cwd=folder,
        env={"LIBC": "glibc"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    try:
        answer: dict[str, Any] = (
            json.loads(ended.stdout) if not ended.returncode else {}
        )
    except ValueError:
        answer = {}
    if "reached" not in answer:
        said = ended.stderr.strip() or f"exit status {ended.returncode}"
        raise BuildError(
            f"@vercel/nft can't follow the entry points: {said}",
            remedy="Build without shake.",
        )
    return answer


def _trace(answer: dict[str, Any]) -> Trace:
    return Trace(
        reached=frozenset(answer["reached"]),
        missing=tuple(
            Missing(name=row["name"], parent=row["parent"]) for row in answer["missing"]
        ),
        unread=tuple((row["file"], row["why"]) for row in answer["unread"]),
    )
