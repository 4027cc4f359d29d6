"""What a target gets of a package lock: places, roots, pins, and no SDK."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from layerforge.ecosystems.node.installation import (
    Installation,
    holder_of,
    needed,
    read_installation,
    to_lock,
)
from layerforge.ecosystems.node.packagelock import Source
from layerforge.errors import UnsuitableLockError
from layerforge.lock import Lock, Pin
from layerforge.spec import LayerSpec, Requirements, Script
from layerforge.target import Arch, Target, find_runtime
from tests.registry import integrity_of, lock_of

ARM: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.ARM64)
X86: Final = replace(ARM, arch=Arch.X86_64)
SPEC: Final = LayerSpec(name="web", requirements=Requirements(language="node"))
WITHOUT_SDK: Final = replace(SPEC, exclude_runtime_sdk=True)

Rows = Mapping[str, Mapping[str, Any]]


def row(name: str = "x", /, **fields: object) -> dict[str, object]:
    """Give a package's row, as npm writes it for one of the registry's."""
    return {
        "version": "1.0.0",
        "resolved": f"https://registry.npmjs.org/{name}/-/{name}-1.0.0.tgz",
        "integrity": integrity_of(name.encode()),
        **fields,
    }


def wanting(*names: str, **fields: object) -> dict[str, object]:
    return row("x", **fields, dependencies=dict.fromkeys(names, "^1"))


def bundled(*names: str) -> dict[str, object]:
    wishes = dict.fromkeys(names, "^1")
    return {"version": "1.0.0", "inBundle": True, "dependencies": wishes}


def write(folder: Path, packages: Rows, **project: object) -> Path:
    path = folder / "package-lock.json"
    text = lock_of({"name": "project", "version": "1.0.0", **project}, packages)
    path.write_text(text, encoding="utf-8")
    return path


def install(
    folder: Path,
    packages: Rows,
    *wanted: str,
    spec: LayerSpec = SPEC,
    target: Target = ARM,
    **project: object,
) -> Installation:
    project = {"dependencies": dict.fromkeys(wanted, "^1"), **project}
    return read_installation(write(folder, packages, **project), spec, target)


def lock(
    folder: Path,
    packages: Rows,
    *wanted: str,
    spec: LayerSpec = SPEC,
    target: Target = ARM,
    **project: object,
) -> Lock:
    installation = install(
        folder, packages, *wanted, spec=spec, target=target, **project
    )
    return to_lock(installation, folder / "package-lock.json", spec, target)


def by_id(locked: Lock) -> dict[str, Pin]:
    return {pin.id: pin for pin in locked.pins}


class TestPlaces:
    def test_are_those_of_the_lock(self, tmp_path: Path) -> None:
        rows = {"node_modules/a": row("a"), "node_modules/a/node_modules/b": row("b")}

        installation = install(tmp_path, rows, "a")

        assert {each: one.path for each, one in installation.packages.items()} == {
            place: place for place in rows
        }

    def test_of_a_workspace_are_where_its_link_is(self, tmp_path: Path) -> None:
        rows: Rows = {
            "node_modules/own": {"resolved": "packages/own", "link": True},
            "packages/own": {"name": "own", "version": "2.0.0"},
            "packages/own/node_modules/b": row("b"),
        }

        installation = install(tmp_path, rows, workspaces=["packages/*"])

        assert set(installation.packages) == {
            "node_modules/own",
            "node_modules/own/node_modules/b",
        }

    def test_leave_out_what_is_for_developers(self, tmp_path: Path) -> None:
        rows = {"node_modules/a": row("a"), "node_modules/b": row("b", dev=True)}

        assert set(install(tmp_path, rows, "a").packages) == {"node_modules/a"}

    @pytest.mark.parametrize(("target", "cpu"), [(ARM, "arm64"), (X86, "x64")])
    def test_have_the_optional_packages_of_the_target(
        self, tmp_path: Path, target: Target, cpu: str
    ) -> None:
        rows: Rows = {
            "node_modules/a": row(
                "a", optionalDependencies={"a-arm64": "1", "a-x64": "1"}
            ),
            "node_modules/a-arm64": row("a-arm64", optional=True, cpu=["arm64"]),
            "node_modules/a-x64": row("a-x64", optional=True, cpu=["x64"]),
        }

        installation = install(tmp_path, rows, "a", target=target)

        assert set(installation.packages) == {"node_modules/a", f"node_modules/a-{cpu}"}

    def test_of_what_does_not_suit_the_target_are_refused(self, tmp_path: Path) -> None:
        rows = {"node_modules/a": row("a", os=["darwin"])}

        with pytest.raises(UnsuitableLockError) as caught:
            install(tmp_path, rows, "a")

        assert caught.value.message == (
            "a 1.0.0 (node_modules/a) does not suit nodejs22.x-arm64: it is for "
            "os darwin"
        )
        assert caught.value.remedy == (
            "Make it an optional dependency, or take another package."
        )


class TestRoots:
    def test_are_what_the_project_asks_for(self, tmp_path: Path) -> None:
        rows = {"node_modules/a": wanting("b"), "node_modules/b": row("b")}

        assert install(tmp_path, rows, "a").roots == ("node_modules/a",)

    def test_are_not_what_only_its_developers_ask_for(self, tmp_path: Path) -> None:
        rows = {"node_modules/a": wanting("b"), "node_modules/b": row("b")}

        installation = install(tmp_path, rows, "a", devDependencies={"b": "^1"})

        assert installation.roots == ("node_modules/a",)
        assert set(installation.packages) == set(rows)

    def test_are_its_workspaces_though_nothing_asks_for_them(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "packages" / "own").mkdir(parents=True)
        (tmp_path / "packages" / "own" / "package.json").write_text("{}")
        rows: Rows = {
            "node_modules/own": {"resolved": "packages/own", "link": True},
            "packages/own": {"name": "own", "version": "2.0.0"},
        }

        assert lock(tmp_path, rows, workspaces=["packages/*"]).roots == ("own",)

    def test_are_not_what_the_target_lacks(self, tmp_path: Path) -> None:
        rows = {"node_modules/a": row("a", optional=True, os=["darwin"])}

        installation = install(tmp_path, rows, optionalDependencies={"a": "^1"})

        assert (installation.roots, dict(installation.packages)) == ((), {})


class TestBundles:
    def test_come_with_the_package_that_they_lie_in(self, tmp_path: Path) -> None:
        rows: Rows = {
            "node_modules/a": wanting("b", name="a"),
            "node_modules/a/node_modules/b": bundled("c"),
            "node_modules/a/node_modules/b/node_modules/c": bundled(),
        }

        installation = install(tmp_path, rows, "a")

        places = [holder_of(place, installation.packages) for place in rows]
        assert places == ["node_modules/a"] * 3
        assert list(by_id(lock(tmp_path, rows, "a"))) == ["a"]

    def test_of_the_project_itself_are_fetched_like_any(self, tmp_path: Path) -> None:
        rows: Rows = {
            "node_modules/a": row("a", inBundle=True, dependencies={"b": "^1"}),
            "node_modules/a/node_modules/b": row("b", inBundle=True),
        }

        installation = install(tmp_path, rows, "a", bundleDependencies=["a"])

        assert [one.source for one in installation.packages.values()] == [
            Source.REGISTRY,
            Source.REGISTRY,
        ]
        assert list(by_id(lock(tmp_path, rows, "a"))) == [
            "a",
            "node_modules/a/node_modules/b",
        ]


class TestPins:
    def test_have_what_the_lock_says(self, tmp_path: Path) -> None:
        rows = {"node_modules/@s/a": row("@s/a", version="1.2.3")}

        (pin,) = lock(tmp_path, rows, "@s/a").pins

        assert pin == Pin(
            name="@s/a",
            version="1.2.3",
            filename="s-a-1.2.3.tgz",
            url="https://registry.npmjs.org/@s/a/-/@s/a-1.0.0.tgz",
            digest=hashlib.sha512(b"@s/a").hexdigest(),
        )

    def test_stand_in_the_order_of_their_ids(self, tmp_path: Path) -> None:
        rows: Rows = {
            "node_modules/z": wanting("m", "a"),
            "node_modules/z/node_modules/a": row("a2"),
            "node_modules/a": row("a"),
            "node_modules/m": row("m"),
        }

        assert [pin.id for pin in lock(tmp_path, rows, "z", "a").pins] == [
            "a",
            "m",
            "node_modules/z/node_modules/a",
            "z",
        ]

    def test_say_where_one_stands_that_is_not_under_its_name_at_the_top(
        self, tmp_path: Path
    ) -> None:
        rows: Rows = {
            "node_modules/a": row("a"),
            "node_modules/old-a": row("a", name="a", version="0.1.0"),
            "node_modules/b": wanting("a"),
            "node_modules/b/node_modules/a": row("a"),
        }

        pins = by_id(lock(tmp_path, rows, "a", "b", "old-a"))

        assert {each: (pin.name, pin.location) for each, pin in pins.items()} == {
            "a": ("a", ""),
            "b": ("b", ""),
            "node_modules/b/node_modules/a": ("a", "node_modules/b/node_modules/a"),
            "node_modules/old-a": ("a", "node_modules/old-a"),
        }

    def test_of_one_tarball_at_two_places_are_two(self, tmp_path: Path) -> None:
        rows: Rows = {
            "node_modules/a": row("same"),
            "node_modules/b": wanting("a"),
            "node_modules/b/node_modules/a": row("same"),
        }

        pins = by_id(lock(tmp_path, rows, "a", "b"))

        nested = pins["node_modules/b/node_modules/a"]
        assert pins["a"].digest == nested.digest == hashlib.sha512(b"same").hexdigest()

    def test_depend_on_what_node_would_find(self, tmp_path: Path) -> None:
        rows: Rows = {
            "node_modules/a": row("a"),
            "node_modules/b": wanting("a", "c"),
            "node_modules/b/node_modules/a": row("a2"),
            "node_modules/c": wanting("a", "absent", peerDependencies={"b": "*"}),
        }

        pins = by_id(lock(tmp_path, rows, "b", "c"))

        assert pins["b"].dependencies == ("c", "node_modules/b/node_modules/a")
        assert pins["c"].dependencies == ("a", "b")

    def test_of_a_workspace_do_not_depend_on_what_its_developers_want(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / "own"
        folder.mkdir()
        (folder / "package.json").write_text('{"name": "own", "version": "1.0.0"}')
        rows: Rows = {
            "node_modules/a": row("a"),
            "node_modules/own": {"resolved": "own", "link": True},
            "own": {"version": "1.0.0", "devDependencies": {"a": "^1"}},
        }

        pins = by_id(lock(tmp_path, rows, "a", workspaces=["own"]))

        assert pins["own"].dependencies == ()

    def test_of_a_tarball_in_the_project_have_its_address_here(
        self, tmp_path: Path
    ) -> None:
        rows = {"node_modules/a": row("a", resolved="file:vendor/my a.tgz")}

        (pin,) = lock(tmp_path, rows, "a").pins

        assert pin.path == tmp_path.resolve() / "vendor" / "my a.tgz"
        assert (pin.filename, pin.source) == ("a-1.0.0.tgz", False)

    def test_of_a_commit_are_known_by_its_address(self, tmp_path: Path) -> None:
        address = "git+ssh://git@example.org/a/a.git#" + "0" * 40
        rows = {"node_modules/a": {"version": "1.0.0", "resolved": address}}

        (pin,) = lock(tmp_path, rows, "a").pins

        assert (pin.filename, pin.url, pin.source) == ("", address, True)
        assert pin.digest == hashlib.sha256(address.encode()).hexdigest()


class TestFolders:
    @pytest.fixture
    def own(self, tmp_path: Path) -> Path:
        own = tmp_path / "own"
        own.mkdir()
        (own / "package.json").write_text('{"name": "own", "version": "1.0.0"}')
        (own / "index.js").write_text("1")
        (own / ".npmignore").write_text("notes\n")
        return own

    def digest(self, folder: Path) -> str:
        rows: Rows = {
            "node_modules/own": {"resolved": "own", "link": True},
            "own": {"version": "1.0.0"},
        }
        (pin,) = lock(folder, rows, "own").pins
        return pin.digest

    def test_of_other_contents_are_others(self, tmp_path: Path, own: Path) -> None:
        before = self.digest(tmp_path)
        (own / "index.js").write_text("2")

        assert self.digest(tmp_path) != before

    def test_with_an_executable_are_others(self, tmp_path: Path, own: Path) -> None:
        before = self.digest(tmp_path)
        (own / "index.js").chmod(0o755)

        assert self.digest(tmp_path) != before

    def test_are_the_same_with_files_that_nobody_packs(
        self, tmp_path: Path, own: Path
    ) -> None:
        before = self.digest(tmp_path)
        (own / "notes").write_text("mine")

        assert self.digest(tmp_path) == before

    def test_that_are_not_there_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(UnsuitableLockError) as caught:
            self.digest(tmp_path)

        assert caught.value.message == (
            f"own 1.0.0 is the folder {tmp_path / 'own'}, which is not there"
        )
        assert caught.value.remedy == (
            "Bring it back; or take it out of package.json, and make the lock anew "
            "with layerforge lock."
        )


class TestInputs:
    @pytest.mark.parametrize(
        "changed",
        [
            replace(SPEC, versioned_folder=True),
            replace(SPEC, exclude_runtime_sdk=True),
            replace(SPEC, install_scripts={"a": Script.SKIP}),
        ],
    )
    def test_are_others_where_another_layer_would_come_of_it(
        self, tmp_path: Path, changed: LayerSpec
    ) -> None:
        rows = {"node_modules/a": row("a")}

        one, other = (lock(tmp_path, rows, "a", spec=spec) for spec in (SPEC, changed))

        assert one.inputs != other.inputs

    def test_are_the_same_whatever_else_the_layer_says(self, tmp_path: Path) -> None:
        rows = {"node_modules/a": row("a")}
        changed = replace(SPEC, description="x", exclude=("a/b",))

        one, other = (lock(tmp_path, rows, "a", spec=spec) for spec in (SPEC, changed))

        assert one == other


class TestSdk:
    ROWS: Final[Rows] = {
        "node_modules/@aws-sdk/client-s3": wanting(
            "@aws-sdk/core",
            "@smithy/core",
            "tslib",
            "only-here",
            name="@aws-sdk/client-s3",
        ),
        "node_modules/@aws-sdk/core": row("@aws-sdk/core"),
        "node_modules/@smithy/core": wanting("only-there", name="@smithy/core"),
        "node_modules/mine": wanting("tslib", "@smithy/core"),
        "node_modules/mine/node_modules/@smithy/core": row("@smithy/core"),
        "node_modules/only-here": wanting("only-below"),
        "node_modules/only-below": row("only-below"),
        "node_modules/only-there": row("only-there"),
        "node_modules/tslib": row("tslib"),
    }

    def test_stays_where_nobody_leaves_it_out(self, tmp_path: Path) -> None:
        locked = lock(tmp_path, self.ROWS, "@aws-sdk/client-s3", "mine")

        assert len(locked.pins) == len(self.ROWS)
        assert locked.provided == ()

    def test_goes_as_a_whole_with_what_only_it_leads_to(self, tmp_path: Path) -> None:
        locked = lock(
            tmp_path, self.ROWS, "@aws-sdk/client-s3", "mine", spec=WITHOUT_SDK
        )

        assert list(by_id(locked)) == ["mine", "tslib"]
        assert locked.roots == ("mine",)
        assert locked.provided == (
            "@aws-sdk/client-s3",
            "@aws-sdk/core",
            "@smithy/core",
        )

    def test_may_be_all_that_there_is(self, tmp_path: Path) -> None:
        locked = lock(tmp_path, self.ROWS, "@aws-sdk/client-s3", spec=WITHOUT_SDK)

        assert (locked.pins, locked.roots) == ((), ())

    def test_stays_under_another_name_which_the_runtime_has_not(
        self, tmp_path: Path
    ) -> None:
        rows = {"node_modules/s3": row("x", name="@aws-sdk/client-s3")}

        locked = lock(tmp_path, rows, "s3", spec=WITHOUT_SDK)

        assert list(by_id(locked)) == ["node_modules/s3"]
        assert locked.provided == ()

    def test_stays_where_it_lies_in_another_s_tarball(self, tmp_path: Path) -> None:
        rows: Rows = {
            "node_modules/a": wanting("@aws-sdk/core", name="a"),
            "node_modules/a/node_modules/@aws-sdk/core": bundled(),
        }

        installation = install(tmp_path, rows, "a", spec=WITHOUT_SDK)

        assert set(installation.packages) == set(rows)
        assert installation.provided == ()

    def test_takes_what_it_bundles_along(self, tmp_path: Path) -> None:
        rows: Rows = {
            "node_modules/@aws-sdk/core": wanting("b", name="@aws-sdk/core"),
            "node_modules/@aws-sdk/core/node_modules/b": bundled(),
            "node_modules/a": row("a"),
        }

        installation = install(tmp_path, rows, "a", "@aws-sdk/core", spec=WITHOUT_SDK)

        assert set(installation.packages) == {"node_modules/a"}

    def test_does_not_keep_a_workspace_from_its_place(self, tmp_path: Path) -> None:
        rows: Rows = {
            "node_modules/own": {"resolved": "own", "link": True},
            "own": {"version": "1.0.0", "dependencies": {"@aws-sdk/core": "^3"}},
            "node_modules/@aws-sdk/core": row("@aws-sdk/core"),
        }

        installation = install(tmp_path, rows, spec=WITHOUT_SDK, workspaces=["own"])

        assert set(installation.packages) == {"node_modules/own"}


def test_reach_goes_through_dependencies_but_not_what_is_barred(
    tmp_path: Path,
) -> None:
    rows: Rows = {
        "node_modules/a": wanting("b", "c"),
        "node_modules/b": wanting("a"),
        "node_modules/c": wanting("d"),
        "node_modules/d": row("d"),
    }
    packages = install(tmp_path, rows, "a").packages

    assert needed(["node_modules/a"], packages) == set(rows)
    assert needed(["node_modules/a"], packages, without=["node_modules/c"]) == {
        "node_modules/a",
        "node_modules/b",
    }


def test_a_lock_of_lockfile_version_2_is_read_as_version_3_is(tmp_path: Path) -> None:
    path = write(tmp_path, {"node_modules/a": row("a")}, dependencies={"a": "^1"})
    third = to_lock(read_installation(path, SPEC, ARM), path, SPEC, ARM)
    document = {
        **json.loads(path.read_text()),
        "lockfileVersion": 2,
        "dependencies": {},
    }
    path.write_text(json.dumps(document))

    second = to_lock(read_installation(path, SPEC, ARM), path, SPEC, ARM)

    assert second.pins == third.pins


def test_an_old_lock_s_sha1_is_the_digest_where_it_has_no_better(
    tmp_path: Path,
) -> None:
    sha1 = hashlib.sha1(b"a", usedforsecurity=False)
    integrity = f"sha1-{base64.b64encode(sha1.digest()).decode()}"

    (pin,) = lock(tmp_path, {"node_modules/a": row("a", integrity=integrity)}, "a").pins

    assert pin.digest == sha1.hexdigest()
