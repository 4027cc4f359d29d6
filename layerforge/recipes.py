"""Ready-made layers: recipes/NAME.toml, for packages that many functions share."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from layerforge.fields import Fields, Problems, a_flag, a_list_of, a_text, one_of
from layerforge.project import MODULE, read_packages, read_system_packages
from layerforge.spec import LayerSpec, Requirements
from layerforge.strip import Profile, StripRule

_NAME: Final = "[a-z0-9-]+"


def recipes_folder() -> Path:
    """Say where the recipes are: in the installed package, or in its checkout."""
    package = Path(__file__).parent
    installed = package / "data" / "recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def recipe_names() -> tuple[str, ...]:
    """Name every recipe there is."""
    return tuple(sorted(file.stem for file in recipes_folder().glob("*.toml")))


def find_recipe(name: str) -> LayerSpec | None:
    """Read a recipe by its name, if there is one."""
    return (
        read_recipe(recipes_folder() / f"{name}.toml")
        if name in recipe_names()
        else None
    )


def read_recipe(file: Path) -> LayerSpec:
    """Read a recipe's file; raises `ConfigError` with every mistake in it."""
    problems = Problems()
    document: Mapping[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    fields = Fields(document, "", problems)
    recipe = LayerSpec(
        name=file.stem,
        description=fields.get("description", a_text(most=256), ""),
        requirements=_read_requirements(fields),
        exclude_runtime_sdk=fields.get("exclude-runtime-sdk", a_flag, False),
        system_packages=read_system_packages(fields),
        imports=fields.get("imports", a_list_of(a_text(form=MODULE)), ()),
        rules=tuple(
            _read_rule(name, rule) for name, rule in fields.tables("strip", _NAME)
        ),
    )
    fields.finish()
    problems.refuse(f"{file}:")
    return recipe


def _read_requirements(fields: Fields) -> Requirements:
    if fields.has("packages"):
        return read_packages(fields, Path())
    texts: Callable[[object], tuple[str, ...]] = a_list_of(a_text())
    return Requirements(lines=fields.get("requirements", texts, ()))


def _read_rule(name: str, fields: Fields) -> StripRule:
    texts: Callable[[object], tuple[str, ...]] = a_list_of(a_text())
    rule = StripRule(
        id=name,
        why=fields.get("why", a_text(), ""),
        drop=fields.get("drop", texts, ()),
        keep=fields.get("keep", texts, ()),
        profile=fields.get("profile", one_of(Profile), Profile.SAFE),
        examples=fields.get("examples", texts, ()),
        counterexamples=fields.get("counterexamples", texts, ()),
    )
    fields.finish()
    return rule
