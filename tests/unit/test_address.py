"""Addresses and the secrets that may stand in them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerforge.address import local_path, shown, split_userinfo


def test_an_address_without_a_user_stays_as_it_is() -> None:
    assert split_userinfo("https://index.example/a?b#c") == (
        "https://index.example/a?b#c",
        None,
    )


@given(user=st.text(min_size=1), password=st.text())
def test_a_user_and_password_are_parted_from_the_address(
    user: str, password: str
) -> None:
    userinfo = f"{quote(user, safe='')}:{quote(password, safe='')}"

    parted = split_userinfo(f"https://{userinfo}@index.example:8443/simple/")

    assert parted == ("https://index.example:8443/simple/", (user, password))


def test_a_user_alone_has_an_empty_password() -> None:
    assert split_userinfo("https://token@index.example/") == (
        "https://index.example/",
        ("token", ""),
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:secret@index.example/a.whl",
        "https://index.example/a.whl?signature=secret",
        "https://index.example/a.whl#secret",
    ],
)
def test_what_is_shown_of_an_address_holds_no_secret(url: str) -> None:
    assert shown(url) == "https://index.example/a.whl"


@given(
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1
    )
)
def test_a_file_address_gives_the_path_that_it_was_made_of(name: str) -> None:
    path = Path("/wheels") / name

    assert local_path(path.as_uri()) == path


def test_a_web_address_has_no_path_here() -> None:
    assert local_path("https://index.example/a.whl") is None
