"""Locks of Node.js layers: made by this machine's npm, held to, brought up to date."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.program import Program, files_below
from tests.registry import Registry

PROJECT: Final = """\
[defaults]
runtimes = ["python3.12", "nodejs22.x"]
architectures = ["x86_64"]

[layers.kit]
packages = ["helper", "web@^2.0.0"]
"""
LOCK: Final = "package-lock.kit.json"
LEDGER: Final = "layerforge-ledger.kit-nodejs22-x86_64.toml"
ZIP: Final = "dist/kit-nodejs22.x-x86_64.zip"
TOKEN: Final = "s3cret"  # noqa: S105 - the tests' own
NODE: Final = ("--runtime", "nodejs22.x", "--arch", "x86_64")

pytestmark = pytest.mark.skipif(
    shutil.which("npm") is None, reason="there is no npm to make locks with"
)


@pytest.fixture
def kit(layerforge: Program, registry: Registry) -> Program:
    """A project of two packages that has no lock, where there is an npm."""
    registry.publish("helper", "1.0.0")
    registry.publish("helper", "2.0.0")
    registry.publish("web", "2.0.0", dependencies={"helper": "^1.0.0"})
    layerforge.write("layerforge.toml", PROJECT)
    layerforge.write(".npmrc", f"registry={registry.url}/\n")
    return layerforge


def without_npm(program: Program) -> Program:
    return program.elsewhere(variables={"PATH": "/nonexistent"})


def locked(path: Path) -> dict[str, Any]:
    """Give the versions of a lock's packages, by place."""
    packages = json.loads(path.read_text())["packages"]
    return {
        place.removeprefix("node_modules/"): row["version"]
        for place, row in packages.items()
        if place
    }


def test_npm_makes_the_lock_of_a_list_of_packages(kit: Program) -> None:
    ran = kit("build")

    assert (ran.status, ran.stdout) == (0, f"{ZIP}\n")
    assert ran.stderr.startswith(
        f"no lock yet: resolving kit for nodejs22.x-x86_64 into {LOCK}\n"
    )
    assert locked(kit.folder / LOCK) == {
        "helper": "2.0.0",
        "web": "2.0.0",
        "web/node_modules/helper": "1.0.0",
    }
    assert set(files_below(kit.folder)) == {
        ".npmrc",
        "layerforge.toml",
        LOCK,
        LEDGER,
        ZIP,
        ZIP.replace(".zip", ".cdx.json"),
        ZIP.replace(".zip", ".json"),
    }


def test_a_package_json_without_a_lock_gets_one_beside_it(
    kit: Program, registry: Registry
) -> None:
    manifest = {"name": "app", "version": "1.0.0", "dependencies": {"helper": "^1.0.0"}}
    kit.write("app/package.json", json.dumps(manifest))
    kit.write("app/.npmrc", f"registry={registry.url}/\n")

    ran = kit("lock", "--package-json", "app/package.json", "--name", "app", *NODE)

    assert (ran.status, ran.stdout) == (0, "app/package-lock.json\n")
    assert locked(kit.folder / "app/package-lock.json") == {"helper": "1.0.0"}
    assert (kit.folder / "app/layerforge-ledger.app-nodejs22-x86_64.toml").is_file()
    assert not (kit.folder / "app/node_modules").exists()


def test_a_build_from_the_lock_gives_the_same_without_npm(
    kit: Program, registry: Registry
) -> None:
    kit("build")
    before = files_below(kit.folder)
    shutil.rmtree(kit.folder / "dist")
    registry.requests.clear()
    other = without_npm(kit).elsewhere(cache=kit.home / "other")

    ran = other("build")

    assert ran.status == 0, ran.stderr
    assert files_below(kit.folder) == before
    assert all("/-/" in request.path for request in registry.requests)


def test_a_lock_that_is_up_to_date_needs_no_npm(kit: Program) -> None:
    kit("lock")
    before = files_below(kit.folder)

    ran = without_npm(kit)("lock")

    assert (ran.status, ran.stdout, ran.stderr) == (
        0,
        f"{LOCK}\n",
        "kit for nodejs22.x-x86_64: 3 packages, 209 bytes (0.0 MiB)\n",
    )
    assert files_below(kit.folder) == before


def test_versions_stay_until_they_are_upgraded(
    kit: Program, registry: Registry
) -> None:
    kit("lock")
    registry.publish("helper", "2.1.0")
    registry.publish("web", "2.1.0")

    kit("lock")
    stayed = locked(kit.folder / LOCK)
    kit("lock", "--upgrade-package", "helper")
    one = locked(kit.folder / LOCK)
    kit("lock", "--upgrade")
    whole = locked(kit.folder / LOCK)

    assert (stayed["helper"], stayed["web"]) == ("2.0.0", "2.0.0")
    assert (one["helper"], one["web"]) == ("2.1.0", "2.0.0")
    assert whole == {"helper": "2.1.0", "web": "2.1.0"}


def test_a_package_that_is_not_locked_can_not_be_upgraded(kit: Program) -> None:
    kit("lock")

    ran = kit("lock", "--upgrade-package", "hepler")

    assert (ran.status, ran.stderr) == (
        3,
        (
            f"error: {LOCK} pins no hepler\n"
            "try: Name packages that the lock has with --upgrade-package.\n"
        ),
    )


def test_a_stale_lock_is_refused_and_the_command_it_names_mends_it(
    kit: Program,
) -> None:
    kit("build")
    before = files_below(kit.folder)
    kit.write("layerforge.toml", PROJECT.replace("web@^2.0.0", "web@2.0.0"))

    refused = kit("build")
    checked = kit("lock", "--check")
    told = refused.stderr.partition("up to date: layerforge ")[2]
    after = files_below(kit.folder)
    mended = kit(*told.split())

    assert (
        refused.stderr
        == checked.stderr
        == (
            "error: the lock does not agree with the packages of kit:\n"
            "  dependencies: web is 2.0.0, in the lock ^2.0.0\n"
            "try: Bring it up to date: layerforge lock kit --runtime nodejs22.x --arch "
            "x86_64\n"
        )
    )
    assert (refused.status, checked.status) == (3, 3)
    assert {**after, "layerforge.toml": b""} == {**before, "layerforge.toml": b""}
    assert (mended.status, kit("build").status) == (0, 0)


def test_check_passes_where_the_lock_is_fresh(kit: Program, registry: Registry) -> None:
    kit("lock")
    registry.requests.clear()

    ran = without_npm(kit)("lock", "--check")

    assert (ran.status, ran.stdout, registry.requests) == (0, f"{LOCK}\n", [])


def test_check_fails_where_there_is_no_lock(kit: Program) -> None:
    ran = kit("lock", "--check")

    assert (ran.status, ran.stderr) == (
        3,
        (
            f"error: there is no lock of kit for nodejs22.x-x86_64 ({LOCK})\n"
            "try: Make it: layerforge lock kit --runtime nodejs22.x --arch x86_64\n"
        ),
    )


def test_json_gives_the_lock(kit: Program) -> None:
    ran = kit("lock", "--json")

    [lock] = ran.document["locks"]
    assert lock["path"] == str(kit.folder / LOCK)
    assert lock["roots"] == ["helper", "web"]
    assert [(pin["name"], pin["location"]) for pin in lock["pins"]] == [
        ("helper", ""),
        ("helper", "node_modules/web/node_modules/helper"),
        ("web", ""),
    ]


def test_plan_says_what_would_be_done(kit: Program) -> None:
    unlocked = kit("plan")
    kit("build")
    kit("cache", "prune", "--max-size", "0")

    locked = kit("plan")

    assert unlocked.stdout.startswith(
        "kit for nodejs22.x-x86_64\n"
        f"  resolve, and write {LOCK}\n"
        "  fetch   what is then pinned and not in the store\n"
        "  strip "
    )
    assert locked.stdout.startswith(
        "kit for nodejs22.x-x86_64\n"
        f"  lock    {LOCK}\n"
        "  fetch   3 of 3 archives\n"
        "          helper        2.0.0    to fetch\n"
        "          web > helper  1.0.0    to fetch\n"
        "          web           2.0.0    to fetch\n"
        "  strip "
    )
    assert locked.stdout.endswith(f"  write   {ZIP}\n  holding 209 bytes (0.0 MiB)\n")
    assert max(map(len, locked.stdout.splitlines())) <= 80


def test_one_project_has_layers_of_both_languages(kit: Program) -> None:
    python = '\n[layers.web]\nrequirements = ["helper"]\nbytecode = false\n'
    kit.write("layerforge.toml", PROJECT + python)

    built = kit("build")
    again = kit("build")

    paths = f"{ZIP}\ndist/web-python3.12-x86_64.zip\n"
    assert (built.status, built.stdout) == (0, paths)
    assert (again.status, again.stdout, again.stderr) == (
        0,
        paths,
        "kit for nodejs22.x-x86_64: unchanged\nweb for python3.12-x86_64: unchanged\n",
    )


def test_a_recipe_has_its_lock_where_it_is_built(
    kit: Program, registry: Registry
) -> None:
    for name in ("pg", "redis"):
        registry.publish(name, "9.0.0")

    ran = kit("build", "pg-redis", *NODE)

    assert (ran.status, ran.stdout) == (0, "dist/pg-redis-nodejs22.x-x86_64.zip\n")
    assert locked(kit.folder / "package-lock.pg-redis.json") == {
        "pg": "9.0.0",
        "redis": "9.0.0",
    }


def test_a_package_that_no_registry_has(kit: Program, registry: Registry) -> None:
    kit.write("layerforge.toml", PROJECT.replace('"helper"', '"hepler"'))
    before = files_below(kit.folder)

    ran = kit("build")

    assert ran.status == 3
    # Between these lines npm speaks, each version its own way.
    assert "error: npm could not resolve:\n" in ran.stderr
    assert f"{registry.url}/hepler" in ran.stderr
    assert ran.stderr.endswith(
        "try: Is the name right? A package of one's own needs its registry in .npmrc "
        "(@scope:registry=https://...), and a token for it.\n"
    )
    assert files_below(kit.folder) == before


def test_a_version_that_no_registry_has(kit: Program) -> None:
    kit.write("layerforge.toml", PROJECT.replace("web@^2.0.0", "web@^7.0.0"))

    ran = kit("build")

    assert ran.status == 3
    assert ran.stderr.partition("error: ")[2] == (
        "npm could not resolve:\n"
        "  No matching version found for web@^7.0.0.\n"
        "try: Ask for a version that the registry has: npm view NAME versions\n"
    )


def test_a_token_is_handed_to_npm(layerforge: Program, tmp_path: Path) -> None:
    with Registry(tmp_path, token=TOKEN) as private:
        private.publish("@own/tool", "1.0.0")
        layerforge.write(
            "layerforge.toml", PROJECT.replace('"helper", "web@^2.0.0"', '"@own/tool"')
        )
        layerforge.write(
            ".npmrc",
            f"@own:registry={private.url}/\n//{private.host}/:_authToken=${{TOKEN}}\n",
        )

        ran = layerforge.elsewhere(variables={"TOKEN": TOKEN})("build")

        asked = {each.headers.get("authorization") for each in private.requests}
    text = (layerforge.folder / LOCK).read_text()
    assert ran.status == 0, ran.stderr
    assert asked == {f"Bearer {TOKEN}"}
    assert TOKEN not in text + ran.stdout + ran.stderr
