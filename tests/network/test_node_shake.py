"""Layers shaken by the real @vercel/nft, from the npm registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from layerforge.ecosystems.node.shake import shake
from layerforge.errors import BuildError
from layerforge.events import Event, Noted
from layerforge.include import ORIGIN
from layerforge.spec import LayerSpec
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from tests.elf_files import TEXT, make_elf
from tests.entries import make_entry

pytestmark = pytest.mark.network

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = "nodejs/node_modules"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Give one store to all, so that nft is fetched once."""
    return Store(tmp_path_factory.mktemp("store"))


class Shaker:
    """Shakes layers of a few files for functions of a few files, in a folder."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.told: list[Event] = []

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def shaken(
        self,
        layer: Mapping[str, str | bytes],
        *,
        code: str = "",
        own: Mapping[str, str] | None = None,
        keep: tuple[str, ...] = (),
        arch: Arch = Arch.X86_64,
        runtime: str = "nodejs22.x",
        entry_point: str = "handler.js",
    ) -> list[str]:
        """Shake, and give what stays below node_modules, and the user's own files."""
        if code:
            self.write({entry_point: code})
        entries = [
            make_entry(self.folder, f"{MODULES}/{path}", _bytes(data))
            for path, data in layer.items()
        ]
        entries += [
            make_entry(self.folder, path, data.encode(), origin=ORIGIN)
            for path, data in (own or {}).items()
        ]
        spec = LayerSpec(
            name="layer",
            shake=True,
            entry_points=(self.folder / entry_point,),
            keep=keep,
        )
        target = Target(runtime=find_runtime(runtime), arch=arch)
        tools = Tools(store=self.store, listen=self.told.append)
        left = shake(entries, spec, target, tools)
        return [entry.path.removeprefix(f"{MODULES}/") for entry in left]

    @property
    def notes(self) -> list[Noted]:
        return [event for event in self.told if isinstance(event, Noted)]


def _bytes(data: str | bytes) -> bytes:
    return data if isinstance(data, bytes) else data.encode()


@pytest.fixture
def shaker(tmp_path: Path, store: Store) -> Shaker:
    return Shaker(tmp_path, store)


def test_only_what_the_function_reaches_stays(shaker: Shaker) -> None:
    shaker.write({"lib/one.js": "require('a/sub')"})

    left = shaker.shaken(
        {
            "a/package.json": "{}",
            "a/index.js": "",
            "a/sub.js": "require('./deep'); require('b')",
            "a/deep.js": "",
            "b/index.js": "",
            "c/index.js": "",
        },
        code="require('./lib/one'); require('fs')",
    )

    assert left == ["a/package.json", "a/sub.js", "a/deep.js", "b/index.js"]
    assert shaker.notes == []


def test_imports_are_followed_to_what_a_package_exports_for_them(
    shaker: Shaker,
) -> None:
    exports = '{"exports": {".": {"import": "./i.mjs", "require": "./r.cjs"}}}'
    layer = {"a/package.json": exports, "a/i.mjs": "", "a/r.cjs": ""}

    left = shaker.shaken(layer, code="import 'a'", entry_point="handler.mjs")

    assert left == ["a/package.json", "a/i.mjs"]


def test_an_installation_beside_the_function_is_not_looked_at(shaker: Shaker) -> None:
    shaker.write(
        {
            "node_modules/a/index.js": "require('b')",
            "node_modules/b/index.js": "",
        }
    )

    left = shaker.shaken({"a/index.js": "", "c/index.js": ""}, code="require('a')")

    assert left == ["a/index.js"]


def test_what_is_installed_beside_the_function_alone_is_missed(shaker: Shaker) -> None:
    shaker.write({"node_modules/b/index.js": ""})

    shaker.shaken({"a/index.js": ""}, code="require('a'); require('b')")

    assert shaker.notes == [
        Noted(
            message=f"{shaker.folder}/handler.js imports b, which is neither in the "
            "layer nor beside it",
            warning=True,
        )
    ]


def test_included_files_stay_and_are_followed(shaker: Shaker) -> None:
    left = shaker.shaken(
        {"a/index.js": "", "b/index.js": "", "c/index.js": ""},
        code="require('b')",
        own={"lib/own.js": "require('a')", "nodejs/data.txt": "x"},
    )

    assert left == ["a/index.js", "b/index.js", "lib/own.js", "nodejs/data.txt"]


def test_a_file_of_the_layer_is_found_by_its_path_in_the_runtime(
    shaker: Shaker,
) -> None:
    layer = {"a/index.js": "require('b')", "b/index.js": "", "c/index.js": ""}

    left = shaker.shaken(layer, code="require('/opt/nodejs/node_modules/a')")

    assert left == ["a/index.js", "b/index.js"]


def test_what_is_kept_is_followed(shaker: Shaker) -> None:
    layer = {
        "a/index.js": "module.exports = (name) => require(name)",
        "plugin/index.js": "require('b')",
        "b/index.js": "",
        "c/index.js": "",
    }

    left = shaker.shaken(layer, code="require('a')('plugin')", keep=("plugin",))

    assert left == ["a/index.js", "plugin/index.js", "b/index.js"]


@pytest.mark.parametrize("arch", Arch)
def test_code_is_followed_as_on_the_targets_machine(shaker: Shaker, arch: Arch) -> None:
    layer = {
        "a/index.js": "const os = require('os');"
        "require(`./${os.platform()}-${os.arch()}.js`)",
        "a/linux-x64.js": "",
        "a/linux-arm64.js": "",
        "a/darwin-arm64.js": "",
    }

    left = shaker.shaken(layer, code="require('a')", arch=arch)

    assert left == ["a/index.js", f"a/linux-{arch.npm}.js"]


@pytest.mark.parametrize(
    ("runtime", "stays"),
    [("nodejs20.x", ["a/r.cjs"]), ("nodejs22.x", ["a/m.mjs", "a/r.cjs"])],
)
def test_packages_export_what_the_targets_version_takes(
    shaker: Shaker, runtime: str, stays: list[str]
) -> None:
    exports = '{"exports": {".": {"module-sync": "./m.mjs", "require": "./r.cjs"}}}'
    layer = {"a/package.json": exports, "a/m.mjs": "", "a/r.cjs": ""}

    left = shaker.shaken(layer, code="require('a')", runtime=runtime)

    assert left == ["a/package.json", *stays]


def test_a_library_that_is_required_stays_with_those_beside_it(shaker: Shaker) -> None:
    binary = bytes(make_elf(TEXT))
    layer = {"a/a.node": binary, "a/b.so": binary, "c/c.so": binary}

    left = shaker.shaken(layer, code="require('a/a.node')")

    assert left == ["a/a.node", "a/b.so"]


def test_code_that_cannot_be_parsed_is_told(shaker: Shaker) -> None:
    left = shaker.shaken({"a/index.js": "not code"}, code="require('a')")

    assert left == ["a/index.js"]
    assert shaker.notes == [
        Noted(
            message="nodejs/node_modules/a/index.js can't be followed: "
            "Unexpected token (1:4)",
            warning=True,
        )
    ]


def test_no_nodejs_is_an_error(
    shaker: Shaker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shaker.store = Store(store.root / "of its own")
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setenv("HOME", str(shaker.folder))
    monkeypatch.setenv("NVM_DIR", str(shaker.folder))
    monkeypatch.setattr("platform.machine", lambda: "riscv64")

    with pytest.raises(BuildError) as caught:
        shaker.shaken({"a/index.js": ""}, code="require('a')")

    assert caught.value.message == (
        "shake needs Node.js 22: there is no Node.js 22 on this machine, and the "
        "registry has none for this machine"
    )
    assert caught.value.remedy == (
        "Install it (nvm install 22), or build without shake."
    )


HANDLER: Final = """\
import { S3Client } from '@aws-sdk/client-s3';
import pg from 'pg';
import { createClient } from 'redis';
const clients = [new S3Client({ region: 'us-east-1' }), new pg.Pool(), createClient()];
console.log(clients.length);
"""
LAYER: Final = """\
[layers.whole]
packages = ["pg@^8", "redis@^5", "@aws-sdk/client-s3@^3", "@aws-sdk/client-dynamodb@^3"]
runtimes = ["nodejs22.x"]
architectures = ["x86_64"]

[layers.shaken]
packages = ["pg@^8", "redis@^5", "@aws-sdk/client-s3@^3", "@aws-sdk/client-dynamodb@^3"]
runtimes = ["nodejs22.x"]
architectures = ["x86_64"]
shake = true
entry-points = ["handler.mjs"]

[layers.sharp]
packages = ["sharp@^0.34"]
runtimes = ["nodejs22.x"]
architectures = ["arm64"]
shake = true
entry-points = ["sharp.mjs"]
"""

Build = Callable[[str, str], zipfile.ZipFile]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Build:
    project = tmp_path_factory.mktemp("project")

    def run(layer: str, into: str) -> zipfile.ZipFile:
        folder = project / into
        folder.mkdir(parents=True)
        (folder / "layerforge.toml").write_text(LAYER)
        (folder / "handler.mjs").write_text(HANDLER)
        (folder / "sharp.mjs").write_text("import 'sharp';\n")
        for lock in project.glob("package-lock.*.json"):
            shutil.copy(lock, folder)
        output = folder / "layer.zip"
        command = [sys.executable, "-m", "layerforge", "build", layer]
        command += ["-o", str(output), "--cache-dir", str(store.root)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        shutil.copy(folder / f"package-lock.{layer}.json", project)
        return zipfile.ZipFile(output)

    return run


def unzipped(archive: zipfile.ZipFile) -> int:
    return sum(info.file_size for info in archive.infolist())


def test_a_shaken_layer_is_less_than_half_and_serves_its_function(
    build: Build, tmp_path: Path
) -> None:
    with build("whole", "first") as whole, build("shaken", "second") as shaken:
        shaken.extractall(tmp_path)
        saved = 1 - unzipped(shaken) / unzipped(whole)
    (tmp_path / "handler.mjs").write_text(HANDLER)
    (tmp_path / "node_modules").symlink_to(tmp_path / MODULES)

    ended = subprocess.run(
        ["node", "handler.mjs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout == "3\n"
    assert saved > 0.5


def test_a_shaken_layer_has_the_same_bytes_from_another_folder(build: Build) -> None:
    with build("shaken", "third") as one, build("shaken", "fo/urth") as other:
        assert one.filename
        assert other.filename

        assert Path(one.filename).read_bytes() == Path(other.filename).read_bytes()


def test_a_layer_for_another_architecture_keeps_its_binaries(build: Build) -> None:
    with build("sharp", "fifth") as archive:
        names = {Path(name).name for name in archive.namelist()}

    assert "sharp-linux-arm64.node" in names
    assert [name for name in names if name.startswith("libvips-cpp.so")]
