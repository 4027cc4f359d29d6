"""Node.js layers from a lock to a zip, where there is neither Node.js nor npm."""

from __future__ import annotations

import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.program import Program, files_below
from tests.elf_files import DATA, TEXT, make_elf
from tests.registry import Registry, lock_of

NODE: Final = ("--runtime", "nodejs22.x", "--arch", "x86_64")
APP: Final = ("build", "--package-json", "package.json", "--name", "app", *NODE)
ZIP: Final = "dist/app-nodejs22.x-x86_64.zip"
LEDGER: Final = "layerforge-ledger.app-nodejs22-x86_64.toml"
TOKEN: Final = "s3cret"  # noqa: S105 - the tests' own
ELF: Final = bytes(make_elf(TEXT, DATA))

LAYER: Final = """\
[layers.app]
package-json = "package.json"
runtimes = ["nodejs22.x"]
architectures = ["x86_64"]
"""

# The mode of each file, and where each link leads.
LISTING: Final = {
    "nodejs/node_modules/.bin/tool": "-> ../@scope/tool/run.js",
    "nodejs/node_modules/.bin/web": "-> ../web/cli.js",
    "nodejs/node_modules/@scope/tool/data.bin": "644",
    "nodejs/node_modules/@scope/tool/package.json": "644",
    "nodejs/node_modules/@scope/tool/run.js": "755",
    "nodejs/node_modules/bundler/index.js": "644",
    "nodejs/node_modules/bundler/node_modules/inner/index.js": "644",
    "nodejs/node_modules/bundler/package.json": "644",
    "nodejs/node_modules/helper/index.js": "644",
    "nodejs/node_modules/helper/package.json": "644",
    "nodejs/node_modules/native-linux-x64/a.node": "644",
    "nodejs/node_modules/native-linux-x64/package.json": "644",
    "nodejs/node_modules/old-helper/index.js": "644",
    "nodejs/node_modules/old-helper/package.json": "644",
    "nodejs/node_modules/peer/index.js": "644",
    "nodejs/node_modules/peer/package.json": "644",
    "nodejs/node_modules/web/cli.js": "755",
    "nodejs/node_modules/web/index.js": "644",
    "nodejs/node_modules/web/node_modules/helper/index.js": "644",
    "nodejs/node_modules/web/node_modules/helper/package.json": "644",
    "nodejs/node_modules/web/package.json": "644",
}

OTHERWISE: Final[dict[str, Callable[[Program], Program]]] = {
    "cache": lambda it: it.elsewhere(cache=it.home / "other"),
    "umask": lambda it: it.elsewhere(before=lambda: os.umask(0o077) and None),
    "time zone": lambda it: changed(it, TZ="Pacific/Kiritimati"),
    "locale": lambda it: changed(it, LC_ALL="C", LANG="tr_TR"),
    "hash seed": lambda it: changed(it, PYTHONHASHSEED="7"),
    "folder": lambda it: moved(it, it.home / "another place" / "é"),
}


def changed(program: Program, **variables: str) -> Program:
    return program.elsewhere(variables={**program.variables, **variables})


def moved(program: Program, folder: Path) -> Program:
    shutil.copytree(program.folder, folder, ignore=shutil.ignore_patterns("dist"))
    return program.elsewhere(folder=folder)


def listing(path: Path) -> dict[str, str]:
    """Give the mode of each file of a zip, and where each link leads."""
    with zipfile.ZipFile(path) as archive:
        return {
            info.filename: f"-> {archive.read(info).decode()}"
            if stat.S_ISLNK(info.external_attr >> 16)
            else f"{stat.S_IMODE(info.external_attr >> 16):o}"
            for info in archive.infolist()
        }


def names_in(path: Path) -> list[str]:
    return [name.removeprefix("nodejs/node_modules/") for name in listing(path)]


def lay(
    program: Program, manifest: dict[str, Any], packages: dict[str, dict[str, Any]]
) -> None:
    """Write a package.json and its lock."""
    named = {"name": "app", "version": "1.0.0", **manifest}
    program.write("package.json", json.dumps(named))
    program.write("package-lock.json", lock_of(named, packages))


def lay_one(program: Program, registry: Registry, name: str) -> None:
    """Write the package.json of one package at its version 1.0.0, and its lock."""
    row = registry.row(name, "1.0.0")
    lay(program, {"dependencies": {name: "1.0.0"}}, {f"node_modules/{name}": row})


@pytest.fixture
def app(node: Program, registry: Registry) -> Program:
    """A project with a little of everything that a lock can hold."""
    publish, row = registry.publish, registry.row
    web = {"index.js": b"1\n", "cli.js": b"#!/usr/bin/env node\r\n2\n"}
    publish(
        *("web", "2.0.0", web),
        bin={"web": "cli.js"},
        dependencies={"helper": "^1.0.0"},
        peerDependencies={"peer": "1"},
        optionalDependencies={"native-linux-x64": "1.0.0", "native-win32-x64": "1.0.0"},
    )
    publish("helper", "1.0.0")
    publish("helper", "2.0.0")
    publish("peer", "1.0.0")
    publish("tester", "1.0.0")
    publish("native-linux-x64", "1.0.0", {"a.node": ELF}, os=["linux"], cpu=["x64"])
    publish("native-win32-x64", "1.0.0", os=["win32"], cpu=["x64"])
    tool = {"run.js": b"3\n", "data.bin": b"4"}
    publish("@scope/tool", "1.0.0", tool, bin={"tool": "run.js"})
    bundle = {"index.js": b"5\n", "node_modules/inner/index.js": b"6\n"}
    inner = {"inner": "^1.0.0"}
    publish("bundler", "1.0.0", bundle, dependencies=inner, bundleDependencies=[*inner])
    asked = {
        "@scope/tool": "^1.0.0",
        "bundler": "^1.0.0",
        "helper": "^2.0.0",
        "old-helper": "npm:helper@^1.0.0",
        "web": "^2.0.0",
    }
    rows = {
        "@scope/tool": row("@scope/tool", "1.0.0"),
        "bundler": row("bundler", "1.0.0"),
        "bundler/node_modules/inner": {"version": "1.0.0", "inBundle": True},
        "helper": row("helper", "2.0.0"),
        "native-linux-x64": row("native-linux-x64", "1.0.0", optional=True),
        "native-win32-x64": row("native-win32-x64", "1.0.0", optional=True),
        "old-helper": row("helper", "1.0.0", name="helper"),
        "peer": row("peer", "1.0.0", peer=True),
        "tester": row("tester", "1.0.0", dev=True),
        "web": row("web", "2.0.0"),
        "web/node_modules/helper": row("helper", "1.0.0"),
    }
    lay(
        node,
        {"dependencies": asked, "devDependencies": {"tester": "^1.0.0"}},
        {f"node_modules/{place}": rows[place] for place in rows},
    )
    return node


# -- what is built -----------------------------------------------------------------


def test_gives_each_file_its_place_and_mode(app: Program) -> None:
    ran = app(*APP)

    assert (ran.status, ran.stdout) == (0, f"{ZIP}\n")
    assert listing(app.folder / ZIP) == LISTING


def test_writes_zip_manifest_sbom_and_ledger_and_nothing_else(app: Program) -> None:
    before = files_below(app.folder)

    app(*APP)

    after = files_below(app.folder)
    assert set(after) - set(before) == {
        ZIP,
        "dist/app-nodejs22.x-x86_64.cdx.json",
        "dist/app-nodejs22.x-x86_64.json",
        LEDGER,
    }
    assert {name: after[name] for name in before} == before


def test_shows_packages_of_one_name_by_their_places(app: Program) -> None:
    ran = app(*APP)

    _, heading, table = ran.stderr.partition("app for nodejs22.x-x86_64\n")
    zipped = (app.folder / ZIP).stat().st_size
    assert heading + table == (
        "app for nodejs22.x-x86_64\n"
        "  package           version  bytes  share\n"
        "  native-linux-x64  1.0.0      737  51.6%\n"
        "  web               2.0.0      255  17.8%\n"
        "  bundler           1.0.0      113   7.9%\n"
        "  @scope/tool       1.0.0       94   6.6%\n"
        "  helper            2.0.0       58   4.1%\n"
        "  old-helper        1.0.0       58   4.1%\n"
        "  web > helper      1.0.0       58   4.1%\n"
        "  peer              1.0.0       56   3.9%\n"
        "  unzipped 1,429 bytes (0.0 MiB), 0.0% of Lambda's limit\n"
        f"  zipped   {zipped:,} bytes (0.0 MiB), 21 files\n"
    )


def test_tells_of_each_download_once_with_its_size(
    app: Program, registry: Registry
) -> None:
    ran = app(*APP)

    told = ran.stderr.partition("app for")[0].splitlines()
    sizes = {
        f"{name.lstrip('@').replace('/', '-')}-{version}.tgz": len(release.tarball)
        for (name, version), release in registry.releases.items()
        if name not in {"tester", "native-win32-x64"}
    }
    assert sorted(told) == [
        f"fetched {name} ({sizes[name]:,} bytes)" for name in sorted(sizes)
    ]


def test_asks_for_tarballs_alone_and_for_each_once(
    app: Program, registry: Registry
) -> None:
    app(*APP)

    asked = [request.path for request in registry.requests]
    assert sorted(asked) == sorted(
        release.path
        for (name, _), release in registry.releases.items()
        if name not in {"tester", "native-win32-x64"}
    )


def test_gives_the_other_architecture_what_is_for_it(
    app: Program, registry: Registry
) -> None:
    ran = app(*APP[:-1], "arm64")

    names = names_in(app.folder / "dist/app-nodejs22.x-arm64.zip")
    assert (ran.status, len(names)) == (0, len(LISTING) - 2)
    assert not any("native" in name for name in names)
    assert not registry.asked("/native-linux-x64/-/native-linux-x64-1.0.0.tgz")


@pytest.mark.parametrize("what", OTHERWISE)
def test_the_bytes_are_the_same_whatever_else_differs(app: Program, what: str) -> None:
    app(*APP)
    whole = (app.folder / ZIP).read_bytes()
    (app.folder / ZIP).unlink()
    other = OTHERWISE[what](app)

    ran = other(*APP)

    assert ran.status == 0, ran.stderr
    assert (other.folder / ZIP).read_bytes() == whole


def test_says_unchanged_where_there_is_nothing_to_do(
    app: Program, registry: Registry
) -> None:
    app(*APP)
    before = files_below(app.folder)
    registry.requests.clear()

    ran = app(*APP)

    assert (ran.status, ran.stdout, ran.stderr) == (
        0,
        f"{ZIP}\n",
        "app for nodejs22.x-x86_64: unchanged\n",
    )
    assert (files_below(app.folder), registry.requests) == (before, [])


def test_json_tells_where_each_package_stands(app: Program) -> None:
    ran = app(*APP, "--json")

    [layer] = ran.document["layers"]
    assert {
        (row["location"], row["name"], row["version"]) for row in layer["packages"]
    } == {
        ("", "@scope/tool", "1.0.0"),
        ("", "bundler", "1.0.0"),
        ("", "helper", "2.0.0"),
        ("", "native-linux-x64", "1.0.0"),
        ("node_modules/old-helper", "helper", "1.0.0"),
        ("node_modules/web/node_modules/helper", "helper", "1.0.0"),
        ("", "peer", "1.0.0"),
        ("", "web", "2.0.0"),
    }
    assert all(row["digest"].startswith("sha512:") for row in layer["packages"])


def test_inspect_tells_what_is_in_the_zip(app: Program) -> None:
    app(*APP)

    ran = app("inspect", ZIP)

    assert ran.status == 0
    assert (
        "  package           version  files  bytes  share\n"
        "  native-linux-x64  1.0.0        2    737  51.6%\n"
    ) in ran.stdout
    assert "\n  web > helper      1.0.0        2     58   4.1%\n" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (("plan", *APP[1:]), lambda document: document["plans"][0]["present"]),
        (("inspect", ZIP), lambda document: document["packages"]),
    ],
)
def test_json_of_what_only_tells_has_the_places_too(
    app: Program, words: tuple[str, ...], rows: Callable[[Any], list[dict[str, Any]]]
) -> None:
    app(*APP)

    ran = app(*words, "--json")

    assert {row["location"] for row in rows(ran.document)} == {
        "",
        "node_modules/old-helper",
        "node_modules/web/node_modules/helper",
    }


# -- by choice ---------------------------------------------------------------------


def test_a_versioned_folder_is_the_runtimes_own(app: Program) -> None:
    app.write("layerforge.toml", f"{LAYER}versioned-folder = true\n")

    ran = app("build")

    assert ran.status == 0, ran.stderr
    assert list(listing(app.folder / ZIP)) == [
        name.replace("nodejs/", "nodejs/node22/", 1) for name in LISTING
    ]


def test_one_zip_serves_runtimes_whose_tree_is_the_same(app: Program) -> None:
    app.write(
        "layerforge.toml",
        f"{LAYER}one-zip = true\n".replace(
            '["nodejs22.x"]', '["nodejs20.x", "nodejs22.x"]'
        ),
    )

    ran = app("build")

    name = "dist/app-nodejs20.x-nodejs22.x-x86_64.zip"
    manifest = json.loads((app.folder / name).with_suffix(".json").read_text())
    assert (ran.status, ran.stdout) == (0, f"{name}\n")
    assert "app for nodejs20.x-nodejs22.x-x86_64\n" in ran.stderr
    assert listing(app.folder / name) == LISTING
    assert manifest["runtimes"] == ["nodejs20.x", "nodejs22.x"]


def test_one_zip_is_refused_where_folders_are_the_runtimes_own(app: Program) -> None:
    app.write(
        "layerforge.toml",
        f"{LAYER}one-zip = true\nversioned-folder = true\n".replace(
            '["nodejs22.x"]', '["nodejs20.x", "nodejs22.x"]'
        ),
    )

    ran = app("build")

    assert (ran.status, ran.stderr.partition("error: ")[2]) == (
        4,
        (
            "one zip can't be app for nodejs20.x-x86_64 and app for nodejs22.x-x86_64: "
            "42 files differ:\n"
            "  nodejs/node20/node_modules/.bin/tool\n"
            "  nodejs/node20/node_modules/.bin/web\n"
            "  nodejs/node20/node_modules/@scope/tool/data.bin\n"
            "  nodejs/node20/node_modules/@scope/tool/package.json\n"
            "  nodejs/node20/node_modules/@scope/tool/run.js\n"
            "  and 37 more\n"
            "try: Build a zip for each runtime: without one-zip.\n"
        ),
    )
    assert not (app.folder / "dist").exists()


def test_files_of_the_users_own_go_beside_packages(app: Program) -> None:
    app.write("own/config.js", "7\n")
    include = 'include = { "own" = "nodejs/node_modules/own" }\n'
    app.write("layerforge.toml", LAYER + include)

    ran = app("build")

    assert "\n  files of your own               2   0.1%\n" in ran.stderr
    assert listing(app.folder / ZIP) == {
        **LISTING,
        "nodejs/node_modules/own/config.js": "644",
    }


def test_what_is_excluded_is_left_out_and_what_is_kept_stays(app: Program) -> None:
    app.write(
        "layerforge.toml",
        f'{LAYER}exclude = ["**/index.js"]\nkeep = ["peer/index.js"]\n',
    )

    ran = app("build")

    assert ran.status == 0, ran.stderr
    assert [n for n in names_in(app.folder / ZIP) if n.endswith("index.js")] == [
        "peer/index.js"
    ]


@pytest.fixture
def documented(node: Program, registry: Registry) -> Program:
    """A project of a package with much that nobody needs at run time."""
    files = {
        "index.js": b"1\n",
        "index.d.ts": b"declare\n",
        "index.js.map": b"{}\n",
        "README.md": b"# Read\n",
        "LICENSE": b"MIT\n",
    }
    registry.publish("demo", "1.0.0", files)
    lay_one(node, registry, "demo")
    return node


def test_safe_rules_leave_out_what_nobody_runs(documented: Program) -> None:
    ran = documented(*APP)

    assert names_in(documented.folder / ZIP) == [
        "demo/LICENSE",
        "demo/index.js",
        "demo/package.json",
    ]
    assert (
        "  left out\n"
        "    declarations  1 file  8\n"
        "    readmes       1 file  7\n"
        "    source-maps   1 file  3\n"
    ) in ran.stderr


def test_without_stripping_all_stays(documented: Program) -> None:
    documented(*APP, "--strip", "none")

    assert names_in(documented.folder / ZIP) == [
        "demo/LICENSE",
        "demo/README.md",
        "demo/index.d.ts",
        "demo/index.js",
        "demo/index.js.map",
        "demo/package.json",
    ]


def test_the_runtimes_sdk_is_left_out_as_a_whole(
    node: Program, registry: Registry
) -> None:
    registry.publish("@aws-sdk/core", "3.0.0", dependencies={"@smithy/a": "1.0.0"})
    registry.publish("@smithy/a", "1.0.0", dependencies={"helper": "1.0.0"})
    registry.publish("helper", "1.0.0")
    registry.publish("web", "1.0.0")
    lay(
        node,
        {"dependencies": {"@aws-sdk/core": "3.0.0", "web": "1.0.0"}},
        {
            f"node_modules/{name}": registry.row(name, version)
            for name, version in registry.releases
        },
    )

    ran = node(*APP, "--exclude-runtime-sdk")

    assert ran.status == 0, ran.stderr
    assert names_in(node.folder / ZIP) == ["web/index.js", "web/package.json"]


# -- whom is asked, and as whom ----------------------------------------------------


def test_an_address_at_npmjs_means_the_registry_that_is_set(
    node: Program, registry: Registry
) -> None:
    path = registry.publish("demo", "1.0.0").path
    address = f"https://registry.npmjs.org{path}"
    row = registry.row("demo", "1.0.0", resolved=address)
    lay(node, {"dependencies": {"demo": "1.0.0"}}, {"node_modules/demo": row})

    ran = node(*APP)

    assert (ran.status, len(registry.asked(path))) == (0, 1)


def test_a_token_goes_to_its_registry_and_to_no_other(
    node: Program, registry: Registry, tmp_path: Path
) -> None:
    registry.publish("demo", "1.0.0")
    with Registry(tmp_path, token=TOKEN) as private:
        private.publish("@own/tool", "1.0.0")
        lay(
            node,
            {"dependencies": {"@own/tool": "1.0.0", "demo": "1.0.0"}},
            {
                "node_modules/@own/tool": private.row("@own/tool", "1.0.0"),
                "node_modules/demo": registry.row("demo", "1.0.0"),
            },
        )
        node.write(
            ".npmrc",
            f"registry={registry.url}/\n@own:registry={private.url}/\n"
            f"//{private.host}/:_authToken=${{OWN_TOKEN}}\n",
        )

        ran = changed(node, OWN_TOKEN=TOKEN)(*APP)

        asked = [each.headers.get("authorization") for each in private.requests]
    assert ran.status == 0, ran.stderr
    assert asked == [f"Bearer {TOKEN}"]
    assert all("authorization" not in each.headers for each in registry.requests)


def test_a_token_is_told_nobody(node: Program, tmp_path: Path) -> None:
    with Registry(tmp_path, token=f"not {TOKEN}") as private:
        private.publish("demo", "1.0.0")
        lay_one(node, private, "demo")
        node.write(".npmrc", f"//{private.host}/:_authToken=${{OWN_TOKEN}}\n")

        ran = changed(node, OWN_TOKEN=TOKEN)(*APP, "--verbose")

        url = f"{private.url}/demo/-/demo-1.0.0.tgz"
    assert (ran.status, ran.stderr.partition("error: ")[2]) == (
        4,
        (
            f"{url}: {private.host} answered 401 Unauthorized\n"
            f"try: Have a token for {private.host} that may read this in .npmrc: "
            f"//{private.host}/:_authToken=${{NPM_TOKEN}}\n"
        ),
    )
    assert TOKEN not in ran.stdout + ran.stderr
