"""Tarballs fetched from registries, read once, and kept as packs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from layerforge.archives.tarball import index_tarball
from layerforge.ecosystems.archives import fetch_archives
from layerforge.ecosystems.node.npmrc import NpmSettings
from layerforge.ecosystems.node.registry import open_npm_client, tarball_address
from layerforge.lock import Pin
from layerforge.pack import Pack, save_pack
from layerforge.store import Store
from layerforge.tools import Tools


def fetch_tarballs(
    pins: Sequence[Pin], settings: NpmSettings, tools: Tools
) -> dict[str, Pack]:
    """Have the tarballs of pins in the store, and give what is in them by digest.

    Raises what `fetch` does, and `ArchiveError` for a tarball that can't be taken.
    """

    def read(pin: Pin, path: Path) -> Pack:
        return admit_tarball(
            path,
            name=pin.name,
            version=pin.version,
            digest=pin.digest,
            store=tools.store,
        )

    def address(url: str) -> str:
        return tarball_address(url, settings)

    with open_npm_client(settings) as client:
        return fetch_archives(pins, client, tools, read, address=address)


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
