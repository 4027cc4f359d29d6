"""layerforge recipes."""

from __future__ import annotations

from typing import Any

import click

from layerforge.cli.options import console_of, console_options
from layerforge.recipes import find_recipe, recipe_names
from layerforge.reports.columns import columns


@click.command("recipes", epilog="Try: layerforge build scipy --runtime python3.13")
@console_options
def command(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """List the ready-made layers that build knows by name."""
    console = console_of(options)
    recipes = [recipe for name in recipe_names() if (recipe := find_recipe(name))]
    rows = [(recipe.layer.name, recipe.layer.description) for recipe in recipes]
    documents = [
        {
            "name": recipe.layer.name,
            "description": recipe.layer.description,
            "requirements": recipe.layer.requirements.lines,
        }
        for recipe in recipes
    ]
    console.result("\n".join(columns(rows)), {"format": 1, "recipes": documents})
