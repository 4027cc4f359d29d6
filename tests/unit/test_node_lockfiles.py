"""Which file is a layer's lock, and what makes one stale."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from layerforge.ecosystems.node.lockfiles import (
    foreign_lock,
    hold_to_inputs,
    ledger_path,
    load_package_lock,
    lock_path,
    manifest_text,
    read_text,
    refuse_workspace,
    signed,
)
from layerforge.errors import ConfigError, LockError
from layerforge.spec import LayerSpec, Requirements
from layerforge.target import Arch, Target, find_runtime
from tests.registry import integrity_of, lock_of

ARM: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.ARM64)
MANIFEST: Final = {"name": "web", "version": "1.0.0", "dependencies": {"a": "^1"}}
ROWS: Final = {"node_modules/a": {"version": "1.0.0", "integrity": integrity_of(b"a")}}


@pytest.fixture
def spec(tmp_path: Path) -> LayerSpec:
    """Give the layer of a package.json that no lock lies beside."""
    file = tmp_path / "package.json"
    file.write_text(json.dumps(MANIFEST))
    requirements = Requirements(language="node", file=file)
    return LayerSpec(name="web", requirements=requirements)


def of_lines(folder: Path, *lines: str) -> LayerSpec:
    requirements = Requirements(language="node", lines=lines, folder=folder)
    return LayerSpec(name="web", requirements=requirements)


def refused(path: Path, spec: LayerSpec) -> LockError:
    with pytest.raises(LockError) as caught:
        hold_to_inputs(path, spec)
    return caught.value


class TestPath:
    def test_is_npms_own_where_there_is_none_yet(
        self, spec: LayerSpec, tmp_path: Path
    ) -> None:
        assert lock_path(spec) == tmp_path / "package-lock.json"

    def test_is_the_shrinkwrap_first_as_for_npm(
        self, spec: LayerSpec, tmp_path: Path
    ) -> None:
        (tmp_path / "package-lock.json").touch()
        (tmp_path / "npm-shrinkwrap.json").touch()

        assert lock_path(spec) == tmp_path / "npm-shrinkwrap.json"

    @pytest.mark.parametrize("name", ["pnpm-lock.yaml", "yarn.lock"])
    def test_is_the_layer_s_own_beside_another_tool_s(
        self, spec: LayerSpec, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / name).touch()

        assert lock_path(spec) == tmp_path / "package-lock.web.json"
        assert foreign_lock(spec) == tmp_path / name

    @pytest.mark.parametrize("name", ["package-lock.json", "npm-shrinkwrap.json"])
    def test_is_npms_where_another_tool_s_is_there_as_well(
        self, spec: LayerSpec, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "yarn.lock").touch()
        (tmp_path / name).touch()

        assert lock_path(spec) == tmp_path / name
        assert foreign_lock(spec) is None

    def test_of_a_list_is_named_after_the_layer(self, tmp_path: Path) -> None:
        (tmp_path / "package-lock.json").touch()
        (tmp_path / "yarn.lock").touch()
        spec = of_lines(tmp_path, "a")

        assert lock_path(spec) == tmp_path / "package-lock.web.json"
        assert foreign_lock(spec) is None

    def test_of_the_ledger_names_layer_and_target(
        self, spec: LayerSpec, tmp_path: Path
    ) -> None:
        assert ledger_path(spec, ARM) == (
            tmp_path / "layerforge-ledger.web-nodejs22-arm64.toml"
        )


class TestLoading:
    def test_finds_tarballs_where_the_project_s_npmrc_says(
        self, spec: LayerSpec, tmp_path: Path
    ) -> None:
        (tmp_path / ".npmrc").write_text("registry=https://npm.example.org/api/\n")
        lock_path(spec).write_text(lock_of(MANIFEST, ROWS))

        package = load_package_lock(lock_path(spec)).packages[1]

        assert package.resolved == "https://npm.example.org/api/a/-/a-1.0.0.tgz"

    def test_passes_over_a_byte_order_mark(
        self, spec: LayerSpec, tmp_path: Path
    ) -> None:
        path = tmp_path / "package-lock.json"
        path.write_text(lock_of(MANIFEST, ROWS), encoding="utf-8-sig")

        hold_to_inputs(path, spec)

    def test_of_other_bytes_than_utf_8_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "package-lock.json"
        path.write_bytes(b'{"name": "\xff"}')

        with pytest.raises(LockError) as caught:
            read_text(path)

        assert caught.value.message == f"{path} is not UTF-8: invalid start byte"

    def test_of_nothing_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            read_text(tmp_path / "package-lock.json")

        assert caught.value.message == (
            f"cannot read {tmp_path / 'package-lock.json'}: No such file or directory"
        )

    def test_of_the_older_version_says_how_to_upgrade_it(self, tmp_path: Path) -> None:
        path = tmp_path / "package-lock.json"
        path.write_text('{"name": "web", "lockfileVersion": 1, "dependencies": {}}')

        with pytest.raises(LockError) as caught:
            load_package_lock(path)

        assert caught.value.message == (
            f"{path} has lockfileVersion 1, which doesn't say all that is needed"
        )
        assert caught.value.remedy == (
            "Upgrade it: npm install --package-lock-only --ignore-scripts "
            "--lockfile-version 3"
        )


class TestInputs:
    def test_that_are_the_same_are_passed_over(self, spec: LayerSpec) -> None:
        lock_path(spec).write_text(lock_of(MANIFEST, ROWS))

        hold_to_inputs(lock_path(spec), spec)

    def test_that_differ_are_all_told(self, spec: LayerSpec, tmp_path: Path) -> None:
        path = lock_path(spec)
        path.write_text(lock_of(MANIFEST, ROWS))
        dependencies = {"a": "^2", "b": "*"}
        (tmp_path / "package.json").write_text(
            json.dumps({**MANIFEST, "dependencies": dependencies})
        )

        assert refused(path, spec).message == (
            f"the lock does not agree with {tmp_path / 'package.json'}:\n"
            "  dependencies: a is ^2, in the lock ^1\n"
            "  dependencies: b * is not in the lock"
        )

    def test_of_a_list_are_its_lines(self, tmp_path: Path) -> None:
        spec = of_lines(tmp_path, "a@^1")
        lock_path(spec).write_text(lock_of(MANIFEST, ROWS))

        hold_to_inputs(lock_path(spec), spec)

        assert refused(lock_path(spec), of_lines(tmp_path)).message == (
            "the lock does not agree with the packages of web:\n"
            "  dependencies: a ^1 is only in the lock"
        )

    def test_of_a_workspace_are_told_with_its_file(
        self, spec: LayerSpec, tmp_path: Path
    ) -> None:
        own = tmp_path / "own"
        own.mkdir()
        (own / "package.json").write_text('{"dependencies": {"a": "^1"}}')
        rows: dict[str, dict[str, object]] = {
            "node_modules/a": {**ROWS["node_modules/a"]},
            "node_modules/own": {"resolved": "own", "link": True},
            "own": {"version": "1.0.0"},
        }
        lock_path(spec).write_text(lock_of(MANIFEST, rows))

        assert refused(lock_path(spec), spec).message == (
            f"the lock does not agree with {own / 'package.json'}:\n"
            "  dependencies: a ^1 is not in the lock"
        )

    def test_have_the_workspaces_that_there_are(
        self, spec: LayerSpec, tmp_path: Path
    ) -> None:
        manifest = {**MANIFEST, "workspaces": ["packages/*"]}
        (tmp_path / "package.json").write_text(json.dumps(manifest))
        (tmp_path / "packages" / "new").mkdir(parents=True)
        (tmp_path / "packages" / "new" / "package.json").write_text("{}")
        rows: dict[str, dict[str, object]] = {
            "node_modules/a": {**ROWS["node_modules/a"]},
            "node_modules/old": {"resolved": "packages/old", "link": True},
            "packages/old": {"version": "1.0.0"},
        }
        lock_path(spec).write_text(lock_of(manifest, rows))

        assert refused(lock_path(spec), spec).message == (
            f"the lock does not agree with the folders of {tmp_path}:\n"
            "  the workspace packages/new is not in the lock\n"
            "  packages/old is only in the lock"
        )

    def test_are_lacking_where_a_package_is(self, spec: LayerSpec) -> None:
        lock_path(spec).write_text(lock_of(MANIFEST, {}))

        assert refused(lock_path(spec), spec).message == (
            "the lock has no entry for what its packages need:\n  a ^1, for the project"
        )


class TestForeignLock:
    @pytest.fixture
    def foreign(self, tmp_path: Path) -> Path:
        path = tmp_path / "pnpm-lock.yaml"
        path.write_text("lockfileVersion: '9.0'\n")
        return path

    def test_is_what_a_conversion_is_signed_with(
        self, spec: LayerSpec, foreign: Path
    ) -> None:
        lock_path(spec).write_text(signed(lock_of(MANIFEST, ROWS), foreign))

        hold_to_inputs(lock_path(spec), spec)

    def test_that_has_changed_since_makes_a_conversion_stale(
        self, spec: LayerSpec, foreign: Path
    ) -> None:
        path = lock_path(spec)
        path.write_text(signed(lock_of(MANIFEST, ROWS), foreign))
        foreign.write_text("lockfileVersion: '9.1'\n")

        assert refused(path, spec).message == (
            f"{path} was made from another pnpm-lock.yaml than there is"
        )

    @pytest.mark.parametrize("told", [None, "x", {}, {"made-from": 1}])
    def test_is_missed_where_a_lock_does_not_say_what_it_was_made_from(
        self, spec: LayerSpec, foreign: Path, told: object
    ) -> None:
        path = lock_path(spec)
        path.write_text(lock_of(MANIFEST, ROWS, layerforge=told))

        assert refused(path, spec).message == (
            f"{path} was made from another {foreign.name} than there is"
        )

    def test_of_pnpm_comes_before_yarn_s(
        self, spec: LayerSpec, foreign: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "yarn.lock").touch()

        assert foreign_lock(spec) == foreign

    def test_leaves_the_rest_of_a_lock_as_it_is(self, foreign: Path) -> None:
        text = lock_of({**MANIFEST, "name": "wéb"}, ROWS)

        document = json.loads(signed(text, foreign))

        assert len(document.pop("layerforge")["made-from"]) == 64
        assert document == json.loads(text)
        assert "wéb" in signed(text, foreign)


def test_the_manifest_of_a_list_is_a_package_json(tmp_path: Path) -> None:
    spec = replace(of_lines(tmp_path, "redis@^5", "pg"), name="db")

    assert json.loads(manifest_text(spec)) == {
        "name": "db",
        "private": True,
        "dependencies": {"pg": "*", "redis": "^5"},
    }


def test_the_manifest_of_a_package_json_is_itself(spec: LayerSpec) -> None:
    assert manifest_text(spec) == json.dumps(MANIFEST)


class TestWorkspaces:
    def test_of_a_project_above_have_no_lock_of_their_own(self, tmp_path: Path) -> None:
        (tmp_path / "package.json").write_text('{"workspaces": ["packages/*"]}')
        inner = tmp_path / "packages" / "a" / "package.json"
        inner.parent.mkdir(parents=True)
        inner.write_text('{"name": "a", "dependencies": {"b": "*"}}')
        spec = LayerSpec(
            name="a", requirements=Requirements(language="node", file=inner)
        )

        with pytest.raises(ConfigError) as caught:
            refuse_workspace(spec)

        above = tmp_path / "package.json"
        assert caught.value.message == (
            f"{inner} is a workspace of {above}, whose lock holds for it"
        )
        assert caught.value.remedy == f"Build the layer of {above}."

    def test_are_none_beside_another_projects(self, tmp_path: Path) -> None:
        (tmp_path / "package.json").write_text('{"workspaces": ["packages/*"]}')
        inner = tmp_path / "layers" / "package.json"
        inner.parent.mkdir()
        inner.write_text("{}")
        asked = Requirements(language="node", file=inner)

        refuse_workspace(LayerSpec(name="a", requirements=asked))
