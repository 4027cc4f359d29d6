"""The user's own files, as entries of a layer.

Only what a checkout would have is taken: no bytecode, no version control, no notes of
an operating system. Of a file's mode only its owner's x bit counts, so that a umask
makes no other layer.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from layerforge.elf import ElfError, is_elf, read_facts
from layerforge.errors import ConfigError
from layerforge.spec import Include
from layerforge.store import Store
from layerforge.tree import FileEntry

ORIGIN: Final = "include"

_LEFT_OUT: Final = {"__pycache__", ".git", ".hg", ".svn", ".DS_Store"}
_TRANSFORM: Final = "include"


def read_includes(includes: Sequence[Include], store: Store) -> tuple[FileEntry, ...]:
    """Read every included file, its deflated bytes kept in the store by content."""
    return tuple(
        _entry(source, destination, store)
        for include in includes
        for source, destination in _files(include)
    )


def signature(includes: Sequence[Include]) -> list[tuple[str, str, int, int, int]]:
    """Tell cheaply whether included files may have changed: names, sizes and times."""
    found = []
    for include in includes:
        for source, destination in _files(include):
            status = source.lstat()
            executable = status.st_mode & 0o100
            found.append(
                (
                    str(source),
                    destination,
                    status.st_size,
                    status.st_mtime_ns,
                    executable,
                )
            )
    return found


def _files(include: Include) -> Iterator[tuple[Path, str]]:
    source, destination = include.source, PurePosixPath(include.destination)
    if not source.is_dir():
        yield source, str(destination)
        return
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(set(folders) - _LEFT_OUT)
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted({*names, *linked} - _LEFT_OUT):
            if not name.endswith((".pyc", ".pyo")):
                path = Path(folder) / name
                yield path, str(destination / path.relative_to(source).as_posix())


def _entry(source: Path, destination: str, store: Store) -> FileEntry:
    try:
        if source.is_symlink():
            return _link(source, destination)
        if not source.is_file():
            raise ConfigError(
                f"{source} is neither file, folder nor link",
                remedy="Include what a zip can hold.",
            )
        data = source.read_bytes()
        executable = bool(source.stat().st_mode & 0o100)
    except OSError as error:
        raise ConfigError(f"cannot read {source}: {error.strerror}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    content = store.derived(sha256, _TRANSFORM) or store.derive(
        sha256, _TRANSFORM, data
    )
    facts = None
    if is_elf(data):
        try:
            facts = read_facts(data)
        except ElfError:
            facts = None
    return FileEntry(
        path=destination,
        origin=ORIGIN,
        content=content,
        executable=executable,
        elf=facts,
    )


def _link(source: Path, destination: str) -> FileEntry:
    target = os.readlink(source)  # noqa: PTH115 - as it is written, "./" and all
    landing = os.path.normpath(PurePosixPath(destination).parent / target)
    if os.path.isabs(target) or landing.startswith(".."):  # noqa: PTH117 - of no disk
        raise ConfigError(
            f"{source} is a link out of the layer, to {target}",
            remedy="Include what it points at.",
        )
    return FileEntry(path=destination, origin=ORIGIN, link=target)
