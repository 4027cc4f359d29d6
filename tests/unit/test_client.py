"""Small documents, ranges, credentials, and what is said when nobody answers."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerforge.client import Client, NotFound, RangeUnsupported
from layerforge.errors import FetchError
from tests.servers import JSON_TYPE, Fault, Index

NAME = "demo-1.0-py3-none-any.whl"
PATH = f"/files/{NAME}"
BODY = bytes(range(256)) * 1000
CERTIFICATE = Path(__file__).parents[1] / "data" / "loopback.pem"
NETWORK = "Check the address and the network; is HTTPS_PROXY set as it should be?"


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxy and certificates of whoever runs the tests out of them."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in ("HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / NAME).write_bytes(BODY)
    with Index(folder) as index:
        yield index


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / NAME).write_bytes(b"the other's")
    with Index(folder) as index:
        yield index


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(retries=1, timeout=5, sleep=lambda _seconds: None) as client:
        yield client


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class TestGet:
    def test_gives_the_kind_of_page_that_was_asked_for(
        self, index: Index, client: Client
    ) -> None:
        page = client.get(f"{index.simple_url}demo/", accept=JSON_TYPE)

        assert page.content_type == JSON_TYPE

    def test_gives_the_address_after_redirects(
        self, index: Index, other: Index, client: Client
    ) -> None:
        there = {"Location": other.file_url(NAME)}
        index.script(PATH, Fault(status=302, headers=there))

        page = client.get(index.file_url(NAME))

        assert (page.url, page.body) == (other.file_url(NAME), b"the other's")

    def test_gives_an_address_without_the_credentials_of_a_redirect(
        self, index: Index, other: Index, client: Client
    ) -> None:
        there = {"Location": f"http://ann:secret@{other.host}{PATH}"}
        index.script(PATH, Fault(status=302, headers=there))

        page = client.get(index.file_url(NAME))

        assert page.url == other.file_url(NAME)

    def test_tries_again(self, index: Index, client: Client) -> None:
        index.script(PATH, Fault(cut=1000))

        assert client.get(index.file_url(NAME)).body == BODY

    def test_refuses_what_is_no_document(
        self, index: Index, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("layerforge.client.LARGEST_DOCUMENT", 1000)

        with pytest.raises(FetchError) as caught:
            client.get(index.file_url(NAME))

        assert caught.value.message == f"{index.file_url(NAME)}: longer than 1000 bytes"

    def test_tells_what_is_not_there(self, index: Index, client: Client) -> None:
        with pytest.raises(NotFound) as caught:
            client.get(f"{index.simple_url}nothing/")

        assert caught.value.message == (
            f"{index.simple_url}nothing/: {index.host} answered 404 Not Found"
        )

    def test_tells_what_is_gone_for_good(self, index: Index, client: Client) -> None:
        index.script(PATH, Fault(status=410))

        with pytest.raises(NotFound) as caught:
            client.get(index.file_url(NAME))

        assert caught.value.message == (
            f"{index.file_url(NAME)}: {index.host} answered 410 Gone"
        )

    def test_tells_of_endless_redirects(self, index: Index, client: Client) -> None:
        again = Fault(status=302, headers={"Location": index.file_url(NAME)})
        index.script(PATH, *[again] * 40)

        with pytest.raises(FetchError) as caught:
            client.get(index.file_url(NAME))

        assert caught.value.message == (
            f"{index.file_url(NAME)}: {index.host} redirects in a circle"
        )

    def test_reads_a_local_file(self, tmp_path: Path, client: Client) -> None:
        path = tmp_path / "a page.html"
        path.write_bytes(b"<a>")

        page = client.get(path.as_uri())

        assert (page.content_type, page.body) == ("text/html", b"<a>")


class TestReadRange:
    def test_gives_just_these_bytes(self, index: Index, client: Client) -> None:
        assert client.read_range(index.file_url(NAME), 300, 310) == BODY[300:310]

    def test_asks_for_bytes_that_are_not_compressed(
        self, index: Index, client: Client
    ) -> None:
        client.read_range(index.file_url(NAME), 300, 310)

        (request,) = index.requests
        assert request.headers["range"] == "bytes=300-309"
        assert request.headers["accept-encoding"] == "identity"

    def test_tries_again_where_fewer_arrive(self, index: Index, client: Client) -> None:
        index.script(PATH, Fault(announced=False, cut=5))

        assert client.read_range(index.file_url(NAME), 300, 310) == BODY[300:310]

    def test_refuses_a_whole_file_instead(self, index: Index, client: Client) -> None:
        index.ranges = False

        with pytest.raises(RangeUnsupported) as caught:
            client.read_range(index.file_url(NAME), 300, 310)

        assert caught.value.message == (
            f"{index.file_url(NAME)}: the server does not give the part that was "
            "asked for"
        )

    def test_does_not_read_the_whole_file(self, index: Index, client: Client) -> None:
        endless = threading.Event()
        index.ranges = False
        index.script(PATH, Fault(gate=endless))

        with pytest.raises(RangeUnsupported):
            client.read_range(index.file_url(NAME), 300, 310)

    def test_refuses_what_lies_behind_the_end(
        self, index: Index, client: Client
    ) -> None:
        with pytest.raises(RangeUnsupported):
            client.read_range(index.file_url(NAME), len(BODY), len(BODY) + 1)

    def test_refuses_less_than_was_asked_for(
        self, index: Index, client: Client
    ) -> None:
        with pytest.raises(RangeUnsupported):
            client.read_range(index.file_url(NAME), 300, len(BODY) + 1)

    def test_reads_a_local_file(self, tmp_path: Path, client: Client) -> None:
        path = tmp_path / "a wheel.whl"
        path.write_bytes(BODY)

        assert client.read_range(path.as_uri(), 300, 310) == BODY[300:310]

    def test_refuses_what_lies_behind_a_local_file_s_end(
        self, tmp_path: Path, client: Client
    ) -> None:
        path = tmp_path / "a.whl"
        path.write_bytes(BODY)

        with pytest.raises(RangeUnsupported):
            client.read_range(path.as_uri(), 300, len(BODY) + 1)


class TestCredentials:
    def test_go_to_their_host(self, index: Index) -> None:
        index.credentials = ("ann", "sécret")

        with Client(credentials={index.host: ("ann", "sécret")}) as client:
            page = client.get(index.file_url(NAME))

        assert page.body == BODY

    def test_go_to_their_host_however_it_is_written(self, index: Index) -> None:
        port = index.host.partition(":")[2]

        with Client(credentials={f"LocalHost:{port}": ("ann", "secret")}) as client:
            client.get(f"http://localhost:{port}{PATH}")

        assert index.requests[0].headers["authorization"] == basic("ann", "secret")

    def test_go_to_no_other_host(self, index: Index, other: Index) -> None:
        with Client(credentials={index.host: ("ann", "secret")}) as client:
            client.get(other.file_url(NAME))

        (request,) = other.requests
        assert "authorization" not in request.headers

    def test_do_not_follow_a_redirect_to_another_host(
        self, index: Index, other: Index
    ) -> None:
        there = {"Location": other.file_url(NAME)}
        index.script(PATH, Fault(status=302, headers=there))

        with Client(credentials={index.host: ("ann", "secret")}) as client:
            client.get(index.file_url(NAME))

        assert index.requests[0].headers["authorization"] == basic("ann", "secret")
        assert "authorization" not in other.requests[0].headers

    def test_may_stand_in_the_address(self, index: Index, client: Client) -> None:
        url = f"http://ann:s%40cret@{index.host}{PATH}"

        page = client.get(url)

        (request,) = index.requests
        assert request.headers["authorization"] == basic("ann", "s@cret")
        assert page.url == index.file_url(NAME)

    def test_are_taken_from_netrc(
        self, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login ann password secret\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        index.credentials = ("ann", "secret")

        with Client() as client:
            page = client.get(index.file_url(NAME))

        assert page.body == BODY

    @pytest.mark.parametrize("status", [401, 403])
    def test_that_lack_are_asked_for(
        self, index: Index, client: Client, status: int
    ) -> None:
        index.script(PATH, Fault(status=status))

        with pytest.raises(FetchError) as caught:
            client.get(f"http://ann:secret@{index.host}{PATH}?token=secret")

        reason = {401: "Unauthorized", 403: "Forbidden"}[status]
        assert caught.value.message == (
            f"{index.file_url(NAME)}: {index.host} answered {status} {reason}"
        )
        assert caught.value.remedy == (
            f"Give a user and password for {index.host} that may read this: in "
            "~/.netrc (machine 127.0.0.1 login USER password SECRET), or in the "
            f"index's address (https://USER:SECRET@{index.host}/...)."
        )


class TestAuthorization:
    def test_goes_to_the_addresses_that_it_is_given_for(
        self, index: Index, other: Index
    ) -> None:
        def authorize(url: str) -> str:
            return "Bearer secret" if url.startswith(index.url) else ""

        with Client(authorize=authorize) as client:
            client.get(index.file_url(NAME))
            client.get(other.file_url(NAME))

        assert index.requests[0].headers["authorization"] == "Bearer secret"
        assert "authorization" not in other.requests[0].headers

    def test_does_not_follow_a_redirect_to_another_host(
        self, index: Index, other: Index
    ) -> None:
        there = {"Location": other.file_url(NAME)}
        index.script(PATH, Fault(status=302, headers=there))

        with Client(authorize=lambda _url: "Bearer secret") as client:
            client.get(index.file_url(NAME))

        assert index.requests[0].headers["authorization"] == "Bearer secret"
        assert "authorization" not in other.requests[0].headers

    def test_goes_before_netrc(
        self, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login ann password secret\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))

        with Client(authorize=lambda _url: "Bearer secret") as client:
            client.get(index.file_url(NAME))

        assert index.requests[0].headers["authorization"] == "Bearer secret"

    def test_gives_way_to_what_stands_in_the_address(self, index: Index) -> None:
        with Client(authorize=lambda _url: "Bearer secret") as client:
            client.get(f"http://ann:secret@{index.host}{PATH}")

        assert index.requests[0].headers["authorization"] == basic("ann", "secret")

    def test_that_lacks_is_asked_for_as_told(self, index: Index) -> None:
        index.script(PATH, Fault(status=401))

        with (
            Client(sign_in="Sign in at {host}.") as client,
            pytest.raises(FetchError) as caught,
        ):
            client.get(index.file_url(NAME))

        assert caught.value.remedy == f"Sign in at {index.host}."


class TestProxies:
    def test_are_asked_instead(self, index: Index) -> None:
        url = f"http://index.invalid{PATH}"
        index.script(url, Fault(status=200, body=b"through the proxy"))

        with Client(proxies=lambda _url: {"http": index.url}) as client:
            page = client.get(url)

        assert page.body == b"through the proxy"

    def test_may_be_none_whatever_the_environment_says(
        self, index: Index, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

        with Client(proxies=lambda _url: {"no_proxy": "*"}) as client:
            page = client.get(index.file_url(NAME))

        assert page.body == BODY


class TestCertificates:
    @pytest.fixture
    def signed(self, index: Index) -> Iterator[Index]:
        with Index(index.folder, certificate=CERTIFICATE) as signed:
            yield signed

    def test_that_are_not_trusted_are_named_at_once(
        self, signed: Index, client: Client
    ) -> None:
        with pytest.raises(FetchError) as caught:
            client.get(signed.file_url(NAME))

        assert caught.value.message == (
            f"{signed.file_url(NAME)}: the certificate of {signed.host} is not "
            "trusted: self-signed certificate"
        )
        assert caught.value.remedy == (
            "Where a proxy or an index of your own signs with its own authority, name "
            "its certificates: REQUESTS_CA_BUNDLE=/path/to/ca.pem."
        )

    def test_are_trusted_where_the_bundle_has_their_authority(
        self, signed: Index
    ) -> None:
        with Client(ca_bundle=CERTIFICATE) as client:
            page = client.get(signed.file_url(NAME))

        assert page.body == BODY

    def test_are_trusted_where_the_environment_s_bundle_has_their_authority(
        self, signed: Index, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))

        page = client.get(signed.file_url(NAME))

        assert page.body == BODY


class TestNoAnswer:
    def test_names_a_host_that_refuses(self, client: Client) -> None:
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{unheard.getsockname()[1]}"

            with pytest.raises(FetchError) as caught:
                client.get(f"http://ann:secret@{host}/simple/")

        assert caught.value.message == (
            f"http://{host}/simple/: {host} refused the connection (after 2 tries)"
        )
        assert caught.value.remedy == NETWORK

    def test_names_a_host_that_is_not_known(self, client: Client) -> None:
        with pytest.raises(FetchError) as caught:
            client.get("https://index.invalid/simple/")

        assert caught.value.message == (
            "https://index.invalid/simple/: the name index.invalid is not known "
            "(after 2 tries)"
        )

    def test_names_a_host_that_is_silent(self, index: Index) -> None:
        index.script(PATH, Fault(gate=threading.Event()))

        with (
            Client(timeout=0.2, retries=0) as client,
            pytest.raises(FetchError) as caught,
        ):
            client.read_range(index.file_url(NAME), 0, len(BODY))

        assert caught.value.message == (
            f"{index.file_url(NAME)}: {index.host} was silent for 0.2 seconds"
        )

    def test_tells_of_a_proxy(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.1", 0))
            proxy = f"http://127.0.0.1:{unheard.getsockname()[1]}"
            monkeypatch.setenv("https_proxy", proxy)

            with pytest.raises(FetchError) as caught:
                client.get("https://index.invalid/simple/")

        assert caught.value.message == (
            "https://index.invalid/simple/: the proxy does not let it through to "
            "index.invalid (after 2 tries)"
        )

    def test_tells_of_a_ca_bundle_that_is_not_there(self, tmp_path: Path) -> None:
        with (
            Client(ca_bundle=tmp_path / "ca.pem") as client,
            pytest.raises(FetchError) as caught,
        ):
            client.get("https://127.0.0.1:1/")

        assert caught.value.message == (
            "https://127.0.0.1:1/: Could not find a suitable TLS CA certificate "
            f"bundle, invalid path: {tmp_path / 'ca.pem'}"
        )
        assert caught.value.remedy == (
            "Is the path of the CA bundle right, in REQUESTS_CA_BUNDLE?"
        )

    @pytest.mark.parametrize(
        "url", ["ftp://index.invalid/", "index.invalid/simple", "http:///simple"]
    )
    def test_refuses_what_is_no_address(self, client: Client, url: str) -> None:
        with pytest.raises(FetchError) as caught:
            client.get(url)

        assert caught.value.message == f"{url}: not an address that can be fetched"
        assert caught.value.remedy == "Use https: or file:."

    def test_refuses_what_is_no_url_at_all(self, client: Client) -> None:
        with pytest.raises(FetchError) as caught:
            client.get("https://[index/")

        assert caught.value.message == (
            "not an address that can be fetched: Invalid IPv6 URL"
        )


def test_importing_does_not_import_requests() -> None:
    code = "import sys, layerforge.fetch; sys.exit('requests' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 0
