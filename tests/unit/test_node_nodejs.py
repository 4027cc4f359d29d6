"""A Node.js of a major version: found, or had from a registry on 127.0.0.1."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import platform
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from layerforge.ecosystems.node.nodejs import find_node
from layerforge.errors import ArchiveError, BuildError
from layerforge.store import Store
from layerforge.tools import Tools
from tests.servers import Fault, Index

MACHINES: Final = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}
PACKAGE: Final = f"node-{sys.platform}-{MACHINES.get(platform.machine(), 'no')}"
BINARY: Final = "package/bin/node"

pytestmark = pytest.mark.skipif(
    sys.platform not in {"linux", "darwin"}, reason="the registry has none for others"
)


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no Node.js on this machine, and nobody's settings."""
    for name in [name for name in os.environ if name.lower().startswith("npm_")]:
        monkeypatch.delenv(name)
    for name in ("FNM_DIR", "NVM_DIR", "VOLTA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    folder = tmp_path / "registry"
    folder.mkdir()
    with Index(folder) as index:
        monkeypatch.setenv("npm_config_registry", index.url)
        yield index


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(store=Store(tmp_path / "store"))


def speaking(version: str) -> bytes:
    """Give a program that says its version, as Node.js does."""
    return f"#!/bin/sh\necho v{version}\n".encode()


def install(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    path = folder / "node"
    path.write_bytes(speaking(version))
    path.chmod(0o755)
    return path


def publish(
    index: Index, *versions: str, member: str = BINARY, program: bytes = b""
) -> None:
    """Have a registry that tells once of these versions."""
    rows = {}
    for version in versions:
        path = index.folder / f"{version}.tgz"
        with tarfile.open(path, "w:gz") as archive:
            info = tarfile.TarInfo(member)
            data = program or speaking(version)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
        tarball = index.file_url(path.name)
        rows[version] = {"dist": {"tarball": tarball, "integrity": f"sha512-{digest}"}}
    body = json.dumps({"versions": rows}).encode()
    index.script(f"/{PACKAGE}", Fault(status=200, body=body))


def test_one_on_path_is_taken(tmp_path: Path, tools: Tools) -> None:
    path = install(tmp_path / "bin", "22.4.1")

    assert find_node("22", tools) == path


@pytest.mark.parametrize(
    "place",
    [
        ".nvm/versions/node/v22.4.1/bin",
        ".local/share/fnm/node-versions/v22.4.1/installation/bin",
        ".volta/tools/image/node/22.4.1/bin",
    ],
    ids=["nvm", "fnm", "volta"],
)
def test_one_of_a_version_manager_is_taken(
    tmp_path: Path, tools: Tools, place: str
) -> None:
    install(tmp_path / "bin", "20.1.0")
    path = install(tmp_path / "home" / place, "22.4.1")

    assert find_node("22", tools) == path


def test_the_registrys_newest_is_fetched_once(tools: Tools, registry: Index) -> None:
    publish(registry, "22.9.0", "22.10.0", "22.11.0-rc.1", "24.0.0")

    path = find_node("22", tools)

    assert path == tools.store.root / f"nodejs/{PACKAGE}-22.10.0/node"
    assert path.read_bytes() == speaking("22.10.0")
    assert find_node("22", tools) == path
    assert len(registry.asked(f"/{PACKAGE}")) == 1


def test_other_bytes_than_the_registry_promises_are_refused(
    tools: Tools, registry: Index
) -> None:
    publish(registry, "22.9.0")
    path = registry.folder / "22.9.0.tgz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    with pytest.raises(ArchiveError, match="have SHA-512"):
        find_node("22", tools)

    assert not (tools.store.root / "nodejs").exists()


def test_a_version_that_is_nowhere_says_what_there_is_to_do(
    tools: Tools, registry: Index
) -> None:
    publish(registry, "24.0.0")

    with pytest.raises(BuildError) as refused:
        find_node("22", tools)

    assert refused.value.message == (
        "there is no Node.js 22 on this machine, and the registry has no such version "
        "for this machine"
    )
    assert refused.value.remedy == (
        "Install it (nvm install 22); or have a container do it, which proves more: "
        "start Docker, or name an engine with DOCKER_HOST."
    )


def test_a_tarball_without_the_program_is_refused(
    tools: Tools, registry: Index
) -> None:
    publish(registry, "22.9.0", member="package/README.md")

    with pytest.raises(BuildError) as refused:
        find_node("22", tools)

    assert refused.value.message.endswith(
        " is no package of Node.js: package/bin/node is not in it"
    )
    assert [*(tools.store.root / "nodejs").rglob("*node")] == []


def test_a_version_without_sha_512_is_refused(tools: Tools, registry: Index) -> None:
    rows = {"22.9.0": {"dist": {"tarball": "https://x/", "integrity": "sha1-AAAA"}}}
    body = json.dumps({"versions": rows}).encode()
    registry.script(f"/{PACKAGE}", Fault(status=200, body=body))

    with pytest.raises(BuildError) as refused:
        find_node("22", tools)

    assert refused.value.message == (
        f"{PACKAGE} 22.9.0: the registry gives no SHA-512 for it, but 'sha1-AAAA'"
    )


def test_one_that_does_not_run_here_is_no_use(tools: Tools, registry: Index) -> None:
    publish(registry, "22.9.0", program=b"\x7fELF")

    with pytest.raises(BuildError) as refused:
        find_node("22", tools)

    path = tools.store.root / f"nodejs/{PACKAGE}-22.9.0/node"
    assert refused.value.message == (
        "there is no Node.js 22 on this machine, and that of the registry "
        f"({path}) doesn't run here"
    )
