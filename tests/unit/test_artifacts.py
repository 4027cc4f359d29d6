"""Pins' wheels, had in the store or only looked at, from a server on 127.0.0.1."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256, shake_256
from pathlib import Path

import pytest

from layerforge.client import Client
from layerforge.ecosystems.python.artifacts import (
    fetch_packs,
    learn_wheels,
    open_client,
    present_packs,
)
from layerforge.ecosystems.python.packs import obtain_packs
from layerforge.errors import ArchiveError, FetchError
from layerforge.events import Event, Noted
from layerforge.indexes import IndexSettings
from layerforge.lock import Lock, Pin
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from tests.servers import Index
from tests.wheels import make_wheel

TARGET = Target(runtime=find_runtime("python3.13"), arch=Arch.X86_64)


@pytest.fixture(autouse=True)
def _neutral(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    for name in ("one", "two"):
        data = shake_256(name.encode()).digest(100_000)
        make_wheel(folder, name, "1.0", {f"{name}.bin": data}, requires=["other"])
    with Index(folder) as index:
        yield index


@pytest.fixture
def pins(index: Index) -> list[Pin]:
    return [
        pin(path, index.file_url(path.name)) for path in sorted(index.folder.iterdir())
    ]


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(retries=0, timeout=5) as client:
        yield client


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def tools(tmp_path: Path, heard: list[Event]) -> Tools:
    return Tools(store=Store(tmp_path / "store"), listen=heard.append)


def pin(path: Path, url: str) -> Pin:
    return Pin(
        name=path.name.partition("-")[0],
        version="1.0",
        filename=path.name,
        url=url,
        digest=sha256(path.read_bytes()).hexdigest(),
        size=path.stat().st_size,
    )


def notes(heard: list[Event]) -> list[str]:
    return [event.message for event in heard if isinstance(event, Noted)]


class TestFetch:
    def test_gives_whole_packs_and_keeps_them(
        self, pins: list[Pin], client: Client, tools: Tools
    ) -> None:
        packs = fetch_packs(pins, client, tools)

        assert sorted(packs) == ["one", "two"]
        assert not any(pack.predicted for pack in packs.values())
        assert present_packs(pins, tools) == packs

    def test_refuses_other_bytes_than_were_locked(
        self, index: Index, pins: list[Pin], client: Client, tools: Tools
    ) -> None:
        file = index.folder / pins[0].filename
        whole = bytearray(file.read_bytes())
        whole[-1] ^= 1
        file.write_bytes(whole)

        with pytest.raises(ArchiveError) as caught:
            fetch_packs(pins, client, tools)

        assert pins[0].digest in caught.value.message
        assert sha256(whole).hexdigest() in caught.value.message
        assert "one" not in present_packs(pins, tools)

    def test_refuses_a_malformed_wheel_that_was_locked(
        self, index: Index, client: Client, tools: Tools
    ) -> None:
        file = index.folder / "bad-1.0-py3-none-any.whl"
        file.write_bytes(b"no zip")

        with pytest.raises(ArchiveError) as caught:
            fetch_packs([pin(file, index.file_url(file.name))], client, tools)

        assert caught.value.message.startswith("bad-1.0-py3-none-any.whl: ")


class TestPresent:
    def test_is_nothing_in_an_empty_store(self, pins: list[Pin], tools: Tools) -> None:
        assert present_packs(pins, tools) == {}

    def test_is_nothing_where_the_wheel_itself_is_gone(
        self, pins: list[Pin], client: Client, tools: Tools
    ) -> None:
        fetch_packs(pins, client, tools)
        tools.store.artifact(pins[0].digest).unlink()

        assert list(present_packs(pins, tools)) == ["two"]


class TestLearn:
    def test_reads_only_parts(
        self, pins: list[Pin], client: Client, tools: Tools, index: Index
    ) -> None:
        packs = learn_wheels(pins, client, tools)

        assert all(pack.predicted for pack in packs.values())
        assert {pack.requires for pack in packs.values()} == {("other",)}
        assert all("range" in request.headers for request in index.requests)
        assert present_packs(pins, tools) == {}

    def test_asks_once(
        self, pins: list[Pin], client: Client, tools: Tools, index: Index
    ) -> None:
        first = learn_wheels(pins, client, tools)
        index.requests.clear()

        again = learn_wheels(pins, client, tools)

        assert {name: pack.size for name, pack in again.items()} == {
            name: pack.size for name, pack in first.items()
        }
        assert index.requests == []

    def test_prefers_what_is_known_for_sure(
        self, pins: list[Pin], client: Client, tools: Tools
    ) -> None:
        learn_wheels(pins, client, tools)
        fetch_packs(pins[:1], client, tools)

        packs = learn_wheels(pins, client, tools)

        assert [packs[name].predicted for name in ("one", "two")] == [False, True]

    def test_fetches_where_the_server_gives_no_parts_and_says_so(
        self,
        pins: list[Pin],
        client: Client,
        tools: Tools,
        index: Index,
        heard: list[Event],
    ) -> None:
        index.ranges = False

        packs = learn_wheels(pins, client, tools)

        assert sorted(packs) == ["one", "two"]
        assert not any(pack.predicted for pack in packs.values())
        assert notes(heard) == [
            f"{one.filename} is fetched whole: its index gives no parts of it"
            for one in pins
        ]

    def test_reads_files_of_this_machine_without_a_word(
        self, index: Index, client: Client, tools: Tools, heard: list[Event]
    ) -> None:
        local = [pin(path, path.as_uri()) for path in sorted(index.folder.iterdir())]

        packs = learn_wheels(local, client, tools)

        assert sorted(packs) == ["one", "two"]
        assert notes(heard) == []
        assert index.requests == []

    def test_fails_where_a_wheel_is_not_there(
        self, index: Index, pins: list[Pin], client: Client, tools: Tools
    ) -> None:
        (index.folder / pins[0].filename).unlink()

        with pytest.raises(FetchError) as caught:
            learn_wheels(pins, client, tools)

        assert caught.value.message == (
            f"{pins[0].url}: {index.host} answered 404 Not Found"
        )


class TestObtain:
    def lock(self, pins: list[Pin]) -> Lock:
        return Lock(layer="web", target="", inputs="", roots=(), pins=tuple(pins))

    def test_gives_packs_in_the_locks_order(
        self, pins: list[Pin], tools: Tools
    ) -> None:
        packs = obtain_packs(
            self.lock(pins[::-1]), LayerSpec(name="web"), TARGET, tools
        )

        assert [pack.name for pack in packs] == ["two", "one"]

    def test_uses_the_credentials_that_the_requirements_carry(
        self, pins: list[Pin], index: Index, tools: Tools, tmp_path: Path
    ) -> None:
        index.credentials = ("me", "s@cret")
        file = tmp_path / "requirements.txt"
        file.write_text(f"-i http://me:s%40cret@{index.host}/simple/\none\ntwo\n")
        spec = LayerSpec(name="web", requirements=Requirements(file=file))

        packs = obtain_packs(self.lock(pins), spec, TARGET, tools)

        assert [pack.name for pack in packs] == ["one", "two"]

    def test_asks_nobody_for_what_is_in_the_store(
        self, pins: list[Pin], index: Index, tools: Tools
    ) -> None:
        obtain_packs(self.lock(pins), LayerSpec(name="web"), TARGET, tools)
        index.requests.clear()

        obtain_packs(self.lock(pins), LayerSpec(name="web"), TARGET, tools)

        assert index.requests == []


def test_a_client_has_the_credentials_of_its_settings(
    index: Index, pins: list[Pin]
) -> None:
    index.credentials = ("me", "secret")
    settings = IndexSettings(index_url=f"http://me:secret@{index.host}/simple/")

    with open_client(settings) as client:
        assert client.read_range(pins[0].url, 0, 2) == b"PK"
