"""Node.js and npm as npm's registry has them, laid out as Lambda's images have them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any, Final

from layerforge.client import Client
from layerforge.ecosystems.node.npmrc import read_npmrc
from layerforge.ecosystems.node.registry import open_npm_client
from layerforge.errors import FetchError
from layerforge.target import Target

# The major version of npm that each Node.js came with.
NPM: Final = {"18": "10", "20": "10", "22": "10", "24": "11", "26": "11"}
# Of a package of Node.js, what an image has; share/ has manuals.
PARTS: Final = ("bin/", "include/")


def fetch_node(target: Target, folder: Path) -> None:
    """Put the newest Node.js of a runtime, its headers and its npm into a folder.

    Raises `FetchError` where the registry hasn't them.
    """
    version = target.runtime.version
    settings = read_npmrc(Path.cwd())
    registry = settings.registries[""].rstrip("/")
    with open_npm_client(settings) as client:
        node = _newest(f"{registry}/node-linux-{target.arch.npm}", version, client)
        _unpack(node, folder / "lang", PARTS)
        npm = _newest(f"{registry}/npm", NPM[version], client)
        _unpack(npm, folder / "lang" / "lib" / "node_modules" / "npm", ("",))


def _newest(address: str, major: str, client: Client) -> bytes:
    """Give the tarball of a package's newest release of a major version."""
    document = _read(address, client)
    releases = {
        tuple(map(int, version.split("."))): row
        for version, row in document["versions"].items()
        if re.fullmatch(rf"{major}\.\d+\.\d+", version)
    }
    if not releases:
        raise FetchError(f"{address} has no version {major}")
    dist = releases[max(releases)]["dist"]
    tarball = client.get(dist["tarball"]).body
    algorithm, _, expected = dist["integrity"].partition("-")
    if hashlib.new(algorithm, tarball).digest() != base64.b64decode(expected):
        raise FetchError(f"{dist['tarball']} is not what the registry says it is")
    return tarball


def _read(url: str, client: Client) -> dict[str, Any]:
    answer = client.get(url, accept="application/vnd.npm.install-v1+json")
    document: dict[str, Any] = json.loads(answer.body)
    return document


def _unpack(tarball: bytes, folder: Path, parts: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(tarball)) as tar:
        for member in tar:
            name = member.name.partition("/")[2]
            if name.startswith(parts):
                tar.extract(member.replace(name=name), folder, filter="data")
