from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerforge.archive import write_archive
from layerforge.archives.zips import index_zip
from layerforge.tree import FileEntry, Tree, unite
from tests.entries import make_entry

# How long a disk takes is no property of an archive.
on_disk = settings(deadline=None, max_examples=50)

LETTERS = st.characters(
    codec="utf-8", exclude_categories=["Cc"], exclude_characters="/\\:"
)
PARTS = st.text(LETTERS, min_size=1, max_size=12).filter(
    lambda part: part not in (".", "..") and len(part.encode()) < 256
)
# Folders begin otherwise than files, so that no path is both.
PATHS = st.builds(
    lambda folders, name: "/".join([*(f"d{folder}" for folder in folders), f"f{name}"]),
    st.lists(PARTS, max_size=2),
    PARTS,
)
CONTENTS = st.binary(max_size=64) | st.builds(
    lambda unit, times: unit * times,
    st.binary(min_size=1, max_size=8),
    st.integers(0, 9999),
)


@st.composite
def files(draw: st.DrawFn) -> dict[str, tuple[bytes, bool, int]]:
    """Draw contents, whether they are programs, and levels of compression, by path."""
    one = st.tuples(CONTENTS, st.booleans(), st.sampled_from([0, 1, 9]))
    return draw(st.dictionaries(PATHS, one, min_size=1, max_size=6))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archives")


def entries(folder: Path, files: dict[str, tuple[bytes, bool, int]]) -> list[FileEntry]:
    return [
        make_entry(folder, path, data, executable=executable, level=level)
        for path, (data, executable, level) in files.items()
    ]


def written(tree: Tree, folder: Path) -> bytes:
    return write_archive(tree, folder / "a.zip").path.read_bytes()


@on_disk
@given(files())
def test_zipfile_reads_what_was_written(
    folder: Path, files: dict[str, tuple[bytes, bool, int]]
) -> None:
    archive = written(unite(entries(folder, files)), folder)

    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        found = {
            info.filename: (opened.read(info), info.external_attr >> 16)
            for info in opened.infolist()
        }
    assert found == {
        path: (data, stat.S_IFREG | (0o755 if executable else 0o644))
        for path, (data, executable, _) in files.items()
    }


@on_disk
@given(files())
def test_what_is_written_passes_the_strict_reader(
    folder: Path, files: dict[str, tuple[bytes, bool, int]]
) -> None:
    tree = unite(entries(folder, files))
    path = write_archive(tree, folder / "strict.zip").path

    read = unite(index_zip(path))

    assert read.digest == tree.digest


@on_disk
@given(files(), st.randoms(use_true_random=False))
def test_bytes_are_the_same_whatever_order_entries_come_in(
    folder: Path, files: dict[str, tuple[bytes, bool, int]], chance: Random
) -> None:
    given_first = entries(folder, files)
    shuffled = list(given_first)
    chance.shuffle(shuffled)

    assert written(unite(shuffled), folder) == written(unite(given_first), folder)
