"""What a container is told of indexes, and by which file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from netrc import netrc
from pathlib import Path

import pytest

from layerforge.containers.secrets import index_secrets, local_links, out_of_reach
from layerforge.errors import ConfigError
from layerforge.indexes import IndexSettings

LOOPBACK_PEM = Path(__file__).parents[1] / "data" / "loopback.pem"
FOLDER = " is a folder of this machine, so jobs in containers don't look there"
LOOPBACK = (
    " is this machine's own address: jobs in containers reach it with [containers] "
    'network = "host"'
)
KEYS = ("index-url", "extra-index-url")
PLAIN = b"""export GIT_ASKPASS=''
export GIT_TERMINAL_PROMPT=0
export PIP_CONFIG_FILE=/run/layerforge/pip.conf
export PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_NO_INPUT=1
"""


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a machine with an empty home, no proxies, no keyring."""
    for name in os.environ:
        if name.lower().endswith("_proxy") or name == "NETRC":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def certificate(name: str) -> bytes:
    text = f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"
    return text.encode()


def pip_conf(settings: IndexSettings) -> str:
    return index_secrets(settings)["pip.conf"].decode()


def variables(secrets: dict[str, bytes]) -> dict[str, str]:
    """Give what a shell that reads ``environment`` hands to its programs."""
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    script = f'eval "$0"; exec "{sys.executable}" -c "{show}"'
    process = subprocess.run(
        ["/bin/sh", "-c", script, secrets["environment"].decode()],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(process.stdout))


class TestPipConf:
    def test_names_pypi_where_nothing_is_said(self) -> None:
        assert index_secrets(IndexSettings()) == {
            "pip.conf": b"[global]\nindex-url = https://pypi.org/simple\n",
            "environment": PLAIN,
        }

    def test_says_all_that_the_machines_own_says(self, tmp_path: Path) -> None:
        (tmp_path / "a-1.0-py3-none-any.whl").touch()
        settings = IndexSettings(
            index_url="https://me:s%40cret@one.example/simple",
            extra_index_urls=("corp=https://two.example/a", "https://three.example"),
            find_links=("https://four.example/links", "/none", str(tmp_path)),
            trusted_hosts=("two.example", "three.example:8080"),
        )

        assert pip_conf(settings) == (
            "[global]\n"
            "index-url = https://one.example/simple\n"
            "extra-index-url = https://two.example/a\n"
            "    https://three.example\n"
            "find-links = https://four.example/links\n"
            "    /layerforge/links/2\n"
            "trusted-host = two.example\n"
            "    three.example:8080\n"
        )

    def test_is_understood_by_pip(self, tmp_path: Path) -> None:
        settings = IndexSettings(
            index_url="https://a%20b:%25@one.example/simple",
            extra_index_urls=("https://two.example/?q=%3D;#x",),
        )
        path = tmp_path / "pip.conf"
        path.write_bytes(index_secrets(settings)["pip.conf"])

        process = subprocess.run(
            [sys.executable, "-I", "-m", "pip", "config", "list"],
            env={"PIP_CONFIG_FILE": str(path), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )

        lines = process.stdout.splitlines()
        assert "global.index-url='https://a%20b:%25@one.example/simple'" in lines
        assert "global.extra-index-url='https://two.example/?q=%3D;#x'" in lines

    def test_forbids_indexes_where_they_are_forbidden(self) -> None:
        settings = IndexSettings(index_url="https://one.example", no_index=True)

        assert pip_conf(settings) == "[global]\nno-index = true\n"

    def test_never_falls_back_to_pypi_where_an_index_is_a_folder(self) -> None:
        alone = IndexSettings(index_url="file:///simple")
        first = IndexSettings(
            index_url="/simple", extra_index_urls=("https://two.example",)
        )

        assert pip_conf(alone) == "[global]\nno-index = true\n"
        assert pip_conf(first) == "[global]\nindex-url = https://two.example\n"


class TestNetrc:
    def test_has_the_passwords_instead_of_the_addresses(self, tmp_path: Path) -> None:
        settings = IndexSettings(
            index_url="https://me:s%40cr%23t@one.example:8443/simple",
            find_links=("https://you:word@three.example/links",),
        )

        secrets = index_secrets(settings)

        path = tmp_path / "read"
        path.write_bytes(secrets["netrc"])
        assert netrc(path).hosts == {
            "one.example": ("me", "", "s@cr#t"),
            "three.example": ("you", "", "word"),
        }
        assert variables(secrets)["NETRC"] == "/run/layerforge/netrc"
        assert b"s%40cr%23t" not in b"".join(secrets.values())
        assert b"word@" not in b"".join(secrets.values())

    def test_has_those_of_the_machines_netrc_for_these_hosts_alone(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / ".netrc").write_text(
            "machine one.example login me password first\n"
            "machine other.example login me password second\n"
        )

        secrets = index_secrets(IndexSettings(index_url="https://one.example/simple"))

        assert secrets["netrc"] == b"machine one.example\nlogin me\npassword first\n"

    @pytest.mark.parametrize(
        "addresses",
        [
            pytest.param(
                (
                    "https://a:1@one.example/a/simple",
                    "https://b:2@one.example/b/simple",
                ),
                id="two projects of a server",
            ),
            pytest.param(
                ("https://a:1@one.example/simple", "http://one.example:8080/simple"),
                id="two ports of a host",
            ),
            pytest.param(("https://token@one.example/simple",), id="no password"),
            pytest.param(("https://a:x%20y@one.example/simple",), id="a space"),
            pytest.param(("https://a:x%22@one.example/simple",), id="a quote"),
            pytest.param(("https://a:x%5C@one.example/simple",), id="a backslash"),
            pytest.param(("https://a:%C3%A4@one.example/simple",), id="not ASCII"),
            pytest.param(("https://a:x%0Alogin%20b@one.example/",), id="a new line"),
        ],
    )
    def test_leaves_in_the_addresses_what_it_cant_say(
        self, addresses: tuple[str, ...]
    ) -> None:
        settings = IndexSettings(index_url=addresses[0], extra_index_urls=addresses[1:])

        secrets = index_secrets(settings)

        assert "netrc" not in secrets
        lines = ("[global]", *map(" = ".join, zip(KEYS, addresses, strict=False)), "")
        assert secrets["pip.conf"].decode().split("\n") == list(lines)


class TestCertificates:
    def test_are_the_bundle_that_the_machine_uses(self, tmp_path: Path) -> None:
        bundle = tmp_path / "company.pem"
        bundle.write_bytes(certificate("one"))

        secrets = index_secrets(IndexSettings(ca_bundle=str(bundle)))

        assert secrets["ca.pem"] == certificate("one")
        told = variables(secrets)
        assert {
            name for name, value in told.items() if value == "/run/layerforge/ca.pem"
        } == {
            "PIP_CERT",
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "GIT_SSL_CAINFO",
            "CARGO_HTTP_CAINFO",
        }

    def test_of_a_folder_are_one_bundle(self, tmp_path: Path) -> None:
        folder = tmp_path / "certificates"
        folder.mkdir()
        (folder / "deeper").mkdir()
        (folder / "a.pem").write_bytes(certificate("one"))
        (folder / "b.pem").write_bytes(certificate("two"))
        (folder / "0f5dc4f3.0").symlink_to("a.pem")
        (folder / "README").write_bytes(b"no certificate\n")

        secrets = index_secrets(IndexSettings(ca_bundle=str(folder)))

        assert secrets["ca.pem"] == certificate("one") + certificate("two")

    def test_come_without_the_key_that_stands_beside_them(self) -> None:
        whole = LOOPBACK_PEM.read_bytes()

        bundle = index_secrets(IndexSettings(ca_bundle=str(LOOPBACK_PEM)))["ca.pem"]

        assert b"PRIVATE KEY" in whole
        assert b"PRIVATE KEY" not in bundle
        assert bundle in whole

    def test_that_are_none_are_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            index_secrets(IndexSettings(ca_bundle=str(tmp_path)))

        assert caught.value.message == f"the CA bundle {tmp_path} has no certificates"

    def test_that_are_not_there_are_an_error(self) -> None:
        with pytest.raises(ConfigError) as caught:
            index_secrets(IndexSettings(ca_bundle="/no/such.pem"))

        assert caught.value.message == (
            "the CA bundle /no/such.pem can't be read: No such file or directory"
        )
        assert caught.value.remedy == (
            "Is the path right, in pip's cert setting or REQUESTS_CA_BUNDLE?"
        )


def test_proxies_are_told_in_both_cases_and_survive_the_shell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:it's $HOME`id`@proxy.example:3128")
    monkeypatch.setenv("http_proxy", "http://lower.example")
    monkeypatch.setenv("HTTP_PROXY", "http://upper.example")
    monkeypatch.setenv("no_proxy", "localhost,.example")

    told = variables(index_secrets(IndexSettings()))

    assert {
        name: value for name, value in told.items() if name.lower().endswith("_proxy")
    } == {
        "https_proxy": "http://me:it's $HOME`id`@proxy.example:3128",
        "HTTPS_PROXY": "http://me:it's $HOME`id`@proxy.example:3128",
        "http_proxy": "http://lower.example",
        "HTTP_PROXY": "http://lower.example",
        "no_proxy": "localhost,.example",
        "NO_PROXY": "localhost,.example",
    }


class TestLocalLinks:
    def test_are_the_distributions_of_each_folder(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        for folder in (one, two, one / "deeper.whl"):
            folder.mkdir()
            (folder / "a-1.0-py3-none-any.whl").touch()
        (one / "b-1.0.tar.gz").touch()
        (one / "notes.txt").touch()
        settings = IndexSettings(
            find_links=("https://one.example", str(one), two.as_uri())
        )

        assert local_links(settings) == (
            {
                "/layerforge/links/1/a-1.0-py3-none-any.whl": one
                / "a-1.0-py3-none-any.whl",
                "/layerforge/links/1/b-1.0.tar.gz": one / "b-1.0.tar.gz",
                "/layerforge/links/2/a-1.0-py3-none-any.whl": two
                / "a-1.0-py3-none-any.whl",
            },
            ("/layerforge/links/1", "/layerforge/links/2"),
        )

    def test_may_be_one_file(self, tmp_path: Path) -> None:
        wheel = tmp_path / "a-1.0-py3-none-any.whl"
        wheel.touch()

        assert local_links(IndexSettings(find_links=(str(wheel),))) == (
            {"/layerforge/links/0/a-1.0-py3-none-any.whl": wheel},
            ("/layerforge/links/0",),
        )

    def test_that_are_not_there_are_none(self, tmp_path: Path) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        settings = IndexSettings(find_links=(str(empty), str(tmp_path / "none")))

        assert local_links(settings) == ({}, ())


class TestOutOfReach:
    def test_are_folders_and_addresses_of_the_machine_itself(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "me:secret@127.0.0.1:3128")
        monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
        monkeypatch.setenv("NO_PROXY", "localhost")
        settings = IndexSettings(
            index_url="https://one.example",
            extra_index_urls=(
                "file:///simple",
                "http://me:secret@localhost:8080/simple",
            ),
        )

        assert out_of_reach(settings) == (
            f"file:///simple{FOLDER}",
            f"http://localhost:8080/simple{LOOPBACK}",
            f"http://127.0.0.1:3128{LOOPBACK}",
        )

    def test_are_folders_alone_for_who_shares_the_machines_network(self) -> None:
        settings = IndexSettings(
            index_url="http://localhost", extra_index_urls=("/simple",)
        )

        assert out_of_reach(settings, network="host") == (f"/simple{FOLDER}",)
