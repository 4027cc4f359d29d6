"""The commands that only tell something: runtimes, recipes, cache; and init."""

from __future__ import annotations

import tomllib

import pytest

from layerforge.recipes import recipe_names
from layerforge.target import load_runtimes
from tests.e2e.program import TARGET, Program

TABLES = ("runtimes", "recipes")
WIDTH = 80


@pytest.mark.parametrize("command", TABLES)
def test_no_line_is_wider_than_a_terminal(layerforge: Program, command: str) -> None:
    ran = layerforge(command)

    assert ran.status == 0
    assert max(map(len, ran.stdout.splitlines())) <= WIDTH


def test_runtimes_lists_each_with_its_system(layerforge: Program) -> None:
    ran = layerforge("runtimes")

    head, *rows = ran.stdout.splitlines()
    assert head.split()[:4] == ["runtime", "system", "glibc", "state"]
    assert [row.split()[0] for row in rows] == list(load_runtimes())


def test_runtimes_as_json(layerforge: Program) -> None:
    ran = layerforge("runtimes", "--json")

    rows = {row["id"]: row for row in ran.document["runtimes"]}
    assert list(rows) == list(load_runtimes())
    assert (rows["python3.12"]["os"], rows["python3.12"]["glibc"]) == ("AL2023", "2.34")


def test_recipes_names_each(layerforge: Program) -> None:
    ran = layerforge("recipes", "--json")

    recipes = ran.document["recipes"]
    assert [recipe["name"] for recipe in recipes] == list(recipe_names())
    assert all(recipe["description"] and recipe["requirements"] for recipe in recipes)


def test_cache_info_counts_what_a_build_left(web: Program) -> None:
    empty = web("cache", "info", "--json").document
    web("build", "-r", "requirements.in", "--name", "web", *TARGET)

    full = web("cache", "info", "--json").document

    assert (empty["path"], empty["parts"]) == (str(web.cache), {})
    assert full["parts"]["artifacts"] == {
        "files": 2,
        "size": sum(
            (web.index.folder / f"{stem}-py3-none-any.whl").stat().st_size
            for stem in ("demo-1.0", "helper-1.1")
        ),
    }


def test_cache_prune_says_what_it_deleted(web: Program) -> None:
    ran = web("cache", "prune", "--max-size", "2GB")

    assert (ran.status, ran.stdout) == (0, "0 files, 0 bytes deleted\n")


def test_init_takes_up_the_requirements_that_are_there(web: Program) -> None:
    web("init")

    text = (web.folder / "layerforge.toml").read_text()
    assert tomllib.loads(text)["layers"] == {
        "work": {"requirements": "requirements.in"},
    }


def test_help_without_a_command(layerforge: Program) -> None:
    ran = layerforge("--help")

    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.startswith("Usage: layerforge [OPTIONS] COMMAND [ARGS]...\n")
