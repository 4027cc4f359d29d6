"""Locks by a real npm from the real registry: made, kept, freed, and converted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from layerforge.containers.image import Image
from layerforge.containers.service import Containers
from layerforge.containers.task import EngineError
from layerforge.ecosystems.node.agreement import check_complete, check_manifest
from layerforge.ecosystems.node.foreign import convert_lock
from layerforge.ecosystems.node.manifests import manifest_of, project_files
from layerforge.ecosystems.node.npm import Npm, find_npm, make_package_lock
from layerforge.ecosystems.node.npmrc import read_npmrc
from layerforge.ecosystems.node.packagelock import parse_package_lock
from layerforge.errors import LockError

DATA = Path(__file__).parents[1] / "data"

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not on PATH"),
]

# What the locks in tests/data were made for, by their own tools. They have an older
# debug than what npm would choose today.
PROJECT = {
    "name": "demo",
    "version": "1.0.0",
    "dependencies": {
        "alias": "npm:ms@2.0.0",
        "debug": "^4.3.0",
        "esbuild": "^0.25.0",
        "pg": "8.11.0",
    },
    "devDependencies": {"resolve": "^1.22.0"},
}


def no_image() -> Image:
    raise EngineError("no engine is wanted", remedy="")


@pytest.fixture
def npm(tmp_path: Path) -> Npm:
    return find_npm(read_npmrc(tmp_path), no_image, Containers())


def packages(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)["packages"]
    return found


def test_a_lock_is_what_npm_makes(npm: Npm, tmp_path: Path) -> None:
    manifest = manifest_of("db", ["pg@8.11.0", "esbuild@0.25.0", "alias@npm:ms@2.0.0"])
    (tmp_path / "package.json").write_text(manifest)
    subprocess.run(
        ["npm", "install", "--package-lock-only", "--ignore-scripts"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )

    text = make_package_lock(npm, {"package.json": manifest.encode()})

    assert text == (tmp_path / "package-lock.json").read_text()


def test_a_lock_has_all_platforms(npm: Npm) -> None:
    text = make_package_lock(
        npm, {"package.json": manifest_of("bundle", ["esbuild"]).encode()}
    )

    check_complete(parse_package_lock(text, "package-lock.json"))
    for name in ("linux-arm64", "linux-x64", "darwin-arm64"):
        assert f"node_modules/@esbuild/{name}" in packages(text)


def test_versions_stay_until_they_are_freed(npm: Npm) -> None:
    old = manifest_of("logs", ["debug@4.3.1", "pg@8.11.0"]).encode()
    new = manifest_of("logs", ["debug@^4.3.1", "pg@^8.11.0"]).encode()
    before = make_package_lock(npm, {"package.json": old})

    kept = make_package_lock(npm, {"package.json": new}, present=before)
    freed = make_package_lock(
        npm, {"package.json": new}, present=kept, freed={"debug", "nothing"}
    )

    def versions(text: str) -> list[str]:
        names = ("node_modules/debug", "node_modules/pg")
        return [packages(text)[name]["version"] for name in names]

    assert versions(kept) == ["4.3.1", "8.11.0"]
    assert versions(freed)[0] > "4.3.1"
    assert versions(freed)[1] == "8.11.0"


def test_an_incomplete_lock_is_completed(npm: Npm) -> None:
    files = {"package.json": manifest_of("bundle", ["esbuild@0.25.0"]).encode()}
    whole = make_package_lock(npm, files)
    document = json.loads(whole)
    del document["packages"]["node_modules/@esbuild/linux-arm64"]

    again = make_package_lock(npm, files, present=json.dumps(document))

    assert again == whole


def test_workspaces_and_links_are_locked_as_npm_does(npm: Npm, tmp_path: Path) -> None:
    texts = {
        "project/package.json": {
            "workspaces": ["packages/*"],
            "dependencies": {"lib": "file:../lib"},
        },
        "project/packages/a/package.json": {
            "name": "a",
            "version": "1.0.0",
            "dependencies": {"ms": "2.0.0"},
        },
        "lib/package.json": {"name": "lib", "version": "2.0.0"},
    }
    for name, document in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
    project = tmp_path / "project"

    text = make_package_lock(
        npm, project_files((project / "package.json").read_bytes(), project)
    )

    assert sorted(packages(text)) == [
        "",
        "../lib",
        "node_modules/a",
        "node_modules/lib",
        "node_modules/ms",
        "packages/a",
    ]


def test_a_package_that_is_not_there_is_named(npm: Npm) -> None:
    manifest = manifest_of("x", ["@layerforge-tests/not-there"]).encode()

    with pytest.raises(LockError) as caught:
        make_package_lock(npm, {"package.json": manifest})

    assert "@layerforge-tests%2fnot-there" in caught.value.message
    assert caught.value.remedy.startswith("Is the name right?")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("yarn-1.lock", "yarn.lock"),
        ("yarn-4.lock", "yarn.lock"),
        ("pnpm-lock.6.yaml", "pnpm-lock.yaml"),
        ("pnpm-lock.9.yaml", "pnpm-lock.yaml"),
    ],
)
def test_another_tool_s_lock_keeps_its_versions(
    data: str, name: str, npm: Npm, tmp_path: Path
) -> None:
    path = tmp_path / name
    shutil.copyfile(DATA / data, path)
    manifest = json.dumps(PROJECT)

    text = convert_lock(path, {"package.json": manifest.encode()}, npm)

    lock = parse_package_lock(text, "package-lock.json")
    check_manifest(lock, manifest, "package.json")
    versions = {package.path: package.version for package in lock.packages}
    assert versions["node_modules/debug"] == "4.3.1"
    assert versions["node_modules/alias"] == "2.0.0"
    assert versions["node_modules/ms"] == "2.1.2"
    assert "node_modules/@esbuild/linux-arm64" in versions


def test_settings_are_those_that_npm_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        "registry=https://npm.test/a/ ; a remark",
        "@me:registry = 'https://me.test/'",
        "fetch-retries=${RETRIES}",
        "user-agent=a\\;b\\#c\\d # e",
        'tag="a b"',
        "node-options=${UNSET?}x",
        "browser=${UNSET}",
        "cafile=ca.pem",
        "[section]",
        "viewer=less",
    )
    (tmp_path / ".npmrc").write_text("\n".join(lines))
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "user").write_text("tag=no\neditor=mine\n")
    monkeypatch.setenv("RETRIES", "7")
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "user"))
    monkeypatch.setenv("NPM_CONFIG_DIFF_CONTEXT", "9")
    keys = (
        *("registry", "@me:registry", "fetch-retries", "user-agent", "tag"),
        *("node-options", "browser", "cafile", "editor", "diff-context"),
    )

    settings = read_npmrc(tmp_path, os.environ)
    said = subprocess.run(
        ["npm", "config", "get", *keys],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )

    assert said.stdout.splitlines() == [f"{key}={settings.text(key)}" for key in keys]
    assert settings.text("viewer") == ""
