"""The recipes that ship, and how a recipe's file is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from layerforge.errors import ConfigError
from layerforge.recipes import (
    find_recipe,
    read_recipe,
    recipe_names,
    recipes_folder,
)
from layerforge.spec import LayerSpec, Requirements
from layerforge.strip import Profile, Stripping, StripRule, all_rules, strip
from layerforge.tree import FileEntry

PROMISED = (
    *("cryptography", "lxml", "matplotlib", "numpy", "opencv-headless", "pandas"),
    *("pillow", "powertools", "psycopg", "pyarrow", "pydantic", "requests"),
    *("scikit-learn", "scipy", "sqlalchemy"),
    *("aws-sdk-clients", "esbuild", "express", "mongodb", "pg-redis", "prisma"),
    *("puppeteer-core", "sharp"),
)


def the_recipe(name: str) -> LayerSpec:
    return read_recipe(recipes_folder() / f"{name}.toml")


RULES = {
    f"{name}/{rule.id}": rule
    for name in recipe_names()
    for rule in the_recipe(name).rules
}


def dropped(rule: StripRule, path: str) -> bool:
    entry = FileEntry(path=f"python/{path}", origin="demo", link="x")
    return not strip([entry], Stripping(root="python/", rules=(rule,))).entries


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "demo.toml"


def test_every_promised_recipe_is_there() -> None:
    assert set(PROMISED) <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_says_what_it_is_and_how_it_is_proven(name: str) -> None:
    recipe = the_recipe(name)

    assert recipe.name == name
    assert recipe.description
    assert recipe.requirements.lines
    assert len(recipe.imports) > 1
    assert len(set(recipe.imports)) == len(recipe.imports)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_leaves_the_versions_to_the_lock(name: str) -> None:
    asked = the_recipe(name).requirements
    allowed = {"python": r"[^<>=!~]+(>=[\w.]+)?", "node": r"@?[^@]+(@\^[\d.]+)?"}

    form = allowed[asked.language]

    assert [line for line in asked.lines if not re.fullmatch(form, line)] == []


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_a_recipes_rule_drops_its_examples_and_keeps_its_counterexamples(
    rule: StripRule,
) -> None:
    assert rule.why
    assert rule.examples
    assert rule.counterexamples
    assert [path for path in rule.examples if not dropped(rule, path)] == []
    assert [path for path in rule.counterexamples if dropped(rule, path)] == []


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_a_recipes_rule_cannot_be_taken_for_one_that_always_holds(
    rule: StripRule,
) -> None:
    assert rule.id not in {known.id for known in all_rules()}


def test_an_unknown_name_finds_nothing() -> None:
    assert find_recipe("no-such-recipe") is None


def test_a_name_cannot_lead_out_of_the_recipes_folder() -> None:
    assert find_recipe("../pyproject") is None


def test_a_recipe_is_read_with_its_rules(written: Path) -> None:
    written.write_text(
        'description = "Demo"\n'
        'requirements = ["demo>=2"]\n'
        'imports = ["demo", "demo._native"]\n'
        "exclude-runtime-sdk = true\n"
        "[strip.gallery]\n"
        'profile = "slim"\n'
        'why = "Pictures."\n'
        'drop = ["demo/gallery"]\n'
        'keep = ["demo/gallery/index"]\n'
        'examples = ["demo/gallery/a.png"]\n'
        'counterexamples = ["demo/gallery.py"]\n'
    )

    assert read_recipe(written) == LayerSpec(
        name="demo",
        description="Demo",
        requirements=Requirements(lines=("demo>=2",)),
        exclude_runtime_sdk=True,
        imports=("demo", "demo._native"),
        rules=(
            StripRule(
                id="gallery",
                why="Pictures.",
                drop=("demo/gallery",),
                keep=("demo/gallery/index",),
                profile=Profile.SLIM,
                examples=("demo/gallery/a.png",),
                counterexamples=("demo/gallery.py",),
            ),
        ),
    )


def test_all_mistakes_of_a_recipe_are_told_at_once(written: Path) -> None:
    written.write_text(
        'imports = "demo"\nrequires = ["demo"]\n[strip.gallery]\nprofile = "thin"\n'
    )

    with pytest.raises(ConfigError) as caught:
        read_recipe(written)

    assert caught.value.message == (
        f"{written}:\n"
        '  imports: found "demo", expected a list\n'
        '  strip.gallery.profile: found "thin", expected "none" or "safe" or "slim"\n'
        "  requires: unknown; did you mean requirements?"
    )
