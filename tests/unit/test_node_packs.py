"""Packages had, by their locks, from tarballs, folders and the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings
from layerforge.containers.task import EngineError
from layerforge.ecosystems.node.installation import read_installation, to_lock
from layerforge.ecosystems.node.packs import obtain_packs
from layerforge.errors import ArchiveError, BuildError
from layerforge.events import Event, Noted
from layerforge.pack import Pack
from layerforge.spec import LayerSpec, Requirements, Script
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from tests.registry import integrity_of, lock_of, make_tarball

ARM: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.ARM64)
INDEX: Final = b"module.exports = 42\n"
START: Final = (
    "Start Docker or Podman, or name an engine: DOCKER_HOST, or `[docker.hosts]` in "
    "layerforge.toml."
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A project whose packages are tarballs of its own."""

    folder: Path
    heard: list[Event] = field(default_factory=list)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def tools(self) -> Tools:
        nowhere = f"unix://{self.folder}/no.sock"
        containers = Containers(
            ContainerSettings(hosts=dict.fromkeys(Arch, nowhere)), self.heard.append
        )
        store = Store(self.folder / "store")
        return Tools(store=store, containers=containers, listen=self.heard.append)

    @property
    def no_engine(self) -> str:
        return (
            f"no container engine answers at unix://{self.folder}/no.sock "
            "([docker.hosts]): no such file or directory"
        )

    @property
    def spec(self) -> LayerSpec:
        asked = Requirements(language="node", file=self.folder / "package.json")
        return LayerSpec(name="web", requirements=asked)

    @property
    def notes(self) -> list[str]:
        return [event.message for event in self.heard if isinstance(event, Noted)]

    def add(
        self,
        place: str,
        files: Mapping[str, bytes] | None = None,
        **row: Any,  # noqa: ANN401 - JSON's values
    ) -> bytes:
        """Have a package of some files as a tarball, in the lock at some place."""
        name = place.rpartition("node_modules/")[2]
        manifest = json.dumps({"name": name, "version": "1.0.0"}).encode()
        tarball = make_tarball({"package.json": manifest, **(files or {})})
        file = f"{name.replace('/', '-')}.tgz"
        (self.folder / file).write_bytes(tarball)
        self.rows[place] = {
            "version": "1.0.0",
            "resolved": f"file:{file}",
            "integrity": integrity_of(tarball),
            **row,
        }
        return tarball

    def packs(self, spec: LayerSpec | None = None) -> tuple[Pack, ...]:
        spec = spec or self.spec
        path = self.folder / "package-lock.json"
        names = {place.partition("node_modules/")[2] for place in self.rows}
        manifest = {
            "name": "web",
            "version": "1.0.0",
            "dependencies": {name: "*" for name in names if "node_modules" not in name},
        }
        path.write_text(lock_of(manifest, self.rows))
        lock = to_lock(read_installation(path, spec, ARM), path, spec, ARM)
        return obtain_packs(lock, spec, ARM, "nodejs/", self.tools)

    def paths(self, spec: LayerSpec | None = None) -> dict[str, list[str]]:
        return {
            pack.name: sorted(entry.path for entry in pack.entries)
            for pack in self.packs(spec)
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "package.json").write_text("{}")
    return Place(folder=tmp_path)


def test_every_file_is_where_its_package_stands(place: Place) -> None:
    place.add("node_modules/b", {"index.js": INDEX})
    place.add("node_modules/@s/a", {"lib/a.js": INDEX})
    place.add("node_modules/b/node_modules/c", {"index.js": INDEX})

    assert place.paths() == {
        "@s/a": [
            "nodejs/node_modules/@s/a/lib/a.js",
            "nodejs/node_modules/@s/a/package.json",
        ],
        "b": [
            "nodejs/node_modules/b/index.js",
            "nodejs/node_modules/b/package.json",
        ],
        "node_modules/b/node_modules/c": [
            "nodejs/node_modules/b/node_modules/c/index.js",
            "nodejs/node_modules/b/node_modules/c/package.json",
        ],
    }


def test_every_file_says_which_package_it_is_of(place: Place) -> None:
    place.add("node_modules/a", {"index.js": INDEX})
    place.add("node_modules/alias", name="a", version="2.0.0")

    origins = {entry.origin for pack in place.packs() for entry in pack.entries}
    assert origins == {"a", "node_modules/alias"}
    assert [(pack.name, pack.version) for pack in place.packs()] == [
        ("a", "1.0.0"),
        ("node_modules/alias", "2.0.0"),
    ]


def test_one_tarball_serves_two_places(place: Place) -> None:
    place.add("node_modules/a", {"index.js": INDEX})
    place.add("node_modules/b")
    place.rows["node_modules/b/node_modules/a"] = place.rows["node_modules/a"]

    top, _, nested = place.packs()
    assert nested.name == "node_modules/b/node_modules/a"
    assert {entry.origin for entry in nested.entries} == {nested.name}
    assert [entry.identity for entry in top.entries] == [
        entry.identity for entry in nested.entries
    ]


def test_programs_are_linked(place: Place) -> None:
    place.add("node_modules/a", {"cli.js": INDEX}, bin={"tool": "cli.js"})

    (pack,) = place.packs()

    links = {entry.path: entry.link for entry in pack.entries if entry.link}
    assert links == {"nodejs/node_modules/.bin/tool": "../a/cli.js"}


def test_what_a_package_bundles_comes_with_it(place: Place) -> None:
    place.add("node_modules/a", {"node_modules/b/index.js": INDEX})
    place.rows["node_modules/a/node_modules/b"] = {"version": "1", "inBundle": True}

    assert place.paths() == {
        "a": [
            "nodejs/node_modules/a/node_modules/b/index.js",
            "nodejs/node_modules/a/package.json",
        ]
    }


def test_a_workspace_is_packed_to_where_its_link_is(place: Place) -> None:
    own = place.folder / "packages" / "own"
    own.mkdir(parents=True)
    (own / "package.json").write_text('{"name": "@s/own", "files": ["lib"]}')
    (own / "notes.txt").write_text("mine")
    (own / "lib").mkdir()
    (own / "lib" / "index.js").write_bytes(INDEX)
    place.rows["node_modules/@s/own"] = {"resolved": "packages/own", "link": True}
    place.rows["packages/own"] = {"name": "@s/own"}

    assert place.paths() == {
        "@s/own": [
            "nodejs/node_modules/@s/own/lib/index.js",
            "nodejs/node_modules/@s/own/package.json",
        ]
    }


def test_what_was_had_before_needs_its_tarball_no_more(place: Place) -> None:
    place.add("node_modules/a", {"index.js": INDEX})
    before = place.packs()
    (place.folder / "a.tgz").unlink()

    assert place.packs() == before


def test_other_bytes_than_were_locked_are_refused(place: Place) -> None:
    locked = place.add("node_modules/a", {"index.js": INDEX})
    other = make_tarball({"index.js": b"evil"})
    file = place.folder / "a.tgz"
    file.write_bytes(other)

    with pytest.raises(BuildError) as caught:
        place.packs()

    assert caught.value.message == (
        f"{file} has SHA-512 {hashlib.sha512(other).hexdigest()}, not "
        f"{hashlib.sha512(locked).hexdigest()}, which was locked"
    )
    assert not list((place.folder / "store").glob("artifacts/*/*"))


def test_a_tarball_that_leads_out_is_refused_by_name(place: Place) -> None:
    place.add("node_modules/a", {"../../evil.js": INDEX})

    with pytest.raises(ArchiveError) as caught:
        place.packs()

    assert caught.value.message == (
        "a 1.0.0: 'package/../../evil.js': the name leaves the package"
    )


def test_hashes_that_can_be_forged_are_a_warning(place: Place) -> None:
    tarball = place.add("node_modules/a", {"index.js": INDEX})
    weak = integrity_of(tarball, "sha1")
    place.rows["node_modules/a"]["integrity"] = weak
    place.add("node_modules/b")

    packs = place.packs()

    assert [pack.name for pack in packs] == ["a", "b"]
    assert [event for event in place.heard if isinstance(event, Noted)] == [
        Noted(
            message="the lock knows a by SHA-1 alone, for which files can be forged: "
            "npm install puts stronger ones in",
            warning=True,
        )
    ]


def test_a_commit_needs_a_container(place: Place) -> None:
    address = "git+https://example.org/a.git#" + "0" * 40
    place.rows["node_modules/a"] = {"version": "1.0.0", "resolved": address}

    with pytest.raises(EngineError) as caught:
        place.packs()

    assert caught.value.message == (
        f"a 1.0.0 is a commit ({address}), which npm packs in a container, and "
        f"{place.no_engine}"
    )
    assert caught.value.remedy == (f"{START} Or take a release of it from a registry.")


def test_a_script_that_a_layer_does_without_is_said(place: Place) -> None:
    place.add("node_modules/a", {"binding.gyp": b"{}"}, hasInstallScript=True)
    spec = replace(place.spec, install_scripts={"a": Script.SKIP})

    assert list(place.paths(spec)) == ["a"]
    assert place.notes == [
        "a 1.0.0: its install scripts are skipped. The layer's install-scripts say so."
    ]


def test_a_script_that_matters_needs_a_container(place: Place) -> None:
    place.add("node_modules/a", {"binding.gyp": b"{}"}, hasInstallScript=True)

    with pytest.raises(EngineError) as caught:
        place.packs()

    assert caught.value.message == (
        "the install scripts of a 1.0.0 must be run for nodejs22.x-arm64, and "
        f"{place.no_engine}"
    )
    assert caught.value.remedy == (
        f"{START} Or take versions that bring binaries for the target, or, if the "
        'layer can do without, skip them: install-scripts = {"a" = "skip"}.'
    )
