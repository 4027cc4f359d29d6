from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerforge.reports.columns import clipped, columns, counted
from layerforge.reports.paths import shown_path, with_shown_paths
from layerforge.reports.prose import printable, wrapped

LOCK = "layerforge lock web --runtime python3.12 --arch x86_64"


def test_a_line_that_fits_stays_as_it_is() -> None:
    assert wrapped("  a table  of  two", 20) == "  a table  of  two"


def test_a_long_line_is_broken_between_words_and_set_in() -> None:
    assert wrapped("  one two three four", 12) == "  one two\n    three\n    four"


def test_a_word_that_is_too_long_stays_whole() -> None:
    assert wrapped("see cp312-manylinux_2_28_x86_64 here", 12) == (
        "see\n  cp312-manylinux_2_28_x86_64\n  here"
    )


def test_a_command_stays_whole_so_that_it_can_be_copied() -> None:
    assert wrapped(f"Bring the lock up to date: {LOCK}", 60) == (
        f"Bring the lock up to date:\n  {LOCK}"
    )


def test_a_sentence_goes_on_behind_a_command() -> None:
    assert wrapped("Try layerforge init. Or name a recipe that is there", 30) == (
        "Try layerforge init. Or name a\n  recipe that is there"
    )


@given(st.text(alphabet="ab -\n", max_size=200), st.integers(10, 40))
def test_wrapping_keeps_every_word(text: str, width: int) -> None:
    assert wrapped(text, width).split() == text.split()


def test_paths_are_shown_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    shown = with_shown_paths(
        f"{tmp_path}/a.toml, '{tmp_path}/b', file://{tmp_path}/c, {tmp_path}x/d"
    )

    assert shown == f"a.toml, 'b', file://{tmp_path}/c, {tmp_path}x/d"


def test_below_the_root_paths_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")

    assert with_shown_paths("/etc/passwd of https://a//b") == (
        "/etc/passwd of https://a//b"
    )


def test_a_path_elsewhere_is_shown_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert shown_path(Path("/var/cache/x")) == "/var/cache/x"


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    assert columns([("a", "1"), ("bcd", "22")], right="<>") == ["a     1", "bcd  22"]


def test_no_rows_are_no_lines() -> None:
    assert columns([]) == []


def test_a_text_that_is_cut_shows_it() -> None:
    assert (clipped("abcdef", 4), clipped("abcd", 4)) == ("abc…", "abcd")


def test_one_of_a_thing_is_not_many() -> None:
    assert (counted(1, "file"), counted(0, "file"), counted(1200, "file")) == (
        "1 file",
        "0 files",
        "1,200 files",
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a line\n\tand another", "a line\n\tand another"),
        ("caf\u00e9 \u2026", "caf\u00e9 \u2026"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\u202eb\r", "a\\u202eb\\r"),
    ],
)
def test_what_would_steer_a_terminal_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
