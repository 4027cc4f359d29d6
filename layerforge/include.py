"""The user's own files, as entries of a layer.

Only what a checkout would have is taken: no bytecode, no version control, no notes of
an operating system. Of a file's mode only its owner's x bit counts, so that a umask
makes no other layer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from layerforge.elf.others import foreign_format
from layerforge.elf.reader import find_facts
from layerforge.errors import ConfigError
from layerforge.spec import Include, unreadable
from layerforge.store import Store
from layerforge.tree import FileEntry

ORIGIN: Final = "include"

_TRANSFORM: Final = "include"


def read_includes(includes: Sequence[Include], store: Store) -> tuple[FileEntry, ...]:
    """Read every included file, its deflated bytes kept in the store by content."""
    return tuple(
        _entry(source, destination, store)
        for include in includes
        for source, destination in include.files()
    )


def _entry(source: Path, destination: str, store: Store) -> FileEntry:
    _refuse_undecodable(source, destination)
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
        raise unreadable(error) from error
    return FileEntry(
        path=destination,
        origin=ORIGIN,
        content=store.keep(data, _TRANSFORM),
        executable=executable,
        elf=find_facts(data),
        foreign=foreign_format(data),
    )


def _link(source: Path, destination: str) -> FileEntry:
    target = os.readlink(source)  # noqa: PTH115 - as it is written, "./" and all
    _refuse_undecodable(source, target)
    landing = os.path.normpath(PurePosixPath(destination).parent / target)
    if os.path.isabs(target) or landing.startswith(".."):  # noqa: PTH117 - of no disk
        raise ConfigError(
            f"{source} is a link out of the layer, to {target}",
            remedy="Include what it points at.",
        )
    return FileEntry(path=destination, origin=ORIGIN, link=target)


def _refuse_undecodable(source: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{str(source)!a} has a name, or is a link to one, that is not UTF-8",
            remedy="Rename it: zips hold names in UTF-8.",
        ) from error
