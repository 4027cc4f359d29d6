"""What a job needs to know in secret reaches it, and nobody else."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from time import time
from typing import TYPE_CHECKING, Any, Final, Self, cast

import pip
import pytest

from layerforge.containers.image import Image
from layerforge.containers.secrets import index_secrets, local_links
from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings
from layerforge.containers.task import Task, TaskError
from layerforge.events import Event, Said
from layerforge.indexes import IndexSettings
from layerforge.target import Arch, Target, find_runtime
from tests.servers import Index
from tests.wheels import make_wheel

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

pytestmark = pytest.mark.docker

TARGET: Final = Target(runtime=find_runtime("python3.9"), arch=Arch.X86_64)
# On the machine's own network, where this test's servers are.
BASES: Final = ContainerSettings(
    image="layerforge-base:{runtime}-{arch}", network="host"
)
CERTIFICATE: Final = Path(__file__).parents[1] / "data" / "loopback.pem"
PASSWORDS: Final = ("inAddress4711", "inNetrc4711", "inProxy4711")
READY: Final = "ready to be looked at"
# Uses its secrets, has a child that knows them too, and waits for the test to look.
WAITING: Final = f"""
test -s /run/layerforge/netrc || exit 1
sleep 600 &
echo {READY} >&2
until [ -e /go ]; do sleep 0.1; done
"""


class Proxy(ThreadingHTTPServer):
    """A proxy on 127.0.0.1 that lets through who knows its password (RFC 9110)."""

    daemon_threads = True

    def __init__(self, user: str, password: str) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.expected = f"Basic {pair}"
        self.url = f"http://{user}:{password}@127.0.0.1:{self.server_address[1]}"
        self.let_through: list[str] = []
        self.refused: list[str] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.shutdown()
        self.server_close()


class _Tunnel(BaseHTTPRequestHandler):
    def do_CONNECT(self) -> None:
        proxy = cast("Proxy", self.server)
        if self.headers.get("Proxy-Authorization") != proxy.expected:
            proxy.refused.append(self.path)
            self.send_error(407)
            return
        proxy.let_through.append(self.path)
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as server:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pour, args=(server, self.connection))
            back.start()
            _pour(self.connection, server)
            back.join()
        self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: tests look at what was let through."""


def _pour(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of both hung up: the tunnel ends


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    with Containers(BASES) as containers:
        yield containers


@pytest.fixture(scope="module")
def image(containers: Containers) -> Image:
    return containers.base_image(TARGET)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this machine no other settings than a test's own."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Give what a machine hands on that has a password in every place."""
    in_address, in_netrc, in_proxy = PASSWORDS
    (tmp_path / ".netrc").write_text(
        f"machine two.example login robot password {in_netrc}\n"
    )
    monkeypatch.setenv("HTTPS_PROXY", f"http://robot:{in_proxy}@proxy.example:3128")
    settings = IndexSettings(
        index_url=f"https://robot:{in_address}@one.example/simple",
        extra_index_urls=("https://two.example/simple",),
    )
    secrets = index_secrets(settings)
    assert not [word for word in PASSWORDS if word.encode() not in _joined(secrets)]
    return secrets


def _joined(secrets: Mapping[str, bytes]) -> bytes:
    return b"\n".join(secrets.values())


def passwords_in(*seen: object) -> list[str]:
    """Name the passwords that can be read in what was seen."""
    texts = [
        each if isinstance(each, bytes) else json.dumps(each, default=str).encode()
        for each in seen
    ]
    return [word for word in PASSWORDS if any(word.encode() in text for text in texts)]


class Watched:
    """A job that waits, with a container of this machine to look at."""

    def __init__(self, image: Image, secrets: Mapping[str, bytes]) -> None:
        self.mark = f"watched-{token_hex(8)}"
        self.events: list[Event] = []
        self._task = Task(
            name="a job with secrets",
            image=image.id,
            arch=TARGET.arch,
            command=("sh", "-c", WAITING, self.mark),
            files={"/work/mark": self.mark.encode()},
            environment={"MARK": self.mark},
            secrets=secrets,
        )
        self._ready = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._containers = Containers(BASES, self._hear)

    def __enter__(self) -> Self:
        self._job = self._pool.submit(self._containers.run, self._task)
        self._job.add_done_callback(lambda _job: self._ready.set())
        self._ready.wait()
        if self._job.done():
            self._job.result()  # raises what went wrong
        return self

    def __exit__(self, *_exception: object) -> None:
        self._containers.close()
        self._pool.shutdown()

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Said) and event.line == READY:
            self._ready.set()

    @property
    def docker(self) -> DockerClient:
        return self._containers.engine(TARGET.arch).client

    @property
    def container(self) -> Container:
        ours = self.docker.containers.list(filters={"label": "layerforge"})
        (one,) = [each for each in ours if self.mark in json.dumps(each.attrs)]
        return one

    def finish(self) -> None:
        """Let the job end, and wait until it has."""
        self.container.exec_run(["touch", "/go"])
        self._job.result()


@pytest.fixture
def watched(image: Image, secrets: dict[str, bytes]) -> Iterator[Watched]:
    with Watched(image, secrets) as job:
        yield job


def test_reach_the_job(
    containers: Containers, image: Image, secrets: dict[str, bytes]
) -> None:
    script = 'cat /run/layerforge/pip.conf "$NETRC"; echo "$HTTPS_PROXY"'

    outcome = containers.run(
        Task(
            name="a job with secrets",
            image=image.id,
            arch=TARGET.arch,
            command=("sh", "-c", script),
            secrets=secrets,
        )
    )

    assert passwords_in(outcome.stdout) == list(PASSWORDS)


def test_are_not_shown_by_the_engine(watched: Watched, image: Image) -> None:
    from docker.errors import APIError  # noqa: PLC0415 - an engine may be missing

    container = watched.container
    known = watched.docker.images.get(image.id)

    export: Any = container.export()  # whose type says str
    shown = (container.attrs, container.top(), b"".join(export))
    rest = (container.diff(), known.attrs, known.history())

    assert [watched.mark in str(each) for each in shown] == [True] * 3
    assert passwords_in(*shown, *rest) == []
    with pytest.raises(APIError, match="logging driver does not support reading"):
        container.logs()


def test_are_not_seen_in_the_processes(watched: Watched, image: Image) -> None:
    look = r"cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n'"

    seen = watched.docker.containers.run(
        image.id,
        entrypoint=["sh", "-c", look],
        pid_mode="host",
        user="65534:65534",
        network_mode="none",
        remove=True,
    )

    assert watched.mark.encode() in seen
    assert passwords_in(seen) == []


def test_are_gone_with_the_job(watched: Watched, image: Image) -> None:
    since, docker, name = int(time()), watched.docker, str(watched.container.name)

    watched.finish()

    events = list(docker.api.events(since=since, until=int(time()) + 1, decode=True))
    assert name in str(events)
    assert name not in [each.name for each in docker.containers.list(all=True)]
    told = [str(event) for event in watched.events]
    known = docker.images.get(image.id)
    assert passwords_in(events, told, known.attrs, known.history()) == []


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    make_wheel(folder, "demo", "1.0", {"demo.py": b"x = 1\n"})
    return folder


@pytest.fixture
def index(shelf: Path) -> Iterator[Index]:
    credentials = ("robot", "inAddress4711")
    with Index(shelf, credentials=credentials, certificate=CERTIFICATE) as index:
        yield index


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with Proxy("robot", "inProxy4711") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        yield proxy


@pytest.fixture
def download(
    containers: Containers, image: Image, tmp_path: Path
) -> Callable[[IndexSettings], list[str]]:
    """Give what pip downloads in a container, when asked for demo."""
    python = f"python{TARGET.runtime.version}"

    def download(settings: IndexSettings) -> list[str]:
        task = Task(
            name="demo",
            doing="downloading",
            image=image.id,
            arch=TARGET.arch,
            command=(
                *(python, "-m", "pip", "download", "demo"),
                *("--no-deps", "--retries=0", "--dest=/work/out"),
            ),
            files=pip_files() | local_links(settings)[0],
            secrets=index_secrets(settings),
            environment={"PYTHONPATH": "/work"},
            network=True,
            output="/work/out",
        )
        outcome = containers.run(task, tmp_path / "out")
        return [path.name for path in outcome.files]

    return download


def pip_files() -> dict[str, Path]:
    """Place this environment's own pip, which is of Python alone, below /work."""
    package = Path(pip.__file__).parent
    return {
        f"/work/{path.relative_to(package.parent)}": path
        for path in package.rglob("*")
        if path.suffix in {".py", ".pem"}
    }


def private(index: Index) -> IndexSettings:
    url = index.simple_url.replace("://", "://robot:inAddress4711@")
    return IndexSettings(index_url=url, ca_bundle=str(CERTIFICATE))


def test_let_pip_through_a_proxy_to_a_private_index(
    download: Callable[[IndexSettings], list[str]], index: Index, proxy: Proxy
) -> None:
    assert download(private(index)) == ["demo-1.0-py3-none-any.whl"]
    assert set(proxy.let_through) == {index.host}
    assert proxy.refused == []


@pytest.mark.parametrize("lacking", ["password", "certificate", "proxy's password"])
def test_are_all_needed(
    download: Callable[[IndexSettings], list[str]],
    index: Index,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    lacking: str,
) -> None:
    settings = private(index)
    match lacking:
        case "password":
            settings = replace(settings, index_url=index.simple_url)
        case "certificate":
            settings = replace(settings, ca_bundle="")
        case _:
            bare = proxy.url.replace("robot:inProxy4711@", "")
            monkeypatch.setenv("HTTPS_PROXY", bare)

    with pytest.raises(TaskError, match=r"^downloading demo failed with exit status"):
        download(settings)


def test_are_not_told_where_pip_fails(
    download: Callable[[IndexSettings], list[str]],
    index: Index,
    proxy: Proxy,
    shelf: Path,
) -> None:
    (shelf / "demo-1.0-py3-none-any.whl").unlink()

    with pytest.raises(TaskError) as caught:
        download(private(index))

    assert "demo" in "".join(caught.value.lines)
    assert passwords_in(str(caught.value), caught.value.lines) == []
    assert proxy.let_through != []


def test_are_not_needed_for_folders_of_this_machine(
    download: Callable[[IndexSettings], list[str]], shelf: Path
) -> None:
    settings = IndexSettings(no_index=True, find_links=(str(shelf),))

    assert download(settings) == ["demo-1.0-py3-none-any.whl"]
