"""Which files an index has of a project, asked of real servers and folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from layerforge.client import Client, NotFound
from layerforge.ecosystems.python.simple import Project, read_links, read_project
from layerforge.target import Arch, Target, find_runtime
from tests.servers import JSON_TYPE, Fault, Index
from tests.wheels import make_wheel

NAMES = ["my_demo-1.0-py3-none-any.whl", "my_demo-2.0-py3-none-any.whl"]
AL2 = Target(runtime=find_runtime("python3.11"), arch=Arch.X86_64)


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    for version in ("1.0", "2.0"):
        make_wheel(tmp_path, "my-demo", version, {"demo.py": b""})
    with Index(tmp_path) as index:
        yield index


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(retries=0, timeout=5) as client:
        yield client


def test_json_is_asked_for_and_read(index: Index, client: Client) -> None:
    assert read_project(client, index.simple_url, "My.Demo") == NAMES
    (request,) = index.requests
    assert request.path == "/simple/my-demo/"
    assert request.headers["accept"].startswith(JSON_TYPE)


def test_html_is_read_too(index: Index, client: Client) -> None:
    page = (
        b"<h1>files</h1><a name=x>none</a>"
        b'<a href="../../files/my_demo-1.0-py3-none-any.whl#sha256=00">1</a>'
        b'<A HREF="https://cdn.example/my_demo-2.0+cpu-py3-none-any.whl">2</A>'
        b'<a href="/my_demo-3.0%2Bcpu-py3-none-any.whl?x=/y">3</a>'
    )
    html = {"Content-Type": "text/html"}
    index.script("/simple/my-demo/", Fault(status=200, body=page, headers=html))

    assert read_project(client, index.simple_url, "my-demo") == [
        "my_demo-1.0-py3-none-any.whl",
        "my_demo-2.0+cpu-py3-none-any.whl",
        "my_demo-3.0+cpu-py3-none-any.whl",
    ]


def test_an_unknown_project_is_not_found(index: Index, client: Client) -> None:
    with pytest.raises(NotFound):
        read_project(client, index.simple_url, "other")


def test_an_index_may_be_a_folder(tmp_path: Path, client: Client) -> None:
    page = tmp_path / "my-demo" / "index.html"
    page.parent.mkdir()
    page.write_text(f'<a href="../../{NAMES[0]}">x</a>')

    assert read_project(client, tmp_path.as_uri(), "My_Demo") == NAMES[:1]


def test_links_are_those_of_a_folder(index: Index, client: Client) -> None:
    for name in ("other-1.0-py3-none-any.whl", "my-demo-3.0.tar.gz", "my.txt"):
        (index.folder / name).touch()

    found = read_links(client, str(index.folder), "My-Demo")

    assert sorted(found) == ["my-demo-3.0.tar.gz", *NAMES]


def test_links_may_be_those_of_a_page(index: Index, client: Client) -> None:
    page = "".join(f'<a href="{name}">x</a>' for name in (*NAMES, "o-1.tar.gz"))
    index.script("/links", Fault(status=200, body=page.encode()))

    assert read_links(client, f"{index.url}/links", "my-demo") == NAMES


def test_versions_are_told_apart_by_what_loads() -> None:
    project = Project(
        "demo",
        [
            "demo-1.0-py3-none-any.whl",
            "demo-1.10-cp311-cp311-manylinux_2_17_x86_64.whl",
            "demo-1.9-cp311-cp311-manylinux_2_17_x86_64.whl",
            "demo-1.9-cp311-cp311-win_amd64.whl",
            "demo-2.0-cp311-cp311-manylinux_2_28_x86_64.whl",
            "demo-1.8.tar.gz",
            "demo-1.7.zip",
            "demo-1.6.exe",
            "demo-nonsense.whl",
        ],
    )

    assert project.loadable(AL2) == [Version("1.10"), Version("1.9"), Version("1.0")]
    assert project.unloadable(AL2) == [Version("1.7"), Version("1.8"), Version("2.0")]
