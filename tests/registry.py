"""A small npm registry on 127.0.0.1, of packages made from a few words.

    with Registry(folder) as registry:
        registry.publish("demo", "1.0.0", {"index.js": b""}, dependencies={"a": "^1"})
        ... registry.url, registry.row("demo", "1.0.0"), registry.requests

Packuments are at /NAME, tarballs at /NAME/-/FILE, as npm's own registry has them:
https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md. `lock_of`
writes the lock that npm would make, so that what builds from one needs no npm.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from tests.servers import Answer, Index, Request

# What npm copies from a package.json into its lock.
_LOCKED: Final = (
    *("version", "dependencies", "optionalDependencies", "peerDependencies"),
    *("peerDependenciesMeta", "bundleDependencies", "bin", "os", "cpu", "libc"),
    *("engines", "hasInstallScript"),
)


def make_tarball(
    files: Mapping[str, bytes],
    *,
    executables: Collection[str] = (),
    others: Iterable[tarfile.TarInfo] = (),
) -> bytes:
    """Write a tarball as ``npm pack`` has it: below package/, the same bytes each time.

    ``others`` are entries without contents, by their whole names: links, devices.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(data)
            member.mode = 0o755 if path in executables else 0o644
            archive.addfile(member, io.BytesIO(data))
        for member in others:
            archive.addfile(member)
    return gzip.compress(stream.getvalue(), mtime=0)


def integrity_of(data: bytes, algorithm: str = "sha512") -> str:
    """Give the integrity of some bytes (W3C Subresource Integrity)."""
    digest = hashlib.new(algorithm, data).digest()
    return f"{algorithm}-{base64.b64encode(digest).decode()}"


def lock_of(
    manifest: Mapping[str, Any],
    packages: Mapping[str, Mapping[str, Any]],
    **changes: Any,  # noqa: ANN401 - JSON's values
) -> str:
    """Write the package-lock.json of a package.json; ``packages`` are rows by path."""
    document = {
        "name": manifest["name"],
        "version": manifest["version"],
        "lockfileVersion": 3,
        "requires": True,
        "packages": {"": {**manifest}, **packages},
    }
    return json.dumps(document | changes, indent=2) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of a package: its package.json, its tarball and where that is."""

    manifest: Mapping[str, Any]
    tarball: bytes
    path: str


class Registry(Index):
    """Serves what is published, while entered; faults are scripted as an `Index`'s.

    With a ``token`` it answers those alone that bring it.
    """

    def __init__(self, folder: Path, *, token: str = "") -> None:
        super().__init__(folder)
        self.token = token
        self.releases: dict[tuple[str, str], Release] = {}

    def publish(
        self,
        name: str,
        version: str,
        files: Mapping[str, bytes] | None = None,
        *,
        executables: Collection[str] = (),
        **fields: Any,  # noqa: ANN401 - a package.json's
    ) -> Release:
        """Have a package of some files (an index.js, if none) and of a package.json."""
        manifest = {"name": name, "version": version, **fields}
        contents = {
            "package.json": json.dumps(manifest).encode(),
            **({"index.js": b"module.exports = 42\n"} if files is None else files),
        }
        release = Release(
            manifest=manifest,
            tarball=make_tarball(contents, executables=executables),
            path=f"/{name}/-/{name.rpartition('/')[2]}-{version}.tgz",
        )
        self.releases[name, version] = release
        return release

    def swap(self, name: str, version: str, tarball: bytes) -> None:
        """Have other bytes for a package, and say so wherever that is asked."""
        release = self.releases[name, version]
        self.releases[name, version] = replace(release, tarball=tarball)

    def row(self, name: str, version: str, /, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON's values
        """Give a package's row in a lock; what changes to None is left out."""
        release = self.releases[name, version]
        locked = {key: release.manifest.get(key) for key in _LOCKED}
        row = {
            **locked,
            "resolved": f"{self.url}{release.path}",
            "integrity": integrity_of(release.tarball),
            **changes,
        }
        return {key: value for key, value in row.items() if value is not None}

    def answer(self, request: Request) -> Answer:
        """Answer as a good registry does."""
        if self.token and request.headers.get("authorization") != (
            f"Bearer {self.token}"
        ):
            return Answer(status=HTTPStatus.UNAUTHORIZED, body=b"{}")
        path = unquote(request.path)
        for release in self.releases.values():
            if path == release.path:
                return Answer(body=release.tarball)
        return self._packument(path.removeprefix("/"))

    def _packument(self, name: str) -> Answer:
        versions = {
            version: self._described(release)
            for (owner, version), release in self.releases.items()
            if owner == name
        }
        if not versions:
            return Answer(status=HTTPStatus.NOT_FOUND, body=b'{"error": "Not found"}')
        newest = max(versions, key=lambda each: [*map(int, each.split("."))])
        document = {
            "name": name,
            "dist-tags": {"latest": newest},
            "versions": versions,
        }
        return Answer(
            body=json.dumps(document).encode(),
            headers={"Content-Type": "application/json"},
        )

    def _described(self, release: Release) -> dict[str, Any]:
        dist = {
            "tarball": f"{self.url}{release.path}",
            "integrity": integrity_of(release.tarball),
            "shasum": hashlib.sha1(release.tarball, usedforsecurity=False).hexdigest(),
        }
        return {**release.manifest, "dist": dist}
