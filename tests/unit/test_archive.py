from __future__ import annotations

import base64
import hashlib
import os
import resource
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path

import pytest

from layerforge import archive
from layerforge.archive import LayerArchive, write_archive, zipped_size
from layerforge.archives.zipformat import (
    DIRECTORY_HEADER,
    END,
    LOCAL_HEADER,
    ZIP64_END_SIGNATURE,
)
from layerforge.errors import BuildError
from layerforge.tree import FileEntry, Tree, unite
from tests.entries import make_content, make_entry

NOISE = hashlib.shake_256(b"noise").digest(3 << 20)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    folder = tmp_path / "contents"
    folder.mkdir()
    return unite(
        [
            make_entry(folder, "python/a.py", b"print('a')\n" * 50),
            make_entry(folder, "python/empty.py"),
            make_entry(folder, "python/ä/ß.txt", b"not ASCII"),
            make_entry(folder, "python/noise.bin", NOISE, level=0),
            make_entry(folder, "bin/run", b"#!/bin/sh\necho ran\n", executable=True),
            FileEntry(path="lib/liba.so", origin="demo", link="liba.so.1"),
            make_entry(folder, "lib/liba.so.1", b"library"),
        ]
    )


@pytest.fixture
def written(tree: Tree, tmp_path: Path) -> LayerArchive:
    return write_archive(tree, tmp_path / "dist" / "web.zip")


def modes(path: Path) -> dict[str, int]:
    with zipfile.ZipFile(path) as opened:
        return {info.filename: info.external_attr >> 16 for info in opened.infolist()}


def test_the_size_of_a_zip_is_known_before_it_is_written(
    tree: Tree, written: LayerArchive
) -> None:
    assert zipped_size(tree) == written.zipped


# -- what other tools see --------


def test_zipfile_finds_every_file_whole(tree: Tree, written: LayerArchive) -> None:
    with zipfile.ZipFile(written.path) as opened:
        found = {name: opened.read(name) for name in opened.namelist()}

    assert found == {
        entry.path: entry.content.inflated() if entry.content else entry.link.encode()
        for entry in tree
    }


def test_unzip_finds_no_fault(written: LayerArchive) -> None:
    result = subprocess.run(
        ["unzip", "-t", written.path], capture_output=True, text=True, check=False
    )

    assert result.stdout.splitlines()[-1] == (
        f"No errors detected in compressed data of {written.path}."
    )


def test_unzip_makes_files_links_and_modes(
    written: LayerArchive, tmp_path: Path
) -> None:
    opt = tmp_path / "opt"

    subprocess.run(
        ["unzip", "-q", written.path, "-d", opt],
        check=True,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
    )

    assert (opt / "lib/liba.so").readlink() == Path("liba.so.1")
    assert (opt / "lib/liba.so").read_bytes() == b"library"
    assert (opt / "python/ä/ß.txt").read_bytes() == b"not ASCII"
    assert stat.S_IMODE((opt / "bin/run").stat().st_mode) & 0o100


def test_entries_stand_in_path_order(tree: Tree, written: LayerArchive) -> None:
    with zipfile.ZipFile(written.path) as opened:
        names = opened.namelist()

    assert names == sorted(names) == [entry.path for entry in tree]


def test_modes_are_those_of_files_programs_and_links(written: LayerArchive) -> None:
    assert modes(written.path) == {
        "bin/run": stat.S_IFREG | 0o755,
        "lib/liba.so": stat.S_IFLNK | 0o777,
        "lib/liba.so.1": stat.S_IFREG | 0o644,
        "python/a.py": stat.S_IFREG | 0o644,
        "python/empty.py": stat.S_IFREG | 0o644,
        "python/noise.bin": stat.S_IFREG | 0o644,
        "python/ä/ß.txt": stat.S_IFREG | 0o644,
    }


def test_every_entry_is_dated_on_the_first_day(written: LayerArchive) -> None:
    with zipfile.ZipFile(written.path) as opened:
        dates = {info.date_time for info in opened.infolist()}

    assert dates == {(1980, 1, 1, 0, 0, 0)}


def test_only_names_that_are_not_ascii_are_flagged(written: LayerArchive) -> None:
    with zipfile.ZipFile(written.path) as opened:
        flagged = {info.filename: info.flag_bits for info in opened.infolist()}

    assert {name: flags for name, flags in flagged.items() if flags} == {
        "python/ä/ß.txt": 1 << 11
    }


def test_there_are_headers_names_and_contents_and_nothing_else(
    tree: Tree, written: LayerArchive
) -> None:
    headers = LOCAL_HEADER.size + DIRECTORY_HEADER.size
    names = sum(len(entry.path.encode()) for entry in tree)
    contents = sum(
        entry.content.length if entry.content else entry.size for entry in tree
    )

    assert written.zipped == len(tree) * headers + 2 * names + contents + END.size


def test_deflated_bytes_are_copied_as_they_are(tmp_path: Path) -> None:
    entry = make_entry(tmp_path, "a", b"some text, " * 100, level=1)
    assert entry.content is not None

    written = write_archive(Tree((entry,)), tmp_path / "a.zip")

    start = LOCAL_HEADER.size + len("a")
    copied = written.path.read_bytes()[start : start + entry.content.length]
    assert copied == entry.content.raw()


def test_a_tree_of_nothing_is_an_archive_of_nothing(tmp_path: Path) -> None:
    written = write_archive(Tree(()), tmp_path / "a.zip")

    assert zipfile.ZipFile(written.path).namelist() == []


def crowd(count: int, folder: Path) -> Path:
    """Write an archive of many entries that share a content."""
    content = make_content(folder, b"x", level=0)
    entries = tuple(
        FileEntry(path=f"python/{number:05}", origin="demo", content=content)
        for number in range(count)
    )
    return write_archive(Tree(entries), folder / "crowd.zip").path


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an archive of as many entries as make it zip64."""
    return crowd(65_535, tmp_path_factory.mktemp("crowded"))


def test_zip64_begins_where_the_format_demands_it(
    crowded: Path, tmp_path: Path
) -> None:
    one_less = crowd(65_534, tmp_path)

    assert ZIP64_END_SIGNATURE in crowded.read_bytes()[-200:]
    assert ZIP64_END_SIGNATURE not in one_less.read_bytes()[-200:]


def test_zipfile_reads_a_zip64_archive(crowded: Path) -> None:
    with zipfile.ZipFile(crowded) as opened:
        assert len(opened.namelist()) == 65_535
        assert opened.read("python/65534") == b"x"


def test_unzip_reads_a_zip64_archive(crowded: Path) -> None:
    result = subprocess.run(
        ["unzip", "-tq", crowded], capture_output=True, text=True, check=False
    )

    assert (result.returncode, result.stderr) == (0, "")


# -- what is told of it --------


def test_code_sha256_is_the_hash_that_lambda_reports(written: LayerArchive) -> None:
    digest = hashlib.sha256(written.path.read_bytes()).digest()

    assert written.code_sha256 == base64.b64encode(digest).decode()


def test_sizes_and_files_are_those_of_the_zip(
    tree: Tree, written: LayerArchive
) -> None:
    assert written == LayerArchive(
        path=written.path,
        zipped=written.path.stat().st_size,
        unzipped=tree.size,
        files=7,
        code_sha256=written.code_sha256,
        tree_digest=tree.digest,
    )


# -- the same bytes everywhere --------

SCRIPT = """
import os, random, sys
from pathlib import Path
from layerforge.archive import write_archive
from layerforge.tree import unite
from tests.entries import make_entry

folder, output, umask, seed, user = sys.argv[1:]
os.umask(int(umask, 8))
if user != "-":
    os.setuid(int(user))
entries = [
    make_entry(Path(folder), f"python/{name}", name.encode() * 99, executable=run)
    for name in ("a.py", "\\xdf.py", "b/c.py", "Z.py") for run in {name == "Z.py"}
]
random.Random(int(seed)).shuffle(entries)
print(write_archive(unite(entries), Path(output)).code_sha256)
"""

WORLDS = {
    "umask": {"umask": "077"},
    "an open umask": {"umask": "000"},
    "time zone": {"TZ": "Pacific/Kiritimati"},
    "locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "hash seed": {"PYTHONHASHSEED": "99"},
    "order of entries": {"seed": "7"},
    "clock": {"SOURCE_DATE_EPOCH": "1"},
}


def written_in(world: dict[str, str], folder: Path) -> str:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    options = {"umask": "022", "seed": "0", "user": "-"}
    environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "1", "TZ": "UTC"}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }
    for name, value in world.items():
        (options if name in options else environment)[name] = value
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, folder / "a.zip", *options.values()],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written_in({}, tmp_path_factory.mktemp("usual") / "world")


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_the_same_tree_gives_the_same_bytes_in_another(
    world: dict[str, str], usual: str, tmp_path: Path
) -> None:
    assert written_in(world, tmp_path / "world") == usual


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_same_tree_gives_the_same_bytes_to_another_user(usual: str) -> None:
    world = {"user": "65534", "USER": "nobody", "HOME": "/"}

    # pytest's own folders can be entered by their user alone.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)

        assert written_in(world, Path(folder) / "world") == usual


# -- failures leave what was there --------


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Have writes beyond so many bytes fail, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    path = tmp_path / "dist" / "web.zip"
    path.parent.mkdir()
    path.write_bytes(b"the last good zip")
    return path


@pytest.mark.parametrize("size", [0, 2 << 20, -1])
def test_a_write_that_fails_leaves_the_last_zip_alone(
    tree: Tree, earlier: Path, tmp_path: Path, size: int
) -> None:
    """It fails at the first bytes, amid the contents, and as the last are flushed."""
    whole = write_archive(tree, tmp_path / "whole.zip").zipped

    with file_size_limit(size % whole), pytest.raises(BuildError) as caught:
        write_archive(tree, earlier)

    assert caught.value.message == f"cannot write {earlier}: File too large"
    assert caught.value.remedy == "What was there before is untouched."
    assert earlier.read_bytes() == b"the last good zip"
    assert list(earlier.parent.iterdir()) == [earlier]


def test_an_archive_that_was_cut_short_leaves_the_last_zip_alone(
    tree: Tree, earlier: Path
) -> None:
    source = next(
        entry.content.file
        for entry in tree
        if entry.content and entry.path == "python/noise.bin"
    )
    os.truncate(source, 1 << 20)

    with pytest.raises(BuildError) as caught:
        write_archive(tree, earlier)

    assert caught.value.message == f"{source} is shorter than it was when it was read"
    assert caught.value.remedy == (
        "Run it again; if that doesn't help, delete the store."
    )
    assert earlier.read_bytes() == b"the last good zip"
    assert list(earlier.parent.iterdir()) == [earlier]


def test_an_archive_that_is_gone_is_named(tree: Tree, earlier: Path) -> None:
    source = next(entry.content.file for entry in tree if entry.content)
    Path(source).unlink()

    with pytest.raises(BuildError) as caught:
        write_archive(tree, earlier)

    assert caught.value.message == (
        f"cannot write {earlier}: No such file or directory ({source})"
    )
    assert list(earlier.parent.iterdir()) == [earlier]


def test_a_folder_that_cannot_be_made_is_named(tree: Tree, earlier: Path) -> None:
    path = earlier / "below" / "web.zip"

    with pytest.raises(BuildError) as caught:
        write_archive(tree, path)

    assert caught.value.message == (
        f"cannot write {path}: Not a directory ({path.parent})"
    )


def test_a_folder_that_is_not_ours_to_write_is_named(tree: Tree) -> None:
    user = os.geteuid()
    # pytest's own folders can be entered by their user alone.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        path = Path(folder) / "web.zip"
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(BuildError) as caught:
                write_archive(tree, path)
        finally:
            os.seteuid(user)

    assert caught.value.message == f"cannot write {path}: Permission denied"


def test_a_folder_at_the_zip_s_place_is_named(tree: Tree, tmp_path: Path) -> None:
    path = tmp_path / "web.zip"
    path.mkdir()

    with pytest.raises(BuildError) as caught:
        write_archive(tree, path)

    assert caught.value.message == f"cannot write {path}: Is a directory"


def test_the_zip_is_whole_where_another_is_open(tree: Tree, earlier: Path) -> None:
    with earlier.open("rb") as stream:
        write_archive(tree, earlier)

        assert stream.read() == b"the last good zip"
    assert zipfile.ZipFile(earlier).testzip() is None


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_umask_decides_who_may_read_the_zip(
    tree: Tree, tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        written = write_archive(tree, tmp_path / "a.zip")
    finally:
        os.umask(before)

    assert stat.S_IMODE(written.path.stat().st_mode) == mode


def test_few_files_are_open_at_once(tmp_path: Path) -> None:
    entries = [make_entry(tmp_path, f"{number:03}", b"x") for number in range(100)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(path.name) for path in Path("/dev/fd").iterdir()}
    free = (number for number in count() if number not in taken)
    room = next(islice(free, archive._OPEN_FILES + 32, None))
    resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))
    try:
        written = write_archive(unite(entries), tmp_path / "a.zip")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert zipfile.ZipFile(written.path).testzip() is None
