from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerforge.archives.zipdirectory import Directory, NeedMore, read_directory
from layerforge.archives.zips import index_zip
from layerforge.errors import ArchiveError

LETTERS = st.characters(
    codec="utf-8", exclude_categories=["Cc"], exclude_characters="/\\:"
)
PARTS = st.text(LETTERS, min_size=1, max_size=12).filter(
    lambda part: part not in (".", "..") and len(part.encode()) < 256
)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
CONTENTS = st.binary(max_size=64) | st.builds(
    lambda unit, times: unit * times,
    st.binary(min_size=1, max_size=8),
    st.integers(0, 9999),
)
METHODS = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])


def is_free_of_clashes(files: dict[str, bytes]) -> bool:
    folders = {
        name[:end] for name in files for end, letter in enumerate(name) if letter == "/"
    }
    return folders.isdisjoint(files)


FILES = st.dictionaries(NAMES, CONTENTS, max_size=6).filter(is_free_of_clashes)


class OneWay(io.BytesIO):
    """A stream that can't seek, so zipfile writes data descriptors."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError


@st.composite
def archives(draw: st.DrawFn) -> tuple[dict[str, bytes], bytes]:
    files = draw(FILES)
    stream = draw(st.sampled_from([io.BytesIO, OneWay]))()
    zip64 = draw(st.booleans())
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = draw(METHODS)
            with archive.open(member, "w", force_zip64=zip64) as opened:
                opened.write(content)
    return files, stream.getvalue()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zips") / "a.whl"


def read(path: Path, archive: bytes) -> dict[str, bytes]:
    path.write_bytes(archive)
    return {
        entry.path: entry.content.inflated()
        for entry in index_zip(path)
        if entry.content is not None
    }


def read_by_ranges(archive: bytes, first: int) -> tuple[Directory, int]:
    """Read a directory as over HTTP: a guess first, then what is asked for."""
    start, requests = max(0, len(archive) - first), 1
    while True:
        try:
            return read_directory(archive[start:], len(archive)), requests
        except NeedMore as more:
            start, requests = more.start, requests + 1


@given(archives())
def test_whatever_zipfile_writes_is_read_with_equal_contents(
    path: Path, written: tuple[dict[str, bytes], bytes]
) -> None:
    files, archive = written

    assert read(path, archive) == files


@given(archives(), st.integers(min_value=0, max_value=2000))
def test_a_directory_read_by_ranges_is_that_of_the_whole(
    written: tuple[dict[str, bytes], bytes], first: int
) -> None:
    _, archive = written

    directory, requests = read_by_ranges(archive, first)

    assert directory == read_directory(archive, len(archive))
    assert requests <= 3


@given(archives(), st.data())
def test_an_archive_with_another_byte_is_refused_or_reads_the_same(
    path: Path, written: tuple[dict[str, bytes], bytes], data: st.DataObject
) -> None:
    files, archive = written
    place = data.draw(st.integers(0, len(archive) - 1))
    value = data.draw(st.integers(0, 255))
    changed = archive[:place] + bytes([value]) + archive[place + 1 :]

    try:
        found = read(path, changed)
    except ArchiveError:
        return

    assert found == files


def test_an_archive_with_any_bit_flipped_is_refused_or_reads_the_same(
    path: Path,
) -> None:
    files = {"a/b.txt": b"text text text text", "a/c": b"\x7fELF..."}
    stream = OneWay()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    whole = stream.getvalue()
    refused = 0

    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            assert read(path, bytes(changed)) == files
        except ArchiveError:
            refused += 1

    assert refused > 4 * len(whole)


@given(archives(), st.data())
def test_an_archive_that_is_cut_short_is_refused(
    path: Path, written: tuple[dict[str, bytes], bytes], data: st.DataObject
) -> None:
    _, archive = written
    length = data.draw(st.integers(0, len(archive) - 1))

    with pytest.raises(ArchiveError):
        read(path, archive[:length])


@given(archives(), st.binary(min_size=1, max_size=30))
def test_an_archive_with_bytes_before_it_is_refused(
    path: Path, written: tuple[dict[str, bytes], bytes], prefix: bytes
) -> None:
    _, archive = written

    with pytest.raises(ArchiveError):
        read(path, prefix + archive)


@given(archives(), st.binary(min_size=1, max_size=30))
def test_an_archive_with_bytes_behind_it_is_refused(
    path: Path, written: tuple[dict[str, bytes], bytes], suffix: bytes
) -> None:
    _, archive = written

    with pytest.raises(ArchiveError):
        read(path, archive + suffix)


@given(st.binary(max_size=200))
def test_bytes_at_random_are_refused(path: Path, noise: bytes) -> None:
    with pytest.raises(ArchiveError):
        read(path, noise)
