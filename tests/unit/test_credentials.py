"""Where users and passwords for indexes come from, and in which order."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from layerforge import credentials
from layerforge.credentials import with_credentials
from layerforge.events import Event, Noted
from layerforge.indexes import IndexSettings

INDEX = "https://one.example/simple"
KEYRING = """#!/bin/sh
echo "$*" >> "$0.asked"
case "$*" in
"get https://one.example/simple me") echo "from keyring" ;;
"--mode creds --output json get https://one.example/simple")
    echo '{"username": "robot", "password": "p@ss"}' ;;
"--mode creds --output json get two.example:8080")
    echo '{"username": "robot", "password": "by host"}' ;;
*) exit 1 ;;
esac
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the machine an empty home, and no keyring."""
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin:/bin")
    (tmp_path / "bin").mkdir()
    return tmp_path


@pytest.fixture
def keyring(home: Path) -> Callable[[str], Path]:
    def install(program: str) -> Path:
        path = home / "bin" / "keyring"
        path.write_text(program)
        path.chmod(0o755)
        return path.with_name("keyring.asked")

    return install


def completed(url: str) -> str:
    return with_credentials(IndexSettings(index_url=url)).index_url


def test_an_address_that_has_both_stays_as_it_is(home: Path) -> None:
    (home / ".netrc").write_text("machine one.example login you password other\n")

    assert completed("https://me:s%40cret@one.example/simple") == (
        "https://me:s%40cret@one.example/simple"
    )


def test_netrc_speaks_for_its_machines_alone(home: Path) -> None:
    (home / ".netrc").write_text("machine one.example login me password s@cret/\n")
    settings = IndexSettings(
        index_url="https://one.example:8443/simple",
        extra_index_urls=("corp=https://one.example/more", "https://two.example"),
        find_links=("http://one.example/links", "/one.example", "file:///wheels"),
    )

    assert with_credentials(settings) == IndexSettings(
        index_url="https://me:s%40cret%2F@one.example:8443/simple",
        extra_index_urls=(
            "corp=https://me:s%40cret%2F@one.example/more",
            "https://two.example",
        ),
        find_links=(
            "http://me:s%40cret%2F@one.example/links",
            "/one.example",
            "file:///wheels",
        ),
    )


def test_netrc_may_be_anywhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "elsewhere").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(home / "elsewhere"))

    assert completed(INDEX) == "https://me:secret@one.example/simple"


def test_netrc_gives_another_user_no_password(home: Path) -> None:
    (home / ".netrc").write_text("machine one.example login you password secret\n")

    assert completed("https://me@one.example/simple") == "https://me@one.example/simple"


def test_a_netrc_that_cant_be_read_is_said_without_its_words(home: Path) -> None:
    (home / ".netrc").write_text("machine one.example\nlogin me\nsecret\n")
    events: list[Event] = []

    settings = with_credentials(IndexSettings(index_url=INDEX), events.append)

    assert settings.index_url == INDEX
    assert events == [
        Noted(
            message=f"{home}/.netrc is no netrc that can be read: it is left out",
            warning=True,
        )
    ]


def test_keyring_is_asked_for_the_password_of_a_user(
    keyring: Callable[[str], Path],
) -> None:
    asked = keyring(KEYRING)

    assert completed("https://me@one.example/simple") == (
        "https://me:from%20keyring@one.example/simple"
    )
    assert asked.read_text() == "get https://one.example/simple me\n"


def test_keyring_is_asked_who_the_user_is(keyring: Callable[[str], Path]) -> None:
    keyring(KEYRING)

    assert completed(INDEX) == "https://robot:p%40ss@one.example/simple"


def test_keyring_is_asked_by_host_where_it_does_not_know_the_address(
    keyring: Callable[[str], Path],
) -> None:
    keyring(KEYRING)

    assert completed("https://two.example:8080/simple") == (
        "https://robot:by%20host@two.example:8080/simple"
    )


def test_keyring_is_not_asked_for_what_netrc_knows(
    home: Path, keyring: Callable[[str], Path]
) -> None:
    asked = keyring(KEYRING)
    (home / ".netrc").write_text("machine one.example login me password secret\n")

    assert completed(INDEX) == "https://me:secret@one.example/simple"
    assert not asked.exists()


def test_keyring_is_not_asked_for_pypi(keyring: Callable[[str], Path]) -> None:
    asked = keyring(KEYRING)

    assert with_credentials(IndexSettings()) == IndexSettings()
    assert not asked.exists()


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("#!/bin/sh\necho nonsense\n", id="no JSON"),
        pytest.param("#!/bin/sh\necho '[1]'\n", id="another document"),
        pytest.param("#!/bin/sh\necho usage >&2\nexit 2\n", id="an old one"),
    ],
)
def test_a_keyring_that_knows_nothing_changes_nothing(
    keyring: Callable[[str], Path], program: str
) -> None:
    keyring(program)

    assert completed(INDEX) == INDEX


def test_a_keyring_that_asks_a_person_gets_no_answer(
    keyring: Callable[[str], Path],
) -> None:
    keyring("#!/bin/sh\nread word && read word < /dev/tty && echo secret\n")

    assert completed("https://me@one.example/simple") == "https://me@one.example/simple"


def test_a_keyring_that_is_silent_is_not_waited_for_twice(
    keyring: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = keyring('#!/bin/sh\necho "$*" >> "$0.asked"\nexec sleep 60\n')
    monkeypatch.setattr(credentials, "KEYRING_TIMEOUT", 0.5)
    events: list[Event] = []

    settings = with_credentials(IndexSettings(index_url=INDEX), events.append)

    assert settings.index_url == INDEX
    assert len(asked.read_text().splitlines()) == 1
    assert events == [
        Noted(
            message="keyring said nothing for 0.5 seconds, asked for "
            "https://one.example/simple",
            warning=True,
        )
    ]


def test_a_keyring_that_cant_be_run_is_said(
    home: Path, keyring: Callable[[str], Path]
) -> None:
    keyring("#!/no/such/interpreter\n")
    events: list[Event] = []

    settings = with_credentials(IndexSettings(index_url=INDEX), events.append)

    assert settings.index_url == INDEX
    assert events == [
        Noted(
            message="keyring can't be run: [Errno 2] No such file or directory: "
            f"'{home}/bin/keyring'",
            warning=True,
        )
    ]
