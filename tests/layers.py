"""Layers for tests, without a build: trees and locks of real wheels and tarballs."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

from layerforge.ecosystems.node.placing import place
from layerforge.ecosystems.node.tarballs import admit_tarball
from layerforge.ecosystems.python.wheel import index_wheel
from layerforge.include import ORIGIN
from layerforge.lock import Lock, Pin, sorted_pins
from layerforge.manifest import BuildReport
from layerforge.store import Store
from layerforge.target import Arch, Target, load_runtimes
from layerforge.tree import FileEntry, Tree, unite
from tests.entries import make_entry
from tests.registry import make_tarball

_VERSION: Final = "1.2.3"  # layerforge's, in reports


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer called web: what it was locked to, and what is in it."""

    target: Target
    lock: Lock
    tree: Tree

    @cached_property
    def report(self) -> BuildReport:
        """Give what a build would tell, with a hash of no zip at all."""
        return BuildReport(
            layer=self.lock.layer,
            runtime=self.target.runtime.id,
            runtimes=(self.target.runtime.id,),
            architecture=str(self.target.arch),
            description="",
            licence="",
            zip=f"web-{self.target}.zip",
            zipped=0,
            unzipped=self.tree.size,
            files=len(self.tree),
            code_sha256=base64.b64encode(hashlib.sha256(b"").digest()).decode(),
            tree_digest=self.tree.digest,
            lock="",
            lock_digest=self.lock.digest,
            packages=(),
            removals=(),
            trimmed=0,
            bytecode=0,
            bytecode_estimate=0,
            findings=(),
            layerforge=_VERSION,
        )

    def with_pin(self, identifier: str, **changes: Any) -> Layer:  # noqa: ANN401 - a pin's
        """Give the layer with another pin for a package."""
        pins = tuple(
            replace(pin, **changes) if pin.id == identifier else pin
            for pin in self.lock.pins
        )
        return replace(self, lock=replace(self.lock, pins=pins))

    def with_files(self, folder: Path, files: Mapping[str, bytes]) -> Layer:
        """Give the layer with files of the user's own, by their paths in /opt."""
        own = (
            make_entry(folder, path, data, origin=ORIGIN)
            for path, data in files.items()
        )
        return replace(self, tree=unite((*self.tree, *own)))

    def without(self, *paths: str) -> Layer:
        """Give the layer without what is at or below some paths."""
        left = (
            entry
            for entry in self.tree
            if not any(f"{entry.path}/".startswith(f"{path}/") for path in paths)
        )
        return replace(self, tree=Tree(tuple(left)))


def python_layer(*wheels: Path, roots: Iterable[str]) -> Layer:
    """Lay out wheels for python3.13 on arm64."""
    pins: list[Pin] = []
    entries: list[FileEntry] = []
    for wheel in wheels:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        pack = index_wheel(wheel, wheel.name, digest)
        pins.append(
            Pin(
                name=pack.name,
                version=pack.version,
                filename=wheel.name,
                url=f"https://files.example.org/{wheel.name}",
                digest=digest,
                dependencies=tuple(Requirement(row).name for row in pack.requires),
            )
        )
        entries += pack.entries
    return _layer("python3.13", pins, entries, roots)


def node_layer(
    folder: Path,
    packages: Mapping[str, tuple[Mapping[str, Any], Mapping[str, bytes]]],
    *,
    roots: Iterable[str],
) -> Layer:
    """Lay out packages for nodejs22.x on arm64.

    ``packages`` are a package.json and other files, by their places in the layer
    (``node_modules/a``). Dependencies are packages at the top.
    """
    store = Store(folder)
    pins: list[Pin] = []
    entries: list[FileEntry] = []
    for where, (manifest, files) in packages.items():
        name, version = manifest["name"], manifest["version"]
        data = make_tarball({"package.json": json.dumps(manifest).encode(), **files})
        digest = hashlib.sha512(data).hexdigest()
        tarball = folder / "tarball"
        tarball.write_bytes(data)
        pack = admit_tarball(
            store.adopt(tarball, digest),
            name=name,
            version=version,
            digest=digest,
            store=store,
        )
        pin = Pin(
            name=name,
            version=version,
            filename=f"{name.lstrip('@').replace('/', '-')}-{version}.tgz",
            url=f"https://registry.example.org/{name}/-/{version}.tgz",
            digest=digest,
            location="" if where == f"node_modules/{name}" else where,
            dependencies=tuple(manifest.get("dependencies", ())),
        )
        pins.append(pin)
        placed = place(pack, name=pin.id, version=version, folder=f"nodejs/{where}")
        entries += placed.entries
    return _layer("nodejs22.x", pins, entries, roots)


def _layer(
    runtime: str,
    pins: Iterable[Pin],
    entries: Iterable[FileEntry],
    roots: Iterable[str],
) -> Layer:
    target = Target(runtime=load_runtimes()[runtime], arch=Arch("arm64"))
    return Layer(
        target=target,
        lock=Lock(
            layer="web",
            target=str(target),
            inputs="",
            roots=tuple(sorted(roots)),
            pins=sorted_pins(pins),
        ),
        tree=unite(entries),
    )
