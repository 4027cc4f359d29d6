"""Layers that stand on others: one resolution, and nothing twice."""

from __future__ import annotations

import zipfile

import pytest

from tests.e2e.program import Program
from tests.e2e.test_lock import pins_in
from tests.servers import Index
from tests.wheels import make_wheel

PROJECT = """
[defaults]
runtimes = ["python3.12"]
architectures = ["x86_64"]

[layers.base]
requirements = ["helper"]

[layers.web]
requirements = ["demo"]
provided-by = ["base"]
"""
TARGET = "python3.12-x86_64"
LOCK = "pylock.web-python312-x86_64.toml"


@pytest.fixture
def based(layerforge: Program) -> Program:
    layerforge.write("layerforge.toml", PROJECT)
    return layerforge


def importable(program: Program, layer: str) -> set[str]:
    with zipfile.ZipFile(program.folder / f"dist/{layer}-{TARGET}.zip") as archive:
        parts = {name.split("/")[1].removesuffix(".py") for name in archive.namelist()}
    return {part for part in parts if "-" not in part}


def test_what_the_base_has_is_not_in_the_layer(based: Program) -> None:
    built = based("build")

    assert built.status == 0, built.stderr
    assert importable(based, "base") == {"helper"}
    assert importable(based, "web") == {"demo"}


def test_the_base_is_locked_first_where_it_has_no_lock(based: Program) -> None:
    built = based("build", "web")

    assert built.status == 0, built.stderr
    assert "no lock yet: resolving base for python3.12-x86_64" in built.stderr


def test_the_lock_is_good_by_itself(based: Program) -> None:
    based("lock")

    assert pins_in(based.folder / LOCK) == {"demo": "1.0", "helper": "1.1"}


def test_the_layer_takes_the_version_that_its_base_has(based: Program) -> None:
    based.write("layerforge.toml", PROJECT.replace('"helper"', '"helper<1.1"'))

    locked = based("lock")

    assert locked.status == 0, locked.stderr
    assert pins_in(based.folder / LOCK) == {"demo": "1.0", "helper": "1.0"}


def test_a_build_with_nothing_to_do_does_nothing(based: Program) -> None:
    based("build")

    again = based("build")

    assert again.stderr.splitlines() == [
        "base for python3.12-x86_64: unchanged",
        "web for python3.12-x86_64: unchanged",
    ]


def test_a_version_that_would_differ_is_refused(based: Program, index: Index) -> None:
    make_wheel(index.folder, "demo", "2.0", {"demo.py": b""}, requires=["helper<1.1"])

    built = based("build")

    assert built.status == 3
    assert built.stderr.splitlines()[-3:] == [
        "error: web and base need different versions for python3.12-x86_64:",
        "  helper: web has 1.0 (for demo), base has 1.1 (for its own requirements)",
        (
            "try: Where base has changed since: layerforge lock web. Otherwise have "
            "one of them ask for helper as both can have it, and lock both: "
            "layerforge lock base web"
        ),
    ]
    assert not (based.folder / LOCK).exists()


def test_a_base_that_has_moved_on_makes_the_lock_stale(
    based: Program, index: Index
) -> None:
    based("build")
    make_wheel(index.folder, "helper", "1.2", {"helper.py": b"ANSWER = 43\n"})
    based("lock", "base", "--upgrade")

    stale = based("build", "web")
    locked = based("lock", "web")

    assert stale.status == 3
    assert "web has 1.1 (for demo), base has 1.2" in stale.stderr
    assert locked.status == 0
    assert based("build", "web").status == 0


def test_a_layer_of_which_its_base_has_all_is_refused(based: Program) -> None:
    based.write("layerforge.toml", PROJECT.replace('["demo"]', '["helper"]'))

    built = based("build", "web")
    checked = based("check", "web")

    assert (built.status, checked.status) == (5, 5)
    assert built.stderr.splitlines()[-2:] == [
        "error: web for python3.12-x86_64: nothing is in it: base has all of it",
        "try: Take base instead, or ask for more.",
    ]
    assert checked.stdout.splitlines()[-6:] == [
        "",
        "error[empty]: web for python3.12-x86_64",
        "  nothing is in it: base has all of it",
        "  try: Take base instead, or ask for more.",
        "",
        "1 error",
    ]


def test_a_base_that_is_left_has_its_packages_taken_in(based: Program) -> None:
    based("build")
    based.write("layerforge.toml", PROJECT.replace('provided-by = ["base"]', ""))

    built = based("build", "web")

    assert built.status == 0, built.stderr
    assert importable(based, "web") == {"demo", "helper"}


def test_a_base_that_is_not_beside_is_named_before_imports_fail(
    based: Program,
) -> None:
    assert based("build").status == 0
    (based.folder / f"dist/base-{TARGET}.zip").unlink()

    for how in ("--local", "--static"):
        ran = based("verify", f"dist/web-{TARGET}.zip", how)

        assert (
            f"warning: dist/web-{TARGET}.zip stands on base-{TARGET}.zip, which is "
            "not beside it\n"
        ) in ran.stderr


def test_fresh_locks_pass_the_check(based: Program) -> None:
    based("lock")

    assert based("lock", "--check").status == 0
