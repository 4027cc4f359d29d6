"""Tarballs fetched from registries, read once, and kept as packs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from layerforge.ecosystems import Tools
from layerforge.ecosystems.node.npmrc import NpmSettings
from layerforge.ecosystems.node.registry import open_npm_client, tarball_address
from layerforge.fetch import Download, fetch
from layerforge.lock import Pin
from layerforge.pack import Pack, save_pack
from layerforge.store import Store
from layerforge.tarball import index_tarball

_CONNECTIONS: Final = 8
# A reader may hold a whole file of a package: so few that memory stays bounded.
_READERS: Final = threading.BoundedSemaphore(2)


def fetch_tarballs(
    pins: Sequence[Pin], settings: NpmSettings, tools: Tools
) -> dict[str, Pack]:
    """Have the tarballs of pins in the store, and give what is in them by digest.

    Raises what `fetch` does, and `ArchiveError` for a tarball that can't be taken.
    """
    by_digest = {pin.digest: pin for pin in pins}
    packs: dict[str, Pack] = {}

    def read(download: Download, path: Path) -> None:
        pin = by_digest[download.digest]
        with _READERS:
            packs[pin.digest] = admit_tarball(
                path,
                name=pin.name,
                version=pin.version,
                digest=pin.digest,
                store=tools.store,
            )

    downloads = [
        Download(
            name=pin.filename,
            url=tarball_address(pin.url, settings),
            digest=pin.digest,
        )
        for pin in by_digest.values()
    ]
    with open_npm_client(settings) as client:
        fetch(
            downloads,
            tools.store,
            client,
            listen=tools.listen,
            jobs=_CONNECTIONS,
            after=read,
        )
    return packs


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
