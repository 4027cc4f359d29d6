from __future__ import annotations

from pathlib import Path

import pytest

from layerforge import pack as pack_module
from layerforge.pack import Pack, load_pack, save_pack
from layerforge.store import Store
from layerforge.tree import Content, FileEntry
from tests.elf_files import DATA, DEBUG, TEXT, make_elf
from tests.entries import make_entry

SHA256 = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def pack(store: Store, tmp_path: Path) -> Pack:
    """Give a pack of each kind of entry, whose bytes lie in the store's artifact."""
    archive = str(store.artifact(SHA256))
    library = make_entry(tmp_path, "python/ä.so", bytes(make_elf(TEXT, DATA, DEBUG)))
    return Pack(
        name="demo",
        version="1.0",
        digest=SHA256,
        entries=(
            FileEntry(
                path="python/bin/run",
                origin="demo",
                content=content(archive),
                executable=True,
            ),
            FileEntry(
                path=library.path,
                origin="demo",
                content=content(archive),
                elf=library.elf,
            ),
            FileEntry(path="python/link", origin="demo", link="bin/run"),
        ),
        scripts=("python/bin/run",),
        left_out=("demo-1.0.data/headers/demo.h",),
        requires=('other>=2; extra == "fast"',),
        requires_python=">=3.9",
    )


def content(file: str) -> Content:
    return Content(
        file=file, offset=40, length=9, method=8, size=12, crc32=77, sha256="cd" * 32
    )


def index(store: Store) -> Path:
    (path,) = (store.root / "indexes").rglob("*/*")
    return path


def test_an_index_is_read_as_it_was_kept(store: Store, pack: Pack) -> None:
    save_pack(store, pack)

    assert load_pack(store, SHA256) == pack


def test_an_index_finds_its_archive_where_the_store_is_now(
    store: Store, pack: Pack, tmp_path: Path
) -> None:
    save_pack(store, pack)
    moved = Store(store.root.rename(tmp_path / "moved"))

    loaded = load_pack(moved, SHA256)

    assert loaded is not None
    assert {entry.content.file for entry in loaded.entries if entry.content} == {
        str(moved.artifact(SHA256))
    }


def test_an_index_that_was_never_made_is_none(store: Store) -> None:
    assert load_pack(store, SHA256) is None


def test_a_prediction_is_kept_apart_from_the_whole(store: Store, pack: Pack) -> None:
    predicted = Pack(
        name="demo", version="1.0", digest=SHA256, entries=(), predicted=True
    )
    save_pack(store, predicted)

    assert load_pack(store, SHA256) is None
    assert load_pack(store, SHA256, predicted=True) == predicted

    save_pack(store, pack)
    assert load_pack(store, SHA256) == pack


def test_an_index_of_other_rules_is_none(
    store: Store, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pack(store, pack)

    monkeypatch.setattr(pack_module, "FORMAT", pack_module.FORMAT + 1)

    assert load_pack(store, SHA256) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"[]", b"{}", b'{"name": 1}'])
def test_a_damaged_index_is_none(store: Store, pack: Pack, damage: bytes) -> None:
    save_pack(store, pack)
    index(store).write_bytes(damage)

    assert load_pack(store, SHA256) is None


def test_an_index_that_was_cut_short_is_none(store: Store, pack: Pack) -> None:
    save_pack(store, pack)
    index(store).write_bytes(index(store).read_bytes()[:200])

    assert load_pack(store, SHA256) is None


def test_size_is_that_of_all_entries(pack: Pack) -> None:
    assert pack.size == 12 + 12 + len("bin/run")
