"""An engine, and an image of two megabytes to try it with."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from layerforge.containers.connection import connect
from layerforge.containers.endpoint import Endpoint, find_endpoints
from layerforge.containers.engine import Engine

if TYPE_CHECKING:
    from docker import DockerClient

BUSYBOX: Final = "layerforge-test:busybox"


@pytest.fixture(scope="session")
def client() -> Iterator[DockerClient]:
    """Give a client of the tests' own, to look at what an engine has."""
    _, client = connect(find_endpoints())
    yield client
    client.close()


@pytest.fixture(scope="session")
def busybox(client: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the ID of an image that is nothing but busybox."""
    if not client.images.list(BUSYBOX):
        program = shutil.which("busybox") or _unpacked(tmp_path_factory.mktemp("deb"))
        client.api.import_image_from_data(_root(Path(program)), *BUSYBOX.split(":"))
    identity = client.images.get(BUSYBOX).id
    assert identity
    return identity


@pytest.fixture
def socket_path() -> str:
    """Give the path of the engine's socket."""
    scheme, _, path = find_endpoints()[0].address.partition("://")
    assert scheme == "unix", "these tests stand between a client and a socket"
    return path


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(find_endpoints())
    yield engine
    engine.close()


def engine_at(path: Path) -> Engine:
    return Engine((Endpoint(address=f"unix://{path}"),))


def _unpacked(folder: Path) -> str:
    """Give the busybox of Debian, which needs no library."""
    # Where there are no lists of packages yet, they are had first.
    script = """
    apt-get download busybox-static ||
        { apt-get update && apt-get download busybox-static; }
    dpkg-deb --extract busybox-static_*.deb .
    """
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True)
    return str(folder / "bin/busybox")


def _root(program: Path) -> bytes:
    """Make a root file system: a program, and its applets as links to it."""
    listed = subprocess.run([program, "--list"], check=True, capture_output=True)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        tar.add(program, "bin/busybox")
        for name in set(listed.stdout.decode().split()) - {"busybox"}:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return stream.getvalue()
