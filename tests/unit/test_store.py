from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from layerforge.compressor import COMPRESSOR, compress
from layerforge.errors import BuildError
from layerforge.store import Store, Usage, default_folder
from layerforge.tree import DEFLATED, STORED

ROOT = Path(__file__).parents[2]
DATA = b"what an index served, " * 100
SHA256 = hashlib.sha256(DATA).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
NO_ROOM = (
    "Make room or give another folder with --cache-dir; `layerforge cache prune` "
    "frees what was not used lately."
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def files(store: Store) -> list[str]:
    return sorted(
        str(path.relative_to(store.root))
        for path in store.root.rglob("*")
        if path.is_file()
    )


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


# -- artifacts --------


def test_a_finished_download_becomes_the_artifact(store: Store) -> None:
    with store.partial(SHA256) as stream:
        stream.write(DATA)
        stream.flush()
        path = store.admit(SHA256)

    assert path == store.artifact(SHA256)
    assert path.read_bytes() == DATA
    assert files(store) == [f"artifacts/{SHA256[:2]}/{SHA256}"]


def test_an_artifact_is_not_there_before_it_is_admitted(store: Store) -> None:
    with store.partial(SHA256) as stream:
        stream.write(DATA)

    assert not store.holds(SHA256)


def test_what_an_interrupted_download_left_is_continued(store: Store) -> None:
    with store.partial(SHA256) as stream:
        stream.write(DATA[:100])

    with store.partial(SHA256) as stream:
        assert stream.tell() == 100
        stream.write(DATA[100:])
        stream.flush()
        store.admit(SHA256)

    assert store.artifact(SHA256).read_bytes() == DATA


def test_a_download_that_turned_out_wrong_is_forgotten(store: Store) -> None:
    with store.partial(SHA256) as stream:
        stream.write(b"wrong")
        store.discard(SHA256)

    assert files(store) == []
    with store.partial(SHA256) as stream:
        assert stream.tell() == 0


def test_a_local_archive_is_adopted_whole(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "a.whl"
    source.write_bytes(DATA)

    store.adopt(source, SHA256)

    assert store.artifact(SHA256).read_bytes() == DATA
    assert source.exists()


def test_adopting_starts_anew_where_a_download_was_interrupted(
    store: Store, tmp_path: Path
) -> None:
    source = tmp_path / "a.whl"
    source.write_bytes(DATA)
    with store.partial(SHA256) as stream:
        stream.write(b"half of it")

    assert store.adopt(source, SHA256).read_bytes() == DATA


def test_a_local_archive_with_other_bytes_than_were_locked_is_refused(
    store: Store, tmp_path: Path
) -> None:
    source = tmp_path / "a.whl"
    source.write_bytes(DATA)

    with pytest.raises(BuildError) as caught:
        store.adopt(source, OTHER)

    assert caught.value.message == (
        f"{source} has SHA-256 {SHA256}, not {OTHER}, which was locked"
    )
    assert caught.value.remedy == ("If the new file is the right one: layerforge lock.")
    assert files(store) == []


def test_a_local_archive_that_is_gone_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        store.adopt(tmp_path / "gone.whl", SHA256)

    assert caught.value.message == (
        f"cannot read {tmp_path / 'gone.whl'}: No such file or directory"
    )
    assert caught.value.remedy == "Put it back where it was when it was locked."
    assert not store.root.exists()


def test_a_store_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file")

    with pytest.raises(BuildError) as caught, store.partial(SHA256):
        pass

    assert caught.value.message == (
        f"cannot write {store.root / 'partial' / SHA256}: Not a directory"
    )
    assert caught.value.remedy == NO_ROOM


def test_a_store_that_is_a_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file")

    assert not store.holds(SHA256)
    assert store.load("indexes", SHA256) is None
    assert store.derived(SHA256, "cut") is None


def test_a_document_that_cannot_be_read_is_named(store: Store) -> None:
    path = store.root / "indexes" / "ab" / "abcdef"
    path.mkdir(parents=True)

    with pytest.raises(BuildError) as caught:
        store.load("indexes", "abcdef")

    assert caught.value.message == f"cannot read {path}: Is a directory"
    assert caught.value.remedy == NO_ROOM


def test_a_failed_write_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)

    with pytest.raises(BuildError) as caught:
        store.save("indexes", "abcdef", b"document")

    path = store.root / "indexes" / "ab" / "abcdef"
    assert caught.value.message == f"cannot write {path}: No space left on device"
    assert caught.value.remedy == NO_ROOM
    assert files(store) == []


# -- processes --------

DOWNLOADER = """
import sys, time
from pathlib import Path
from layerforge.store import Store

store, sha256 = Store(Path(sys.argv[1])), sys.argv[2]
with store.partial(sha256) as stream:
    if store.holds(sha256):
        print("found")
    else:
        print("downloads", flush=True)
        sys.stdin.readline()
        stream.write(b"whole")
        stream.flush()
        store.admit(sha256)
"""


def start_downloader(store: Store) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DOWNLOADER, store.root, SHA256],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_of_two_processes_one_downloads_and_the_other_finds(store: Store) -> None:
    with start_downloader(store) as first:
        assert said(first) == "downloads"
        with start_downloader(store) as second:
            first.communicate("\n")

            assert said(second) == "found"
            second.communicate()
    assert store.artifact(SHA256).read_bytes() == b"whole"


def test_who_waited_for_a_download_never_writes_into_the_artifact(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process finishes, as it were, between opening the file and the lock."""
    with store.partial(SHA256) as stream:
        stream.write(DATA)
    lock = fcntl.flock

    def finish_first(stream: IO[bytes], operation: int) -> None:
        if not store.holds(SHA256):
            store.admit(SHA256)
        lock(stream, operation)

    monkeypatch.setattr(fcntl, "flock", finish_first)

    with store.partial(SHA256) as stream:
        stream.write(b"more")

    assert store.artifact(SHA256).read_bytes() == DATA


def test_a_download_of_a_process_that_died_is_taken_over(store: Store) -> None:
    with start_downloader(store) as first:
        assert said(first) == "downloads"
        first.kill()
        first.communicate()

    with start_downloader(store) as second:
        assert said(second) == "downloads"
        second.communicate("\n")
    assert store.holds(SHA256)


def test_prune_leaves_the_download_of_another_process(store: Store) -> None:
    with start_downloader(store) as process:
        assert said(process) == "downloads"
        age(store.root / "partial" / SHA256, 1000)

        assert store.prune(max_bytes=0, unused_seconds=1) == Usage(files=0, size=0)

        process.communicate("\n")
    assert store.artifact(SHA256).read_bytes() == b"whole"


# -- documents --------


def test_a_document_is_loaded_as_it_was_saved(store: Store) -> None:
    store.save("indexes", "abcdef", b"document")

    assert store.load("indexes", "abcdef") == b"document"


def test_a_document_that_was_never_saved_is_none(store: Store) -> None:
    assert store.load("indexes", "abcdef") is None


def test_the_last_of_two_writers_wins(store: Store) -> None:
    store.save("indexes", "abcdef", b"first")
    store.save("indexes", "abcdef", b"second")

    assert store.load("indexes", "abcdef") == b"second"


# -- derived bytes --------


def derived_file(store: Store) -> Path:
    (path,) = (store.root / "derived").rglob("*/*")
    return path


@pytest.mark.parametrize(
    ("data", "method"), [(DATA, DEFLATED), (b"", STORED), (b"tiny", STORED)]
)
def test_derived_bytes_are_found_as_they_were_kept(
    store: Store, data: bytes, method: int
) -> None:
    kept = store.derive(OTHER, "cut", data)

    assert store.derived(OTHER, "cut") == kept
    assert kept.inflated() == data
    assert (kept.method, kept.size) == (method, len(data))
    assert kept.sha256 == hashlib.sha256(data).hexdigest()


def test_derived_bytes_are_the_compressor_s(store: Store) -> None:
    kept = store.derive(OTHER, "cut", DATA)

    assert (kept.method, kept.raw()) == compress(DATA)


def test_derived_bytes_are_of_one_content_and_one_transform(store: Store) -> None:
    store.derive(OTHER, "cut", DATA)

    assert store.derived(OTHER, "another cut") is None
    assert store.derived(SHA256, "cut") is None


def test_derived_bytes_are_of_one_compressor(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.derive(OTHER, "cut", DATA)

    monkeypatch.setattr("layerforge.store.COMPRESSOR", f"{COMPRESSOR}-next")

    assert store.derived(OTHER, "cut") is None


@pytest.mark.parametrize("length", [0, 7, 30, -1])
def test_a_derived_file_that_was_cut_short_is_made_again(
    store: Store, length: int
) -> None:
    kept = store.derive(OTHER, "cut", DATA)
    path = derived_file(store)
    path.write_bytes(path.read_bytes()[:length])

    assert store.derived(OTHER, "cut") is None
    assert store.derive(OTHER, "cut", DATA) == kept
    assert kept.inflated() == DATA


@pytest.mark.parametrize("length", [0, -1])
def test_a_derived_file_that_was_stored_and_cut_short_is_made_again(
    store: Store, length: int
) -> None:
    store.derive(OTHER, "cut", b"tiny")
    path = derived_file(store)
    path.write_bytes(path.read_bytes()[:length])

    assert store.derived(OTHER, "cut") is None


def test_a_derived_file_with_bytes_behind_it_is_made_again(store: Store) -> None:
    store.derive(OTHER, "cut", DATA)
    path = derived_file(store)
    path.write_bytes(path.read_bytes() + b"more")

    assert store.derived(OTHER, "cut") is None


def test_a_derived_file_of_another_format_is_made_again(store: Store) -> None:
    store.derive(OTHER, "cut", DATA)
    path = derived_file(store)
    path.write_bytes(b"OTHERFMT" + path.read_bytes()[8:])

    assert store.derived(OTHER, "cut") is None


# -- housekeeping --------


@pytest.fixture
def filled(store: Store) -> Store:
    """Fill a store with three documents of 100 bytes, the first the oldest."""
    for number, name in enumerate(["oldest", "middle", "newest"]):
        store.save("indexes", name, bytes(100))
        age(store.root / "indexes" / name[:2] / name, 3000 - 1000 * number)
    return store


def names(store: Store) -> list[str]:
    return sorted(Path(name).name for name in files(store))


def test_usage_counts_files_and_bytes_of_each_part(store: Store) -> None:
    store.save("indexes", "abcdef", bytes(10))
    store.save("indexes", "abcdeg", bytes(20))
    store.save("records", "abcdef", bytes(5))

    assert store.usage() == {
        "indexes": Usage(files=2, size=30),
        "records": Usage(files=1, size=5),
    }


def test_a_store_that_is_not_there_holds_nothing(store: Store) -> None:
    assert store.usage() == {}
    assert store.prune(max_bytes=0) == Usage(files=0, size=0)
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("most", "left"),
    [
        (300, ["middle", "newest", "oldest"]),
        (299, ["middle", "newest"]),
        (100, ["newest"]),
        (99, []),
    ],
)
def test_prune_deletes_the_least_recently_used_down_to_a_size(
    filled: Store, most: int, left: list[str]
) -> None:
    pruned = filled.prune(max_bytes=most)

    assert names(filled) == left
    assert pruned == Usage(files=3 - len(left), size=100 * (3 - len(left)))


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(3500, ["middle", "newest", "oldest"]), (1500, ["newest"]), (500, [])],
)
def test_prune_deletes_what_was_not_used_for_long(
    filled: Store, seconds: float, left: list[str]
) -> None:
    filled.prune(unused_seconds=seconds)

    assert names(filled) == left


def test_prune_without_bounds_deletes_nothing(filled: Store) -> None:
    assert filled.prune() == Usage(files=0, size=0)
    assert names(filled) == ["middle", "newest", "oldest"]


def test_prune_deletes_a_download_that_nobody_continues(store: Store) -> None:
    with store.partial(SHA256) as stream:
        stream.write(DATA)
    age(store.root / "partial" / SHA256, 1000)

    assert store.prune(unused_seconds=500) == Usage(files=1, size=len(DATA))


def test_prune_leaves_a_file_that_is_being_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process prunes, as it were, just before the file gets its name."""
    replace = Path.replace

    def prune_first(self: Path, target: Path) -> Path:
        store.prune(max_bytes=0, unused_seconds=0)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", prune_first)
    store.save("indexes", "abcdef", b"document")

    assert store.load("indexes", "abcdef") == b"document"


def test_prune_deletes_what_a_process_that_died_was_writing(store: Store) -> None:
    store.save("indexes", "abcdef", b"document")
    abandoned = store.root / "indexes" / "ab" / ".new-x"
    abandoned.write_bytes(b"half a docu")
    age(abandoned, 100_000)

    store.prune(max_bytes=len(b"document"))

    assert names(store) == ["abcdef"]


def test_an_artifact_that_is_held_counts_as_used(store: Store) -> None:
    path = store.artifact(SHA256)
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    age(path, 1000)

    assert store.holds(SHA256)

    assert store.prune(unused_seconds=500) == Usage(files=0, size=0)


def test_a_document_that_is_loaded_counts_as_used(filled: Store) -> None:
    filled.load("indexes", "oldest")

    filled.prune(max_bytes=100)

    assert names(filled) == ["oldest"]


def test_derived_bytes_that_are_found_count_as_used(store: Store) -> None:
    store.derive(OTHER, "cut", DATA)
    age(derived_file(store), 1000)

    store.derived(OTHER, "cut")

    assert store.prune(unused_seconds=500) == Usage(files=0, size=0)


def test_marking_an_artifact_as_used_does_not_make_it_look_changed(
    store: Store,
) -> None:
    with store.partial(SHA256) as stream:
        stream.write(DATA)
        stream.flush()
        path = store.admit(SHA256)
    age(path, 1000)
    before = path.stat()

    store.holds(SHA256)

    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_atime_ns > before.st_atime_ns


# -- where it is --------


@pytest.mark.parametrize(
    ("base", "folder"),
    [
        ("/caches", "/caches/layerforge"),
        ("relative", "/home/me/.cache/layerforge"),
        ("", "/home/me/.cache/layerforge"),
    ],
)
def test_on_linux_the_store_is_where_xdg_says(
    monkeypatch: pytest.MonkeyPatch, base: str, folder: str
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", base)

    assert default_folder() == Path(folder)


def test_on_macos_the_store_is_in_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("HOME", "/Users/me")

    assert default_folder() == Path("/Users/me/Library/Caches/layerforge")


class TestCompiled:
    def test_is_what_was_remembered(self, tmp_path: Path) -> None:
        store, wheel = Store(tmp_path / "store"), tmp_path / "demo.whl"
        wheel.write_bytes(b"a wheel")
        digest = hashlib.sha256(b"a wheel").hexdigest()
        store.adopt(wheel, digest)

        store.remember_compiled("ab" * 32, digest)

        assert store.compiled("ab" * 32) == digest
        assert store.compiled("cd" * 32) == ""

    def test_is_nothing_once_the_archive_is_gone(self, tmp_path: Path) -> None:
        store = Store(tmp_path)

        store.remember_compiled("ab" * 32, "cd" * 32)

        assert store.compiled("ab" * 32) == ""


def test_what_is_kept_by_its_own_hash_is_kept_once(tmp_path: Path) -> None:
    store = Store(tmp_path)

    first, again = store.keep(b"text" * 99, "copy"), store.keep(b"text" * 99, "copy")

    assert first == again
    assert first.inflated() == b"text" * 99
    assert store.usage()["derived"].files == 1
