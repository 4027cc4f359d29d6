"""Archives of any language, fetched in parallel and read as they come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from layerforge.client import Client
from layerforge.fetch import Download, fetch
from layerforge.lock import Pin
from layerforge.pack import Pack
from layerforge.tools import Tools

CONNECTIONS: Final = 8
# A reader may hold a whole library: so few that memory stays bounded.
_READERS: Final = threading.BoundedSemaphore(2)


def fetch_archives(
    pins: Iterable[Pin],
    client: Client,
    tools: Tools,
    read: Callable[[Pin, Path], Pack],
    *,
    address: Callable[[str], str] = str,
) -> dict[str, Pack]:
    """Have the pins' archives in the store, and give what ``read`` made, by digest.

    ``address`` says where what a lock calls so is fetched from. Raises what `fetch`
    and ``read`` do.
    """
    by_digest = {pin.digest: pin for pin in pins}
    packs: dict[str, Pack] = {}

    def after(download: Download, path: Path) -> None:
        with _READERS:
            packs[download.digest] = read(by_digest[download.digest], path)

    downloads = [
        Download(
            name=pin.filename,
            url=address(pin.url),
            digest=pin.digest,
            size=pin.size or None,
        )
        for pin in by_digest.values()
    ]
    fetch(
        downloads,
        tools.store,
        client,
        listen=tools.listen,
        jobs=CONNECTIONS,
        after=after,
    )
    return packs
