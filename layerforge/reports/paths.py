"""Paths as people want to read them."""

from __future__ import annotations

from pathlib import Path


def shown_path(path: Path) -> str:
    """Write a path from where the user stands, if it is below there."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else path)
