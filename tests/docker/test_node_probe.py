"""Node.js layers proven in the runtime's own image, under Lambda's interface."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from layerforge.archives.zips import index_zip
from layerforge.cli import group
from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings
from layerforge.imports import How
from layerforge.probe import ProbeReport, probe_zip
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from layerforge.tree import Tree

pytestmark = pytest.mark.docker

BASES: Final = "layerforge-base:{runtime}-{arch}"
CIRCUMSTANCES: Final = """
const assert = require("node:assert");
const fs = require("node:fs");
assert.strictEqual(__filename, "/opt/nodejs/node_modules/demo/index.js");
assert.strictEqual(process.versions.node.split(".")[0], "{version}");
assert.strictEqual(process.arch, "x64");
assert.ok(process.env.AWS_LAMBDA_RUNTIME_API);
assert.ok(process.env.AWS_REGION);
assert.throws(() => fs.writeFileSync("/opt/nodejs/x", ""), {{ code: "EROFS" }});
require("part");
console.log("noise");
"""


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    with Containers(ContainerSettings(image=BASES)) as containers:
        yield containers


def target_of(runtime: str) -> Target:
    return Target(runtime=find_runtime(runtime), arch=Arch.X86_64)


def layer(folder: Path, files: dict[str, str], mode: int = 0o644) -> Path:
    path = folder / "layer.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(f"nodejs/{name}")
            info.external_attr = (0o100000 | mode) << 16
            archive.writestr(info, text)
    return path


def probe(path: Path, containers: Containers, runtime: str) -> ProbeReport:
    tree = Tree(tuple(sorted(index_zip(path), key=lambda entry: entry.path)))
    tools = Tools(store=Store(path.parent / "store"), containers=containers)
    return probe_zip(path, tree, target_of(runtime), tools)


@pytest.mark.parametrize("runtime", ["nodejs20.x", "nodejs22.x"])
def test_packages_are_loaded_as_a_function_would(
    tmp_path: Path, containers: Containers, runtime: str
) -> None:
    version = target_of(runtime).runtime.version
    files = {
        "node_modules/demo/index.js": CIRCUMSTANCES.format(version=version),
        f"node{version}/node_modules/part/index.js": "",
    }

    report = probe(layer(tmp_path, files), containers, runtime)

    assert [(row.module, row.error) for row in report.modules] == [
        ("demo", ""),
        ("part", ""),
    ]
    assert report.how is How.RUNTIME
    assert report.init_milliseconds > 0
    assert report.peak_memory > report.modules[0].memory


def test_es_modules_are_imported_and_not_required(
    tmp_path: Path, containers: Containers
) -> None:
    esm = json.dumps({"name": "esm", "version": "1.0.0", "type": "module"})
    files = {
        "node_modules/esm/package.json": esm,
        "node_modules/esm/index.js": "await 1; export default 1;",
        "node_modules/old/index.js": "require('esm')",
    }

    report = probe(layer(tmp_path, files), containers, "nodejs22.x")

    assert [(row.module, row.ok) for row in report.modules] == [
        ("esm", True),
        ("old", False),
    ]
    assert report.modules[1].remedy.startswith("The require() of nodejs22.x-x86_64")


def test_what_crashes_takes_no_other_with_it(
    tmp_path: Path, containers: Containers
) -> None:
    sources = {
        "a": "",
        "b": "process.kill(process.pid, 'SIGSEGV'); for (;;);",
        "c": "process.exit(3)",
        "d": "setImmediate(() => { throw new Error('late'); })",
        "e": "",
    }
    files = {f"node_modules/{name}/index.js": text for name, text in sources.items()}

    report = probe(layer(tmp_path, files), containers, "nodejs22.x")

    assert [(row.module, row.error) for row in report.modules] == [
        ("a", ""),
        ("b", "the process ended: signal: segmentation fault"),
        ("c", "the process ended: exit status 3"),
        ("d", "the process ended: exit status 1"),
        ("e", ""),
    ]
    assert report.modules[3].cause == "Error: late"


def test_files_that_only_their_owner_may_read_are_noticed(
    tmp_path: Path, containers: Containers
) -> None:
    files = {"node_modules/secret/index.js": ""}

    report = probe(layer(tmp_path, files, mode=0o600), containers, "nodejs22.x")

    (failed,) = report.failed
    assert failed.remedy == (
        "In a layer, files need mode 644, folders and executables 755."
    )


def test_verify_says_how_and_ends_well(tmp_path: Path) -> None:
    path = layer(tmp_path, {"node_modules/demo/index.js": ""})
    words = ["verify", str(path), "--runtime", "nodejs22.x", "--arch", "x86_64"]

    result = CliRunner().invoke(
        group, [*words, "--image", BASES, "--cache-dir", str(tmp_path / "cache")]
    )

    assert result.exit_code == 0, result.output
    assert "imported in the runtime, under Lambda's runtime interface" in result.stdout
