"""layerforge recipes."""

from __future__ import annotations

from typing import Any

import click

from layerforge.cli.options import console_of, console_options
from layerforge.recipes import find_recipe, recipe_names
from layerforge.reports.recipes import recipes_text


@click.command("recipes", epilog="Try: layerforge recipes --json")
@console_options
def command(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """List the ready-made layers that build knows by name."""
    console = console_of(options)
    recipes = [recipe for name in recipe_names() if (recipe := find_recipe(name))]
    documents = [
        {
            "name": recipe.name,
            "description": recipe.description,
            "requirements": recipe.requirements.lines,
        }
        for recipe in recipes
    ]
    text = recipes_text(recipes)
    console.result(text, {"format": 1, "recipes": documents})
