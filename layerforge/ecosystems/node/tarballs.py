"""Tarballs taken in: read once, and kept as a pack."""

from __future__ import annotations

from pathlib import Path

from layerforge.pack import Pack, save_pack
from layerforge.store import Store
from layerforge.tarball import index_tarball


def admit_tarball(
    path: Path, *, name: str, version: str, digest: str, store: Store
) -> Pack:
    """Read an npm tarball that is in the store, and keep what is in it.

    Paths of entries are below the package. Raises `ArchiveError`.
    """
    pack = Pack(
        name=name,
        version=version,
        digest=digest,
        entries=index_tarball(path, f"{name} {version}", digest, store),
        unpacked=True,
    )
    save_pack(store, pack)
    return pack
