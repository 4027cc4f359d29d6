from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from layerforge import trim as trim_module
from layerforge.elf.tail import trim
from layerforge.errors import BuildError
from layerforge.events import Event, Noted
from layerforge.store import Store
from layerforge.tree import FileEntry
from layerforge.trim import as_trimmed, trim_libraries
from tests.elf_files import DATA, DEBUG, TEXT, Workshop, make_elf
from tests.entries import make_entry

LIBRARY = bytes(make_elf(TEXT, DATA, DEBUG))
CUT = bytearray(LIBRARY)
trim(CUT)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def library(tmp_path: Path) -> FileEntry:
    return make_entry(tmp_path, "python/a/liba.so", LIBRARY, executable=True)


def contents(entries: tuple[FileEntry, ...]) -> list[bytes]:
    return [entry.content.inflated() for entry in entries if entry.content]


def test_a_library_loses_its_tail(library: FileEntry, store: Store) -> None:
    trimmed = trim_libraries([library], store)

    assert contents(trimmed) == [bytes(CUT)]
    assert len(CUT) < len(LIBRARY) - len(DEBUG.data)


def test_nothing_else_of_an_entry_changes(library: FileEntry, store: Store) -> None:
    (trimmed,) = trim_libraries([library], store)

    assert replace(trimmed, content=library.content) == library


def test_hash_and_checksum_are_those_of_what_is_left(
    library: FileEntry, store: Store
) -> None:
    (trimmed,) = trim_libraries([library], store)

    assert trimmed.content is not None
    assert trimmed.content.sha256 == hashlib.sha256(CUT).hexdigest()
    assert trimmed.size == len(CUT)


def test_a_compiled_library_is_as_small_as_its_facts_promise(
    tmp_path: Path, store: Store
) -> None:
    image = Workshop.open(tmp_path).compile_library()
    entry = make_entry(tmp_path, "lib/liblib.so", image)

    (trimmed,) = trim_libraries([entry], store)

    assert entry.elf is not None
    assert trimmed.size == entry.elf.trimmed < len(image)


def test_entries_stay_in_order(
    tmp_path: Path, library: FileEntry, store: Store
) -> None:
    larger = bytes(make_elf(TEXT, DATA, DATA, DEBUG))
    entries = [
        make_entry(tmp_path, "b.so", LIBRARY),
        make_entry(tmp_path, "a.py", b"x = 1\n"),
        library,
        make_entry(tmp_path, "c.so", larger),
        FileEntry(path="a.so", origin="demo", link="b.so"),
    ]

    trimmed = trim_libraries(entries, store)

    assert [entry.path for entry in trimmed] == [entry.path for entry in entries]


def test_files_that_gain_nothing_stay_as_they_are(tmp_path: Path, store: Store) -> None:
    entries = (
        make_entry(tmp_path, "a.py", b"x = 1\n"),
        make_entry(tmp_path, "trimmed.so", bytes(CUT)),
        make_entry(tmp_path, "broken.so", LIBRARY[:40]),
        FileEntry(path="link.so", origin="demo", link="trimmed.so"),
    )

    assert trim_libraries(entries, store) == entries
    assert not store.root.exists()


def test_a_library_with_a_checksum_beside_it_stays_as_it_is(
    tmp_path: Path, store: Store
) -> None:
    entries = (
        make_entry(tmp_path, "lib/libcrypto.so.3", LIBRARY),
        make_entry(tmp_path, "lib/.libcrypto.so.3.hmac", b"0123"),
    )

    assert trim_libraries(entries, store) == entries
    assert as_trimmed(entries) == entries


def test_a_checksum_in_another_folder_is_another_library_s(
    library: FileEntry, tmp_path: Path, store: Store
) -> None:
    checksum = make_entry(tmp_path, "lib/.liba.so.hmac", b"0123")

    trimmed, _ = trim_libraries([library, checksum], store)

    assert trimmed.size == len(CUT)


def test_a_library_that_cannot_be_trimmed_is_noted(
    tmp_path: Path, store: Store
) -> None:
    entry = make_entry(tmp_path, "bin/tool", LIBRARY + b"a payload of its own")
    heard: list[Event] = []

    assert trim_libraries([entry], store, listen=heard.append) == (entry,)
    assert entry.elf is not None
    assert heard == [Noted(message=f"bin/tool is not trimmed: {entry.elf.untrimmable}")]
    assert entry.elf.untrimmable


def test_a_second_build_cuts_nothing(
    library: FileEntry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trim_libraries([library], store)

    def refuse(_image: bytearray) -> None:
        pytest.fail("it was cut again")

    monkeypatch.setattr(trim_module, "trim", refuse)

    assert trim_libraries([library], store) == first


def test_equal_libraries_are_cut_once(
    library: FileEntry,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut = []

    def count(image: bytearray) -> None:
        cut.append(len(image))
        trim(image)

    monkeypatch.setattr(trim_module, "trim", count)

    trimmed = trim_libraries([library, replace(library, path="other.so")], store)

    assert cut == [len(LIBRARY)]
    assert contents(trimmed) == [bytes(CUT), bytes(CUT)]


def test_a_cut_that_was_damaged_in_the_store_is_made_again(
    library: FileEntry, store: Store
) -> None:
    first = trim_libraries([library], store)
    (kept,) = (store.root / "derived").rglob("*/*")
    kept.write_bytes(kept.read_bytes()[:-1])

    assert contents(trim_libraries([library], store)) == contents(first)


def test_a_store_without_room_is_named(library: FileEntry, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BuildError, match=r"^cannot write .*: Not a directory$"):
        trim_libraries([library], Store(tmp_path / "file"))


def test_sizes_are_known_before_anything_is_cut(
    library: FileEntry, tmp_path: Path, store: Store
) -> None:
    entries = [library, make_entry(tmp_path, "a.py", b"x = 1\n")]

    predicted = [entry.size for entry in as_trimmed(entries)]

    assert predicted == [entry.size for entry in trim_libraries(entries, store)]
