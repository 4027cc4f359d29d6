from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layerforge.errors import ConfigError
from layerforge.include import read_includes
from layerforge.spec import Include, include_signature
from layerforge.store import Store
from layerforge.tree import FileEntry
from tests.elf_files import DATA, DEBUG, TEXT, make_elf


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, data: bytes = b"text\n", mode: int = 0o644) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def read(source: Path, store: Store, to: str = "python/app") -> list[FileEntry]:
    return list(read_includes([Include(source=source, destination=to)], store))


def refusal(source: Path, store: Store, to: str = "python/app") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(source, store, to)
    return caught.value


def test_a_file_goes_to_its_destination(source: Path, store: Store) -> None:
    put(source, "settings.py", b"x = 1\n")

    (entry,) = read(source / "settings.py", store, "python/config.py")

    assert (entry.path, entry.origin) == ("python/config.py", "include")
    assert entry.content is not None
    assert entry.content.inflated() == b"x = 1\n"


def test_a_folder_goes_with_all_that_is_in_it(source: Path, store: Store) -> None:
    for name in ("b.py", "a/d.py", "a/c.py", "a/ä/e.txt", ".hidden"):
        put(source, name)

    entries = read(source, store)

    assert sorted(entry.path for entry in entries) == [
        "python/app/.hidden",
        "python/app/a/c.py",
        "python/app/a/d.py",
        "python/app/a/ä/e.txt",
        "python/app/b.py",
    ]


def test_bytecode_version_control_and_notes_of_systems_stay_out(
    source: Path, store: Store
) -> None:
    left_out = ("__pycache__/a.cpython-312.pyc", "old.pyc", "old.pyo", ".DS_Store")
    for name in ("a.py", *left_out, ".git/HEAD", "b/.svn/entries", "b/.hg/store"):
        put(source, name)

    entries = read(source, store)

    assert [entry.path for entry in entries] == ["python/app/a.py"]


@pytest.mark.parametrize(
    ("mode", "executable"),
    [(0o644, False), (0o600, False), (0o755, True), (0o700, True), (0o655, False)],
)
def test_only_the_owner_s_x_makes_a_program(
    source: Path, store: Store, mode: int, *, executable: bool
) -> None:
    put(source, "run", mode=mode)

    (entry,) = read(source, store)

    assert entry.executable is executable


def test_an_elf_file_has_its_facts(source: Path, store: Store) -> None:
    image = bytes(make_elf(TEXT, DATA, DEBUG))
    put(source, "liba.so", image)

    (entry,) = read(source, store, "lib")

    assert entry.elf is not None
    assert entry.elf.machine == 62
    assert entry.elf.trimmed < len(image)


def test_what_only_begins_like_an_elf_file_is_a_file_like_any(
    source: Path, store: Store
) -> None:
    put(source, "liba.so", b"\x7fELF and then nothing")

    (entry,) = read(source, store)

    assert entry.elf is None


def test_bytes_are_deflated_once(source: Path, store: Store) -> None:
    put(source, "a.py")
    (first,) = read(source, store)
    assert first.content is not None
    written = Path(first.content.file).stat().st_ino

    (second,) = read(source, store)

    assert second == first
    assert Path(first.content.file).stat().st_ino == written


# -- links --------


def test_a_link_within_the_layer_stays_as_it_is_written(
    source: Path, store: Store
) -> None:
    put(source, "a/real")
    (source / "a/near").symlink_to("./real")
    (source / "b").symlink_to("a")
    (source / "up").symlink_to("../../bin/tool")

    links = {entry.path: entry.link for entry in read(source, store) if entry.link}

    assert links == {
        "python/app/a/near": "./real",
        "python/app/b": "a",
        "python/app/up": "../../bin/tool",
    }


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", "../../.."])
def test_a_link_out_of_the_layer_is_refused(
    source: Path, store: Store, target: str
) -> None:
    (source / "link").symlink_to(target)

    error = refusal(source, store)

    assert error.message == f"{source / 'link'} is a link out of the layer, to {target}"
    assert error.remedy == "Include what it points at."


def test_a_folder_that_is_a_link_is_not_walked_into(source: Path, store: Store) -> None:
    put(source, "real/a.py")
    (source / "loop").symlink_to(".")

    assert sorted(entry.path for entry in read(source, store)) == [
        "python/app/loop",
        "python/app/real/a.py",
    ]


# -- what can't be included --------


def test_a_device_or_pipe_is_refused(source: Path, store: Store) -> None:
    os.mkfifo(source / "pipe")

    error = refusal(source, store)

    assert error.message == f"{source / 'pipe'} is neither file, folder nor link"
    assert error.remedy == "Include what a zip can hold."


def test_a_file_that_is_gone_is_named(source: Path, store: Store) -> None:
    error = refusal(source / "gone.py", store)

    assert error.message == f"{source / 'gone.py'} is neither file, folder nor link"


def test_the_signature_of_a_file_that_is_gone_names_it(source: Path) -> None:
    gone = Include(source=source / "gone.py", destination="python/gone.py")

    with pytest.raises(ConfigError) as caught:
        include_signature([gone])

    assert caught.value.message == (
        f"cannot read {source / 'gone.py'}: No such file or directory"
    )


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be a user whom modes concern, even where root runs the tests."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def open_source() -> Iterator[Path]:
    """Give a folder that every user may enter, unlike pytest's own."""

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.parametrize("name", ["secret.py", "secret"])
def test_what_cannot_be_read_is_refused(open_source: Path, name: str) -> None:
    store = Store(open_source / "store")
    put(open_source, "source/secret/a.py" if name == "secret" else "source/secret.py")
    secret = open_source / "source" / name
    secret.chmod(0)

    with unprivileged():
        error = refusal(open_source / "source", store)

    assert error.message == f"cannot read {secret}: Permission denied"
    assert not error.remedy
    secret.chmod(0o700)


@pytest.mark.parametrize("as_target", [False, True])
def test_a_name_that_is_not_utf_8_is_refused(
    source: Path, store: Store, *, as_target: bool
) -> None:
    odd = os.fsdecode(b"caf\xe9")
    if as_target:
        (source / "link").symlink_to(odd)
    else:
        try:
            put(source, odd)
        except OSError:
            pytest.skip("this file system has no such names")

    error = refusal(source, store)

    path = source / ("link" if as_target else odd)
    assert error.message == (
        f"{str(path)!a} has a name, or is a link to one, that is not UTF-8"
    )
    assert error.remedy == "Rename it: zips hold names in UTF-8."


# -- the signature --------


def test_the_signature_stays_while_nothing_changes(source: Path) -> None:
    put(source, "a/b.py")
    include = [Include(source=source, destination="python/app")]

    assert include_signature(include) == include_signature(include)


def test_the_signature_does_not_depend_on_modes_that_do_not_count(source: Path) -> None:
    path = put(source, "a.py", mode=0o644)
    include = [Include(source=source, destination="python/app")]
    before = include_signature(include)

    path.chmod(stat.S_IRUSR)

    assert include_signature(include) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"longer than it was"),
        lambda path: os.utime(path, ns=(1, 1)),
        lambda path: path.chmod(0o755),
        lambda path: path.rename(path.with_name("b.py")),
        lambda path: path.with_name("another.py").touch(),
    ],
    ids=["size", "time", "mode", "name", "another file"],
)
def test_the_signature_changes_with_a_file_s(source: Path, change: object) -> None:
    path = put(source, "a.py")
    include = [Include(source=source, destination="python/app")]
    before = include_signature(include)

    assert callable(change)
    change(path)

    assert include_signature(include) != before


def test_the_signature_changes_with_the_destination(source: Path) -> None:
    put(source, "a.py")

    assert include_signature(
        [Include(source=source, destination="python/a")]
    ) != include_signature([Include(source=source, destination="python/b")])
