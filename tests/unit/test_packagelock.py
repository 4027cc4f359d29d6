"""package-lock.json: what is read, what a target gets of it, and what is refused.

The locks in tests/data are npm 11's, with fields left out; so are the folders that it
made of them with ``npm ci --omit=dev --os=linux --libc=glibc`` and either ``--cpu``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from layerforge.ecosystems.node.agreement import (
    check_complete,
    check_manifest,
    missing_binaries,
)
from layerforge.ecosystems.node.packagelock import (
    Dependency,
    Group,
    Package,
    PackageLock,
    Source,
    parse_package_lock,
)
from layerforge.ecosystems.node.platforms import suits
from layerforge.ecosystems.node.selection import layer_paths, select
from layerforge.errors import ConfigError, DamagedLockError, LockError
from layerforge.target import Arch, Target, find_runtime

DATA: Final = Path(__file__).parents[1] / "data"
ARM: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.ARM64)
X86: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.X86_64)
AGAIN: Final = "Make it again: npm install --package-lock-only --ignore-scripts"

ALIASES: Final = {
    "node_modules/@scope/lodash",
    "node_modules/debug",
    "node_modules/debug/node_modules/ms",
    "node_modules/ms",
    "node_modules/old-ms",
}
WORKSPACES: Final = {
    "node_modules/@ws/a",
    "node_modules/@ws/b",
    "node_modules/debug",
    "node_modules/ms",
    "packages/a/node_modules/ms",
    "packages/b/node_modules/debug",
    "packages/b/node_modules/ms",
}
SHARP: Final = {
    "node_modules/@img/colour",
    "node_modules/detect-libc",
    "node_modules/semver",
    "node_modules/sharp",
}
SHARP_ARM: Final = SHARP | {
    "node_modules/@img/sharp-libvips-linux-arm64",
    "node_modules/@img/sharp-linux-arm64",
}
SHARP_X86: Final = SHARP | {
    "node_modules/@img/sharp-libvips-linux-x64",
    "node_modules/@img/sharp-linux-x64",
}
ELSEWHERE: Final = {"version": "1.0.0", "optional": True, "os": ["win32"]}


def npm_lock(name: str) -> PackageLock:
    text = (DATA / f"package-lock.{name}.json").read_text(encoding="utf-8")
    return parse_package_lock(text, "package-lock.json")


def text_of(packages: dict[str, Any], **fields: object) -> str:
    document = {"lockfileVersion": 3, "packages": {"": {"name": "demo"}, **packages}}
    return json.dumps(document | fields)


def lock_of(**packages: dict[str, Any]) -> PackageLock:
    """Give a lock of packages at the top, by name; ``project`` is the project."""
    project = packages.pop("project", {})
    entries = {f"node_modules/{name}": entry for name, entry in packages.items()}
    return parse_package_lock(text_of({"": project, **entries}), "package-lock.json")


def only(path: str, entry: dict[str, Any]) -> Package:
    """Give the one package of a lock."""
    return parse_package_lock(text_of({path: entry}), "package-lock.json").packages[1]


def selected(lock: PackageLock, target: Target = ARM) -> set[str]:
    return {package.path for package in select(lock, target)}


def damaged(text: str) -> str:
    with pytest.raises(DamagedLockError) as caught:
        parse_package_lock(text, "package-lock.json")
    assert caught.value.remedy == AGAIN
    return caught.value.message.removeprefix("package-lock.json is damaged: ")


# Reading


def test_an_entry_is_read_whole() -> None:
    entry = {
        "version": "1.2.3",
        "resolved": "https://registry.npmjs.org/demo/-/demo-1.2.3.tgz",
        "integrity": "sha512-AAAA==",
        "devOptional": True,
        "peer": True,
        "hasInstallScript": True,
        "os": ["linux"],
        "cpu": "arm64",
        "libc": ["glibc"],
        "engines": {"node": ">=18"},
        "bin": {"demo": "cli.js"},
        "dependencies": {"ms": "^2.0.0", "tslib": "1"},
        "optionalDependencies": {"tslib": "1"},
        "peerDependencies": {"react": "*", "vue": "*"},
        "peerDependenciesMeta": {"vue": {"optional": True}},
        "devDependencies": {"typescript": "5"},
    }

    package = only("node_modules/demo", entry)

    assert package == Package(
        path="node_modules/demo",
        name="demo",
        version="1.2.3",
        source=Source.REGISTRY,
        resolved="https://registry.npmjs.org/demo/-/demo-1.2.3.tgz",
        integrity="sha512-AAAA==",
        dev_optional=True,
        peer=True,
        has_install_script=True,
        os=("linux",),
        cpu=("arm64",),
        libc=("glibc",),
        engines=(("node", ">=18"),),
        bin=(("demo", "cli.js"),),
        dependencies=(
            Dependency(name="react", range="*", group=Group.PEER),
            Dependency(name="vue", range="*", group=Group.PEER, optional=True),
            Dependency(name="ms", range="^2.0.0", group=Group.PROD),
            Dependency(name="tslib", range="1", group=Group.OPTIONAL, optional=True),
        ),
    )


@pytest.mark.parametrize(
    ("entry", "source", "resolved"),
    [
        (
            {"resolved": "https://npm.example.org/api/demo/-/demo-1.0.0.tgz"},
            Source.REGISTRY,
            "https://npm.example.org/api/demo/-/demo-1.0.0.tgz",
        ),
        (
            {"resolved": "https://example.org/demo.tgz"},
            Source.REMOTE,
            "https://example.org/demo.tgz",
        ),
        ({"resolved": "file:vendor/demo.tgz"}, Source.FILE, "vendor/demo.tgz"),
        ({"resolved": "file:../demo"}, Source.FOLDER, "../demo"),
        (
            {"resolved": "git+ssh://git@github.com/a/demo.git#0123abc"},
            Source.GIT,
            "git+ssh://git@github.com/a/demo.git#0123abc",
        ),
        (
            {"inBundle": True},  # the project's own bundle, which npm fetches
            Source.REGISTRY,
            "https://registry.npmjs.org/demo/-/demo-1.0.0.tgz",
        ),
    ],
)
def test_an_address_says_where_a_package_comes_from(
    entry: dict[str, Any], source: Source, resolved: str
) -> None:
    package = only("node_modules/demo", {"version": "1.0.0", **entry})

    assert (package.source, package.resolved) == (source, resolved)


@pytest.mark.parametrize(
    ("path", "entry", "url"),
    [
        (
            "node_modules/ms",
            {"version": "2.1.3"},
            "https://registry.npmjs.org/ms/-/ms-2.1.3.tgz",
        ),
        (
            "node_modules/a/node_modules/@scope/b",
            {"version": "1.0.0-rc.1+build"},
            "https://registry.npmjs.org/@scope/b/-/b-1.0.0-rc.1+build.tgz",
        ),
        (
            "node_modules/alias",
            {"name": "ms", "version": "2.1.3"},
            "https://registry.npmjs.org/ms/-/ms-2.1.3.tgz",
        ),
        (
            "node_modules/ms",
            {"version": "../../../x"},
            "https://registry.npmjs.org/ms/-/ms-..%2F..%2F..%2Fx.tgz",
        ),
    ],
)
def test_an_address_left_out_follows_from_name_and_version(
    path: str, entry: dict[str, Any], url: str
) -> None:
    assert only(path, entry).resolved == url


def test_a_scope_may_have_a_registry_of_its_own() -> None:
    registries = {"": "https://one.example.org/", "@acme": "https://npm.acme.org/x"}
    text = text_of({"node_modules/@acme/a": {"version": "1.0.0"}})

    lock = parse_package_lock(text, "package-lock.json", registries)

    assert lock.packages[1].resolved == "https://npm.acme.org/x/@acme/a/-/a-1.0.0.tgz"


def test_an_alias_has_the_name_of_the_registry_and_the_folder_of_the_project() -> None:
    packages = {each.folder: str(each) for each in npm_lock("aliases").packages[1:]}

    assert packages["old-ms"] == "ms 1.0.0"
    assert packages["@scope/lodash"] == "lodash.merge 4.6.2"


def test_a_link_has_what_the_lock_says_of_its_folder() -> None:
    link = select(npm_lock("workspaces"), ARM)[0]

    assert (link.path, link.name, link.version, link.resolved, link.link) == (
        "node_modules/@ws/a",
        "@ws/a",
        "1.0.0",
        "packages/a",
        True,
    )


def test_engines_in_the_old_form_are_ignored() -> None:
    entry = {"version": "1.0.0", "engines": ["node >= 0.6"]}

    assert only("node_modules/demo", entry).engines == ()


# What a target gets


@pytest.mark.parametrize(
    ("name", "target", "folders"),
    [
        ("aliases", ARM, ALIASES),
        ("aliases", X86, ALIASES),
        ("workspaces", ARM, WORKSPACES),
        ("workspaces", X86, WORKSPACES),
        ("platforms", ARM, SHARP_ARM),
        ("platforms", X86, SHARP_X86),
    ],
)
def test_the_folders_are_those_that_npm_makes(
    name: str, target: Target, folders: set[str]
) -> None:
    assert selected(npm_lock(name), target) == folders


@pytest.mark.parametrize(
    ("fields", "suitable"),
    [
        ({}, True),
        ({"os": ["linux"]}, True),
        ({"os": ["darwin", "linux"]}, True),
        ({"os": ["darwin"]}, False),
        ({"os": ["!win32"]}, True),
        ({"os": ["!linux"]}, False),
        ({"os": ["!linux", "linux"]}, False),
        ({"os": ["!win32", "darwin"]}, False),
        ({"os": ["any"]}, True),
        ({"os": ["any", "darwin"]}, False),
        ({"os": "linux"}, True),
        ({"cpu": ["arm64"]}, True),
        ({"cpu": ["x64"]}, False),
        ({"libc": ["glibc"]}, True),
        ({"libc": ["musl"]}, False),
    ],
)
def test_a_platform_is_judged_by_the_rules_of_npm(
    fields: dict[str, Any], *, suitable: bool
) -> None:
    package = only("node_modules/demo", {"version": "1.0.0", **fields})

    assert suits(package, ARM) is suitable


def test_what_only_an_unsuitable_package_brings_is_left_out() -> None:
    optional = {"version": "1.0.0", "optional": True}
    lock = lock_of(
        project={"dependencies": {"kept": "*"}, "optionalDependencies": {"away": "*"}},
        away={**ELSEWHERE, "dependencies": {"lost": "*", "shared": "*"}},
        lost={**optional, "dependencies": {"cycle": "*"}},
        cycle={**optional, "dependencies": {"lost": "*"}},
        shared={"version": "1.0.0"},
        kept={"version": "1.0.0", "dependencies": {"shared": "*"}},
    )

    assert selected(lock) == {"node_modules/kept", "node_modules/shared"}


def test_what_cannot_do_without_an_unsuitable_package_is_left_out() -> None:
    optional = {"version": "1.0.0", "optional": True}
    lock = lock_of(
        project={"optionalDependencies": {"needy": "*", "relaxed": "*"}},
        needy={**optional, "dependencies": {"away": "*", "lost": "*"}},
        relaxed={**optional, "optionalDependencies": {"away": "*"}},
        away=ELSEWHERE,
        lost=optional,
    )

    assert selected(lock) == {"node_modules/relaxed"}


def test_a_peer_that_is_optional_as_well_can_be_done_without() -> None:
    lock = lock_of(
        project={"optionalDependencies": {"relaxed": "*"}},
        relaxed={
            "version": "1.0.0",
            "optional": True,
            "optionalDependencies": {"away": "*"},
            "peerDependencies": {"away": "*"},
        },
        away=ELSEWHERE,
    )

    assert selected(lock) == {"node_modules/relaxed"}


def test_what_a_development_package_needs_too_stays_as_npm_has_it() -> None:
    lock = lock_of(
        project={"optionalDependencies": {"away": "*"}, "devDependencies": {"dev": ""}},
        away={**ELSEWHERE, "dependencies": {"both": "*"}},
        dev={"version": "1.0.0", "dev": True, "dependencies": {"both": "*"}},
        both={"version": "1.0.0", "devOptional": True},
    )

    assert selected(lock) == {"node_modules/both"}


def test_what_only_development_insists_on_may_be_unsuitable() -> None:
    lock = lock_of(
        project={"optionalDependencies": {"away": "*"}, "devDependencies": {"dev": ""}},
        away={"version": "1.0.0", "devOptional": True, "os": ["win32"]},
        dev={"version": "1.0.0", "dev": True, "dependencies": {"away": "*"}},
    )

    assert selected(lock) == set()


def test_a_package_that_is_needed_and_unsuitable_is_an_error() -> None:
    lock = lock_of(away={"version": "1.0.0", "os": ["win32"], "cpu": ["x64", "ia32"]})

    with pytest.raises(LockError) as caught:
        select(lock, ARM)

    assert caught.value.message == (
        "away 1.0.0 (node_modules/away) does not suit nodejs22.x-arm64: "
        "it is for os win32, cpu x64 ia32"
    )
    assert caught.value.remedy == (
        "Make it an optional dependency, or take another package."
    )


def test_a_linked_folder_stands_where_its_link_did() -> None:
    packages = select(npm_lock("workspaces"), ARM)

    moved = {path: to for path, to in layer_paths(packages).items() if path != to}

    assert moved == {
        "packages/a/node_modules/ms": "node_modules/@ws/a/node_modules/ms",
        "packages/b/node_modules/debug": "node_modules/@ws/b/node_modules/debug",
        "packages/b/node_modules/ms": "node_modules/@ws/b/node_modules/ms",
    }


def test_a_link_in_a_linked_folder_moves_with_it() -> None:
    text = text_of(
        {
            "a": {"version": "1.0.0"},
            "b": {"version": "1.0.0"},
            "node_modules/a": {"resolved": "a", "link": True},
            "a/node_modules/b": {"resolved": "b", "link": True},
            "b/node_modules/ms": {"version": "1.0.0"},
        }
    )
    packages = select(parse_package_lock(text, "package-lock.json"), ARM)

    assert layer_paths(packages)["b/node_modules/ms"] == (
        "node_modules/a/node_modules/b/node_modules/ms"
    )


# Agreement


def test_a_manifest_that_asks_for_the_same_agrees() -> None:
    manifest = {
        "name": "another",
        "scripts": {"test": "true"},
        "dependencies": {"@ws/b": "^1.0.0", "ms": "^1.0.0"},
        "devDependencies": {"is-odd": "^3.0.0"},
    }

    check_manifest(
        npm_lock("workspaces"),
        json.dumps(manifest),
        "packages/a/package.json",
        folder="packages/a",
    )


def test_every_difference_from_the_manifest_is_named() -> None:
    manifest = {
        "dependencies": {"debug": "^2.6.1", "pg": "8", "ms": "^2.1.3"},
        "optionalDependencies": {"old-ms": "npm:ms@^1.0.0"},
        "devDependencies": {"is-number": "^7.0.0"},
    }

    with pytest.raises(LockError) as caught:
        check_manifest(npm_lock("aliases"), json.dumps(manifest), "package.json")

    assert caught.value.message == (
        "the lock does not agree with package.json:\n"
        "  dependencies: @scope/lodash npm:lodash.merge@^4.6.0 is only in the lock\n"
        "  dependencies: debug is ^2.6.1, in the lock ^2.6.0\n"
        "  dependencies: old-ms npm:ms@^1.0.0 is only in the lock\n"
        "  optionalDependencies: old-ms npm:ms@^1.0.0 is not in the lock\n"
        "  dependencies: pg 8 is not in the lock"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "[] is no object"),
        ("{", "Expecting property name enclosed in double quotes: "),
        ('{"dependencies": {"a": 1}}', "dependencies is {'a': 1}"),
    ],
)
def test_a_manifest_that_is_none_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_manifest(npm_lock("aliases"), text, "package.json")

    assert caught.value.message.startswith(f"package.json is malformed: {reason}")


@pytest.mark.parametrize("name", ["aliases", "platforms", "workspaces"])
def test_a_lock_of_npm_is_complete(name: str) -> None:
    check_complete(npm_lock(name))


def test_a_lock_that_lacks_what_it_needs_is_refused() -> None:
    lock = lock_of(
        project={"dependencies": {"a": "^1.0.0", "gone": "2"}},
        a={
            "version": "1.0.0",
            "optionalDependencies": {"a-linux-arm64": "1.0.0"},
            "peerDependencies": {"react": "*"},
        },
    )

    with pytest.raises(LockError) as caught:
        check_complete(lock)

    assert caught.value.message == (
        "the lock has no entry for what its packages need:\n  gone 2, for the project"
    )


@pytest.mark.parametrize(
    "name",
    [
        "@esbuild/linux-x64",
        "@esbuild/darwin-arm64",
        "@swc/core-linux-arm64-musl",
        "@rollup/rollup-win32-arm64-msvc",
        "fsevents",
        "bufferutil",
    ],
)
def test_a_lock_may_lack_an_optional_package_of_another_platform(name: str) -> None:
    lock = lock_of(
        project={"dependencies": {"a": "^1.0.0"}},
        a={"version": "1.0.0", "optionalDependencies": {name: "1.0.0"}},
    )

    assert missing_binaries(lock, ARM) == ""


@pytest.mark.parametrize("name", ["@esbuild/linux-arm64", "@swc/core-linux-arm64-gnu"])
def test_an_optional_package_for_the_target_is_told_where_it_is_missing(
    name: str,
) -> None:
    lock = lock_of(
        project={"dependencies": {"a": "^1.0.0"}},
        a={"version": "1.0.0", "optionalDependencies": {name: "1.0.0"}},
    )

    assert missing_binaries(lock, ARM) == f"\n  {name} 1.0.0, for node_modules/a"


@pytest.mark.parametrize(
    ("overrides", "differences"),
    [
        ({"a": "1.0.0"}, ""),
        ({"a": "^1"}, ""),
        ({"a": {".": "2.0.0"}}, ""),
        ({"gone": "2.0.0"}, ""),
        ({"a": "2.0.0"}, "\n  overrides: a is 2.0.0, in the lock 1.0.0"),
    ],
)
def test_a_package_is_locked_at_the_version_that_an_override_names(
    overrides: dict[str, Any], differences: str
) -> None:
    lock = lock_of(project={"dependencies": {"a": "^1"}}, a={"version": "1.0.0"})
    text = json.dumps({"dependencies": {"a": "^1"}, "overrides": overrides})
    said = ""

    try:
        check_manifest(lock, text, "package.json")
    except LockError as error:
        said = error.message.removeprefix("the lock does not agree with package.json:")

    assert said == differences


def test_a_folder_beside_the_project_resolves_nothing_from_it() -> None:
    near = {"version": "1.0.0", "dependencies": {"ms": "2"}}
    packages = {"../near": near, "node_modules/ms": {"version": "2.0.0"}}
    lock = parse_package_lock(text_of(packages), "package-lock.json")

    with pytest.raises(LockError, match=r"\n  ms 2, for \.\./near$"):
        check_complete(lock)


# What is refused


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (1, "lockfileVersion 1, which doesn't say all that is needed"),
        (4, "lockfileVersion 4, and only 2 and 3 are known"),
        ("3", "lockfileVersion '3', and only 2 and 3 are known"),
    ],
)
def test_another_version_of_the_format_is_refused(
    version: object, message: str
) -> None:
    with pytest.raises(LockError) as caught:
        parse_package_lock(text_of({}, lockfileVersion=version), "package-lock.json")

    assert caught.value.message == f"package-lock.json has {message}"
    assert caught.value.remedy == (
        "Upgrade it: "
        "npm install --package-lock-only --ignore-scripts --lockfile-version 3"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<<<<<<< HEAD", "not JSON of a lock: Expecting value: line 1 column 1"),
        ("[]", "not JSON of a lock: [] is no object"),
        ("{}", "lockfileVersion is missing"),
        ('{"lockfileVersion": 3}', "packages is missing"),
        (
            '{"lockfileVersion": 3, "packages": {"node_modules/a": {}}}',
            "the project's own entry is missing",
        ),
    ],
)
def test_what_is_no_lock_is_refused(text: str, message: str) -> None:
    assert damaged(text).startswith(message)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ([], "[] is no object"),
        ({}, "resolved and version are missing"),
        ({"version": 1}, "version is 1"),
        ({"version": "1", "dev": "yes"}, "dev is 'yes'"),
        ({"version": "1", "os": [1]}, "os is [1]"),
        ({"version": "1", "bin": {"a": 1}}, "bin is {'a': 1}"),
        ({"version": "1", "name": "../x"}, "name is '../x'"),
        ({"version": "1", "resolved": "ftp://x/a.tgz"}, "resolved is 'ftp://x/a.tgz'"),
    ],
)
def test_a_damaged_entry_is_named(entry: object, message: str) -> None:
    text = text_of({"node_modules/a": entry})

    assert damaged(text) == f"node_modules/a: {message}"


@pytest.mark.parametrize(
    "path",
    [
        "/node_modules/a",
        "/etc",
        "a/../b",
        "a//b",
        "node_modules",
        "node_modules/",
        "node_modules/..",
        "node_modules/../a",
        "node_modules/a/b",
        "node_modules/.bin",
        "node_modules/@scope",
        "node_modules/@../a",
        "node_modules/a\\b",
        "node_modules/a\0",
        "node_modules/a/node_modules/../../x",
    ],
)
def test_a_path_that_npm_never_writes_is_refused(path: str) -> None:
    assert damaged(text_of({path: {"version": "1.0.0"}})) == (
        f"{path!r} is no path of a package"
    )


def test_a_link_to_a_folder_without_entry_is_refused() -> None:
    text = text_of({"node_modules/a": {"resolved": "packages/a", "link": True}})

    assert damaged(text) == "node_modules/a: the folder 'packages/a' has no entry"
