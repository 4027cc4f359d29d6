from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import pytest

from layerforge.errors import BuildError
from layerforge.files import replace_file, umask


def test_the_text_is_written_in_utf_8_with_unix_lines(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"

    replace_file(path, "ä\nb\n")

    assert path.read_bytes() == b"\xc3\xa4\nb\n"


def test_a_file_that_is_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a longer text than the new one")

    replace_file(path, "new")

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, hard))
    try:
        with pytest.raises(BuildError) as caught:
            replace_file(path, "a new text")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert caught.value.message == f"cannot write {path}: File too large"
    assert caught.value.remedy == "What was there before is untouched."
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.txt"

    with pytest.raises(BuildError) as caught:
        replace_file(path, "text")

    assert caught.value.message == f"cannot write {path}: File exists"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_the_umask_decides_who_may_read_it(
    tmp_path: Path, mask: int, mode: int
) -> None:
    before = os.umask(mask)
    try:
        replace_file(tmp_path / "a.txt", "text")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode


def test_asking_for_the_umask_does_not_change_it() -> None:
    before = os.umask(0o027)
    try:
        assert (umask(), umask()) == (0o027, 0o027)
    finally:
        os.umask(before)
