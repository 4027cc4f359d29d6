"""Where packages are looked for, and who has the say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from layerforge.indexes import IndexSettings, hide_credentials, machine_settings

FOLDER = Path("/project")
BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def pip_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the machine one pip.conf, empty yet, and no settings besides."""
    for name in os.environ:
        if name.startswith(("PIP_", "UV_")) or name in BUNDLE_VARIABLES:
            monkeypatch.delenv(name)
    path = tmp_path / "pip.conf"
    path.touch()
    monkeypatch.setenv("PIP_CONFIG_FILE", str(path))
    # PIP_CONFIG_FILE adds to the user's file; only an empty home leaves it out.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path))
    return path


def looked_for(settings: IndexSettings) -> IndexSettings:
    """Leave out what the machine's own /etc/pip.conf may say of certificates."""
    return IndexSettings(
        index_url=settings.index_url,
        extra_index_urls=settings.extra_index_urls,
        find_links=settings.find_links,
        no_index=settings.no_index,
        uv_decides=settings.uv_decides,
    )


class TestMachine:
    def test_says_what_pip_conf_says(self, pip_conf: Path) -> None:
        pip_conf.write_text(
            "[global]\n"
            "index-url = https://one.example/simple\n"
            "extra-index-url =\n"
            "    https://two.example/simple\n"
            "    https://three.example/simple\n"
            "find-links = /wheels https://four.example/\n"
            "trusted-host = one.example two.example\n"
            "cert = /ca.pem\n"
            "no-index = false\n"
        )

        assert machine_settings() == IndexSettings(
            index_url="https://one.example/simple",
            extra_index_urls=(
                "https://two.example/simple",
                "https://three.example/simple",
            ),
            find_links=("/wheels", "https://four.example/"),
            trusted_hosts=("one.example", "two.example"),
            ca_bundle="/ca.pem",
        )

    @pytest.mark.parametrize("name", BUNDLE_VARIABLES)
    def test_takes_a_bundle_from_any_variable_for_uv_and_downloads_alike(
        self, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # not even /etc/pip.conf
        monkeypatch.setenv(name, "/company.pem")

        assert machine_settings().ca_bundle == "/company.pem"

    def test_prefers_the_bundle_that_pip_is_given(
        self, pip_conf: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pip_conf.write_text("[global]\ncert = /ca.pem\n")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/company.pem")

        assert machine_settings().ca_bundle == "/ca.pem"

    def test_prefers_what_pip_has_for_downloads_then_its_environment(
        self, pip_conf: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pip_conf.write_text(
            "[global]\nindex-url = https://global.example\n"
            "find-links = /global\nno-index = no\n"
            "[download]\nfind-links = /download\nindex-url = https://download.example\n"
            "[install]\nindex-url = https://install.example\n"
        )
        monkeypatch.setenv("PIP_INDEX_URL", "https://environment.example")
        monkeypatch.setenv("PIP_NO_INDEX", "1")

        settings = machine_settings()

        assert settings.index_url == "https://environment.example"
        assert settings.find_links == ("/download",)
        assert settings.no_index

    @pytest.mark.parametrize(
        ("variables", "expected"),
        [
            (
                {"UV_DEFAULT_INDEX": "https://uv.example"},
                IndexSettings(index_url="https://uv.example", uv_decides=True),
            ),
            (
                {"UV_INDEX_URL": "https://uv.example"},
                IndexSettings(index_url="https://uv.example", uv_decides=True),
            ),
            (
                {"UV_INDEX": "corp=https://one.example https://two.example"},
                IndexSettings(
                    extra_index_urls=(
                        "corp=https://one.example",
                        "https://two.example",
                    ),
                    uv_decides=True,
                ),
            ),
        ],
    )
    def test_prefers_the_indexes_of_uv_to_those_of_pip(
        self,
        pip_conf: Path,
        monkeypatch: pytest.MonkeyPatch,
        variables: dict[str, str],
        expected: IndexSettings,
    ) -> None:
        pip_conf.write_text(
            "[global]\nindex-url = https://pip.example\nfind-links = /wheels\n"
        )
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

        assert looked_for(machine_settings()) == expected

    def test_does_not_run_a_pip_of_the_present_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "pip.py").write_text("open('ran', 'w').close()")
        monkeypatch.chdir(tmp_path)

        machine_settings()

        assert not (tmp_path / "ran").exists()


class TestPrecedence:
    def test_is_option_then_file_then_machine(self) -> None:
        option = IndexSettings(index_url="https://option.example")
        file = IndexSettings(
            index_url="https://file.example",
            extra_index_urls=("https://file.example/extra",),
        )
        machine = IndexSettings(
            index_url="https://machine.example",
            extra_index_urls=("https://machine.example/extra",),
            find_links=("/machine",),
            trusted_hosts=("machine.example",),
            ca_bundle="/ca.pem",
            uv_decides=True,
        )

        assert option.or_else(file).or_else(machine) == IndexSettings(
            index_url="https://option.example",
            extra_index_urls=("https://file.example/extra",),
            find_links=("/machine",),
            trusted_hosts=("machine.example",),
            ca_bundle="/ca.pem",
            uv_decides=True,
        )

    def test_lets_anyone_forbid_indexes(self) -> None:
        forbidden = IndexSettings(no_index=True)

        assert IndexSettings().or_else(forbidden).no_index
        assert forbidden.or_else(IndexSettings()).no_index


class TestAddresses:
    def test_begin_with_pypi_where_nothing_is_said(self) -> None:
        assert IndexSettings().addresses == ("https://pypi.org/simple",)

    def test_are_the_main_index_then_the_others_without_names(self) -> None:
        settings = IndexSettings(
            index_url="https://one.example/?a=b",
            extra_index_urls=(
                "corp=https://two.example",
                "https://x.example/?q=http://",
            ),
        )

        assert settings.addresses == (
            "https://one.example/?a=b",
            "https://two.example",
            "https://x.example/?q=http://",
        )

    def test_are_none_without_indexes(self) -> None:
        settings = IndexSettings(index_url="https://one.example", no_index=True)

        assert settings.addresses == ()


class TestCredentials:
    def test_are_found_by_host(self) -> None:
        settings = IndexSettings(
            index_url="https://me:s%40cret@one.example:8080/simple",
            extra_index_urls=("corp=https://token@two.example", "https://open.example"),
            find_links=("https://you:word@three.example/", "/wheels"),
        )

        assert settings.credentials == {
            "one.example:8080": ("me", "s@cret"),
            "two.example": ("token", ""),
            "three.example": ("you", "word"),
        }

    def test_are_hidden_in_texts(self) -> None:
        text = "error: https://me:s%40cret@one.example/a and git+ssh://git@b.example"

        assert hide_credentials(text) == (
            "error: https://one.example/a and git+ssh://b.example"
        )

    def test_are_hidden_whole_where_the_password_has_an_at_sign(self) -> None:
        text = "no answer from https://me:p@ss@one.example/a@b?c=d@e"

        assert hide_credentials(text) == "no answer from https://one.example/a@b?c=d@e"


class TestUvArguments:
    def test_are_none_for_no_settings(self) -> None:
        assert IndexSettings().uv_arguments() == []

    def test_treat_all_indexes_as_one_like_pip(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("UV_INDEX_STRATEGY", raising=False)
        settings = IndexSettings(
            index_url="https://one.example",
            extra_index_urls=("https://two.example",),
            trusted_hosts=("two.example",),
        )

        assert settings.uv_arguments() == [
            *("--allow-insecure-host", "two.example"),
            *("--index-strategy", "unsafe-best-match"),
        ]

    def test_leave_addresses_to_the_environment_which_no_process_list_shows(
        self,
    ) -> None:
        settings = IndexSettings(
            index_url="https://me:secret@one.example",
            extra_index_urls=("https://two.example", "https://three.example"),
        )

        assert "secret" not in " ".join(settings.uv_arguments())
        assert settings.uv_environment() == {
            "UV_DEFAULT_INDEX": "https://me:secret@one.example",
            "UV_INDEX": "https://two.example https://three.example",
        }

    def test_leave_the_strategy_to_uvs_own_settings(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        extra = IndexSettings(extra_index_urls=("https://two.example",))
        own = IndexSettings(extra_index_urls=("a=https://a.example",), uv_decides=True)

        assert own.uv_arguments() == []
        monkeypatch.setenv("UV_INDEX_STRATEGY", "unsafe-first-match")
        assert extra.uv_arguments() == []

    def test_pass_folders_that_are_not_there(self, tmp_path: Path) -> None:
        settings = IndexSettings(
            index_url="https://one.example",
            find_links=(str(tmp_path), str(tmp_path / "none"), "https://two.example"),
            no_index=True,
        )

        assert settings.uv_arguments() == [
            *("--find-links", str(tmp_path)),
            *("--find-links", "https://two.example"),
            "--no-index",
        ]


def test_a_folder_of_a_file_starts_from_that_file() -> None:
    settings = IndexSettings()
    for value in ("wheels", "/abs", "https://one.example"):
        settings = settings.with_option("--find-links", value, FOLDER)

    assert settings.find_links == ("/project/wheels", "/abs", "https://one.example")
