"""Wheels: had in the store and read, or, for a lock alone, only looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from layerforge.client import Client, RangeUnsupported
from layerforge.credentials import with_credentials
from layerforge.ecosystems.archives import CONNECTIONS, fetch_archives
from layerforge.ecosystems.python.skim import skim_wheel
from layerforge.ecosystems.python.wheel import index_wheel
from layerforge.errors import FetchError
from layerforge.events import Noted
from layerforge.indexes import IndexSettings, machine_settings
from layerforge.lock import Pin
from layerforge.pack import Pack, load_pack, save_pack
from layerforge.tools import Tools


def open_client(indexes: IndexSettings) -> Client:
    """Give a client with the credentials and CA bundle of index settings."""
    bundle = Path(indexes.ca_bundle) if indexes.ca_bundle else None
    return Client(credentials=indexes.credentials, ca_bundle=bundle)


def find_indexes(tools: Tools, named: IndexSettings | None = None) -> IndexSettings:
    """Say where to look, and as whom: by options, what files ``named``, the machine."""
    told = tools.indexes.or_else(named) if named else tools.indexes
    return with_credentials(told.or_else(machine_settings()), tools.listen)


def present_packs(pins: Sequence[Pin], tools: Tools) -> dict[str, Pack]:
    """Give the packs of those pins whose wheels are in the store, and read, by name."""
    packs: dict[str, Pack] = {}
    for pin in pins:
        pack = load_pack(tools.store, pin.digest)
        if pack and tools.store.holds(pin.digest):
            packs[pin.name] = pack
    return packs


def known_packs(pins: Sequence[Pin], tools: Tools) -> dict[str, Pack]:
    """Give the packs of pins by name, as far as the store has them or predictions."""
    packs = present_packs(pins, tools)
    for pin in pins:
        predicted = load_pack(tools.store, pin.digest, predicted=True)
        if predicted:
            packs.setdefault(pin.name, predicted)
    return packs


def fetch_packs(pins: Sequence[Pin], client: Client, tools: Tools) -> dict[str, Pack]:
    """Have the pins' wheels in the store, and give their packs by name."""

    def read(pin: Pin, path: Path) -> Pack:
        pack = index_wheel(path, pin.filename, pin.digest)
        save_pack(tools.store, pack)
        return pack

    packs = fetch_archives(pins, client, tools, read)
    return {pin.name: packs[pin.digest] for pin in pins}


def learn_wheels(
    pins: Sequence[Pin], client: Client, tools: Tools
) -> Mapping[str, Pack]:
    """Give every pin's pack, by name.

    Where the store hasn't got a wheel, only its directory, its metadata and the heads
    of its libraries are read.
    """
    packs = known_packs(pins, tools)
    unknown = [pin for pin in pins if pin.name not in packs]
    sized = sized_pins(unknown, client)
    remote = [pin for pin in sized if pin.size and not pin.path]
    with (
        ThreadPoolExecutor(CONNECTIONS) as readers,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        for pack in pool.map(lambda pin: _skim(pin, client, readers), remote):
            if pack:
                save_pack(tools.store, pack)
                packs[pack.name] = pack
    opaque = [pin for pin in unknown if pin.name not in packs]
    for pin in opaque:
        if not pin.path:
            message = f"{pin.filename} is fetched whole: its index gives no parts of it"
            tools.listen(Noted(message=message))
    return packs | fetch_packs(opaque, client, tools)


def sized_pins(pins: Sequence[Pin], client: Client) -> tuple[Pin, ...]:
    """Ask for the sizes that nobody told: less of a wheel need then be fetched."""

    def sized(pin: Pin) -> Pin:
        if pin.size or pin.path or not pin.filename:
            return pin
        with suppress(FetchError):
            return replace(pin, size=client.size(pin.url))
        return pin

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return tuple(pool.map(sized, pins))


def _skim(pin: Pin, client: Client, readers: Executor) -> Pack | None:
    try:
        return skim_wheel(pin, client, readers)
    except RangeUnsupported:
        return None
