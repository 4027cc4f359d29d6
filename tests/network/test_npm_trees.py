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

pytestmark = pytest.mark.network

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


Npm = Callable[..., None]


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Npm:
    """Give npm 11: npm 10 takes packages for musl as well."""
    home = tmp_path_factory.mktemp("npm")
    install = ("npm", "install", "--prefix", str(home), "npm@11", *QUIETLY)
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    program = home / "node_modules" / "npm" / "bin" / "npm-cli.js"

    def run(project: Path, *words: str) -> None:
        command = ("node", str(program), *words, *QUIETLY, "--prefer-offline")
        subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL)

    return run


def installed(project: Path, cpu: str, npm: Npm) -> dict[str, str]:
    """Have npm install into a folder, and give what is there, links as links."""
    shutil.rmtree(project / "node_modules", ignore_errors=True)
    platform = ("--os=linux", f"--cpu={cpu}", "--libc=glibc")
    npm(project, "ci", "--omit=dev", *platform)
    found = {}
    for folder, folders, names in os.walk(project / "node_modules"):
        linked = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*names, *linked):
            path = Path(folder, name)
            found[path.relative_to(project).as_posix()] = described(path)
    del found["node_modules/.package-lock.json"]
    return found


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
