"""The tree of a layer beside the one that npm itself makes, file by file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not on PATH"),
]

ROOT: Final = Path(__file__).parents[2]

QUIETLY: Final = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")

SETS: Final[Mapping[str, dict[str, str]]] = {
    "pg-redis": {"pg": "^8", "redis": "^5"},
    "express": {"express": "^5"},
    "aws-sdk": {"@aws-sdk/client-s3": "^3", "@aws-sdk/client-dynamodb": "^3"},
    "sharp": {"sharp": "^0.34"},
    "esbuild": {"esbuild": "^0.25"},
    "prisma": {"@prisma/client": "^6"},
    "puppeteer-core": {"puppeteer-core": "^24"},
    "mongodb": {"mongodb": "^6"},
    "libsql": {"@libsql/client": "^0.15"},
    "aliases": {"lodash4": "npm:lodash@^4", "ms1": "npm:ms@^1", "ms": "^2"},
    "two-versions": {"chalk": "^4", "ora": "^8", "strip-ansi": "^6"},
    "lightningcss": {"lightningcss": "^1"},
    "bcrypt": {"bcrypt": "^6"},
    "google-cloud": {"@google-cloud/storage": "^7"},
    "bundling": {"@aws-lambda-powertools/logger": "^2", "node-gyp": "^11"},
    "programs": {"typescript": "^5", "semver": "^7", "rimraf": "^6", "uuid": "^9"},
    "apollo": {"@apollo/server": "^4", "graphql": "^16"},
}


LAYER: Final = """\
[layers.layer]
package-json = "package.json"
runtimes = ["nodejs22.x"]
architectures = ["x86_64"]
strip = "none"
install-scripts = { "@prisma/client" = "skip" }
"""


Npm = Callable[..., str]


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Npm:
    """Give npm 11: npm 10 takes packages for musl as well."""
    home = tmp_path_factory.mktemp("npm")
    install = ("npm", "install", "--prefix", str(home), "npm@11", *QUIETLY)
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    program = home / "node_modules" / "npm" / "bin" / "npm-cli.js"

    def run(project: Path, *words: str) -> str:
        command = ("node", str(program), *words, *QUIETLY, "--prefer-offline")
        ran = subprocess.run(
            command, cwd=project, check=True, stdout=subprocess.PIPE, text=True
        )
        return ran.stdout

    return run


def installed(project: Path, cpu: str, npm: Npm) -> dict[str, str]:
    """Have npm install into a folder, and give what is there, links as links."""
    shutil.rmtree(project / "node_modules", ignore_errors=True)
    platform = ("--os=linux", f"--cpu={cpu}", "--libc=glibc")
    npm(project, "ci", "--omit=dev", *platform)
    found = found_below(project, "node_modules")
    del found["node_modules/.package-lock.json"]
    return found


def found_below(project: Path, place: str) -> dict[str, str]:
    found = {}
    for folder, folders, names in os.walk(project / place):
        linked = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*names, *linked):
            path = Path(folder, name)
            found[path.relative_to(project).as_posix()] = described(path)
    return found


def unlinked(project: Path, found: Mapping[str, str], npm: Npm) -> dict[str, str]:
    """Give for each link what npm would pack of its folder, and has installed there."""
    whole = dict(found)
    for place, told in found.items():
        folder = project / place
        if not (told.startswith("to ") and folder.is_dir()):
            continue
        del whole[place]
        [packed] = json.loads(npm(folder.resolve(), "pack", "--dry-run", "--json"))
        inside = {
            row["path"]: described(folder / row["path"]) for row in packed["files"]
        }
        inside |= found_below(folder, "node_modules")
        whole |= {f"{place}/{path}": inside[path] for path in inside}
    return whole


def described(path: Path) -> str:
    if path.is_symlink():
        return f"to {os.readlink(path)}"  # noqa: PTH115 - as it is written
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{digest} {bool(path.stat().st_mode & 0o100)}"


def built(project: Path, arch: str, folder: Path) -> dict[str, str]:
    """Build the layer of a project, and give what is in its zip."""
    layer = folder / "layer.zip"
    command = (
        *(sys.executable, "-m", "layerforge", "build", "layer", "--arch", arch),
        *("-o", str(layer), "--cache-dir", str(folder / "cache")),
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command,
        cwd=project,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    found = {}
    with zipfile.ZipFile(layer) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            data = archive.read(info)
            name = info.filename.removeprefix("nodejs/")
            if mode & 0o170000 == 0o120000:
                found[name] = f"to {data.decode()}"
            else:
                found[name] = f"{hashlib.sha256(data).hexdigest()} {bool(mode & 0o100)}"
    return found


def project_of(folder: Path, manifest: dict[str, Any]) -> Path:
    project = folder / "project"
    project.mkdir()
    (project / "package.json").write_text(
        json.dumps({"name": "project", "version": "1.0.0", **manifest})
    )
    (project / "layerforge.toml").write_text(LAYER)
    return project


@pytest.mark.parametrize("name", SETS)
def test_a_layer_has_the_files_that_npm_installs(
    name: str, tmp_path: Path, npm: Npm
) -> None:
    project = project_of(tmp_path, {"dependencies": SETS[name]})
    npm(project, "install", "--package-lock-only")

    for arch, cpu in (("x86_64", "x64"), ("arm64", "arm64")):
        ours, theirs = built(project, arch, tmp_path), installed(project, cpu, npm)

        assert {path for path in ours if path not in theirs} == set()
        assert {path for path in theirs if path not in ours} == set()
        assert {path for path in ours if ours[path] != theirs[path]} == set()


WORKSPACES: Final[Mapping[str, dict[str, Any]]] = {
    "project": {
        "name": "project",
        "version": "1.0.0",
        "workspaces": ["packages/*"],
        "dependencies": {"@own/first": "*", "neighbour": "file:../neighbour"},
    },
    "project/packages/first": {
        "name": "@own/first",
        "version": "1.0.0",
        "bin": {"first": "cli.js"},
        "files": ["lib"],
        "dependencies": {"second": "^1.0.0", "ms": "^2", "semver": "^7"},
        "devDependencies": {"uuid": "^9"},
    },
    "project/packages/second": {
        "name": "second",
        "version": "1.2.3",
        "dependencies": {"ms": "^1", "semver": "^6", "chalk": "^4"},
    },
    "neighbour": {"name": "neighbour", "version": "0.1.0"},
}


def test_links_stand_for_the_folders_that_they_lead_to(
    tmp_path: Path, npm: Npm
) -> None:
    for folder, manifest in WORKSPACES.items():
        for name in ("index.js", "lib/more.js", "cli.js", "notes.orig"):
            file = tmp_path / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("#!/usr/bin/env node\n")
        (tmp_path / folder / "package.json").write_text(json.dumps(manifest))
    project = tmp_path / "project"
    (project / "layerforge.toml").write_text(LAYER)
    npm(project, "install", "--package-lock-only")

    ours = built(project, "x86_64", tmp_path)

    theirs = unlinked(project, installed(project, "x64", npm), npm)
    assert "node_modules/@own/first/lib/more.js" in ours
    assert "node_modules/second/node_modules/semver/bin/semver.js" in ours
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("npm-shrinkwrap.json", "--lockfile-version=3"),
        ("package-lock.json", "--lockfile-version=2"),
    ],
)
def test_an_older_lock_has_the_same_files(
    name: str, option: str, tmp_path: Path, npm: Npm
) -> None:
    project = project_of(tmp_path, {"dependencies": SETS["two-versions"]})
    npm(project, "install", "--package-lock-only", option)
    (project / "package-lock.json").rename(project / name)

    ours = built(project, "x86_64", tmp_path)

    assert ours == installed(project, "x64", npm)
