"""How a Node.js layer's lock is made: by npm, unless there is one that agrees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from layerforge.bases import Base, without_provided
from layerforge.containers.image import Image
from layerforge.ecosystems.node.agreement import has_overrides, missing_binaries
from layerforge.ecosystems.node.foreign import convert_lock
from layerforge.ecosystems.node.installation import read_installation, to_lock
from layerforge.ecosystems.node.lockfiles import (
    foreign_lock,
    hold_to_inputs,
    load_package_lock,
    lock_path,
    manifest_text,
    read_text,
    refuse_workspace,
    signed,
)
from layerforge.ecosystems.node.manifests import project_files
from layerforge.ecosystems.node.npm import find_npm, make_package_lock
from layerforge.ecosystems.node.npmrc import read_npmrc
from layerforge.ecosystems.node.packs import obtain_packs
from layerforge.ecosystems.node.toolchain import have_build_image
from layerforge.errors import DamagedLockError, LockError, UnsuitableLockError
from layerforge.files import replace_file
from layerforge.lock import Lock, Pin
from layerforge.pack import Pack
from layerforge.spec import LayerSpec
from layerforge.target import Target
from layerforge.tools import Tools


def make_lock(  # noqa: PLR0913 - what a lock is made for, and from
    spec: LayerSpec,
    target: Target,
    base: str,
    tools: Tools,
    *,
    preferred: Sequence[Pin],
    bases: Sequence[Base] = (),
) -> tuple[Lock, Mapping[str, Pack]]:
    """Bring a layer's package-lock.json up to date, and give what it has for a target.

    Where it agrees with its package.json, and nothing is to be upgraded, it stays as it
    is, and no npm is needed. A first one goes on from that of the first of its
    ``bases``, so that what both have is the same. Every package is fetched, as nothing
    less tells its size.
    """
    path = lock_path(spec)
    present = _present(path, spec, target)
    kept = {pin.id for pin in preferred}
    pins = present.pins if present else ()
    freed = {pin.known_as for pin in pins if pin.id not in kept}
    # npm's lock doesn't say which overrides it was made with.
    asked = present is None or has_overrides(manifest_text(spec))
    if freed or asked or not _agrees(path, spec, target):
        places = (path, *(each.path for each in bases))
        before = next(filter(None, map(_text_to_go_on_from, places)), "")
        upgrade = bool(freed) and not preferred
        text = _resolved(path, spec, target, tools, _Past(before, freed, upgrade))
        with _unless_refused(path):
            replace_file(path, text)
            whole = to_lock(read_installation(path, spec, target), path, spec, target)
            without_provided(whole, [each.lock for each in bases])
    installation = read_installation(path, spec, target)
    lock = to_lock(installation, path, spec, target)
    packs = obtain_packs(lock, spec, target, base, tools)
    return lock, {pack.name: pack for pack in packs}


@contextmanager
def _unless_refused(path: Path) -> Iterator[None]:
    """Put back the lock that there was, where the new one can't stand on its bases."""
    before = path.read_bytes() if path.exists() else None
    try:
        yield
    except LockError:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            replace_file(path, before.decode())
        raise


def _present(path: Path, spec: LayerSpec, target: Target) -> Lock | None:
    if not path.exists():
        return None
    try:
        return to_lock(read_installation(path, spec, target), path, spec, target)
    except DamagedLockError:
        return None
    except UnsuitableLockError:
        if _agrees(path, spec, target):
            raise
        return None


def _text_to_go_on_from(path: Path) -> str:
    """Give the text of a lock that npm can read; '' where there is none."""
    if not path.exists():
        return ""
    try:
        load_package_lock(path)
    except DamagedLockError:
        return ""
    return read_text(path)


def _agrees(path: Path, spec: LayerSpec, target: Target) -> bool:
    try:
        hold_to_inputs(path, spec)
    except LockError:
        return False
    return not missing_binaries(load_package_lock(path), target)


class _Past(NamedTuple):
    """What a lock goes on from: a text, and which names of it may change, or all."""

    text: str
    freed: set[str]
    upgrade: bool


def _resolved(
    path: Path, spec: LayerSpec, target: Target, tools: Tools, past: _Past
) -> str:
    def image() -> Image:
        return have_build_image(target, spec.system_packages, tools)

    refuse_workspace(spec)
    settings = read_npmrc(path.parent)
    npm = find_npm(settings, image, tools.containers)
    files = project_files(manifest_text(spec).encode(), path.parent)
    foreign = foreign_lock(spec)
    if foreign:
        return signed(convert_lock(foreign, files, npm), foreign)
    return make_package_lock(
        npm,
        files,
        present=past.text,
        freed=past.freed,
        upgrade=past.upgrade,
        listen=tools.listen,
    )
