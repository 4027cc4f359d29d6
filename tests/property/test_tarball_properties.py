from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerforge.archives.tarball import index_tarball
from layerforge.errors import ArchiveError
from layerforge.store import Store

# A busy machine is no property of a tarball.
unhurried = settings(deadline=None, max_examples=60)

LETTERS = st.characters(
    codec="utf-8", exclude_categories=["Cc"], exclude_characters="/\\:"
)
PARTS = st.text(LETTERS, min_size=1, max_size=90).filter(
    lambda part: part not in (".", "..", ".gitignore") and len(part.encode()) < 256
)
# Numbers keep names apart from one another, and from folders, in any case.
NAMES = st.lists(PARTS, max_size=4).flatmap(
    lambda parts: st.integers(0, 99).map(
        lambda number: "/".join([*(f"d{part}" for part in parts), f"f{number}"])
    )
)
CONTENTS = st.binary(max_size=64) | st.builds(
    lambda unit, times: unit * times,
    st.binary(min_size=1, max_size=8),
    st.integers(0, 9999),
)
FORMATS = st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


def tarred(files: dict[str, bytes], form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@st.composite
def archives(draw: st.DrawFn) -> tuple[dict[str, bytes], bytes]:
    files = draw(st.dictionaries(NAMES, CONTENTS, max_size=6, min_size=1))
    names = {name.casefold() for name in files}
    if len(names) < len(files):  # equal but for their case
        files = {name.casefold(): content for name, content in files.items()}
    return files, tarred(files, draw(FORMATS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tarballs")


def read(folder: Path, archive: bytes) -> dict[str, bytes]:
    path = folder / "a.tgz"
    path.write_bytes(archive)
    digest = hashlib.sha512(archive).hexdigest()
    return {
        entry.path: entry.content.inflated()
        for entry in index_tarball(path, "a.tgz", digest, Store(folder / "store"))
        if entry.content is not None
    }


@unhurried
@given(archives())
def test_whatever_tarfile_writes_is_read_with_equal_contents(
    folder: Path, written: tuple[dict[str, bytes], bytes]
) -> None:
    files, archive = written

    assert read(folder, archive) == files


@unhurried
@given(archives(), st.integers(1, 999))
def test_how_the_stream_is_cut_into_members_is_of_no_account(
    folder: Path, written: tuple[dict[str, bytes], bytes], size: int
) -> None:
    files, archive = written
    raw = gzip.decompress(archive)[: 40 * size]
    rest = gzip.decompress(archive)[40 * size :]
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)] + [rest]

    assert read(folder, b"".join(map(gzip.compress, pieces))) == files


@unhurried
@given(archives(), st.data())
def test_an_archive_with_another_byte_is_refused_or_reads_the_same(
    folder: Path, written: tuple[dict[str, bytes], bytes], data: st.DataObject
) -> None:
    files, archive = written
    place = data.draw(st.integers(0, len(archive) - 1))
    value = data.draw(st.integers(0, 255))

    try:
        found = read(folder, archive[:place] + bytes([value]) + archive[place + 1 :])
    except ArchiveError:
        return

    assert found == files


@unhurried
@given(archives(), st.data())
def test_a_tar_with_another_byte_is_refused_or_holds_lawful_names(
    folder: Path, written: tuple[dict[str, bytes], bytes], data: st.DataObject
) -> None:
    _, archive = written
    raw = bytearray(gzip.decompress(archive))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))

    try:
        found = read(folder, gzip.compress(raw))
    except ArchiveError:
        return

    assert not any({"", ".", ".."} & set(path.split("/")) for path in found)


@unhurried
@given(archives(), st.data())
def test_an_archive_that_is_cut_short_is_refused(
    folder: Path, written: tuple[dict[str, bytes], bytes], data: st.DataObject
) -> None:
    _, archive = written
    length = data.draw(st.integers(0, len(archive) - 1))

    with pytest.raises(ArchiveError):
        read(folder, archive[:length])


@unhurried
@given(archives(), st.binary(max_size=30).filter(any))
def test_an_archive_with_bytes_behind_it_is_refused(
    folder: Path, written: tuple[dict[str, bytes], bytes], suffix: bytes
) -> None:
    _, archive = written

    with pytest.raises(ArchiveError):
        read(folder, archive + suffix)


@unhurried
@given(st.binary(max_size=200))
def test_bytes_at_random_are_refused(folder: Path, noise: bytes) -> None:
    with pytest.raises(ArchiveError):
        read(folder, noise)
    with pytest.raises(ArchiveError):
        read(folder, gzip.compress(noise + b"x"))
