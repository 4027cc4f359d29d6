"""Paths as people want to read them."""

from __future__ import annotations

import re
from pathlib import Path


def shown_path(path: Path) -> str:
    """Write a path from where the user stands, if it is below there."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else path)


def shown_place(name: str, location: str) -> str:
    """Name a package so that it is told from others: "a > b" is the b inside of a."""
    place = location.removeprefix("node_modules/")
    return place.replace("/node_modules/", " > ") or name


def with_shown_paths(text: str) -> str:
    """Write every path in a sentence from where the user stands, if it is below."""
    here = Path.cwd()
    if here == Path(here.anchor):
        return text
    # Only where a word begins: an address such as file:///... stays whole.
    return re.sub(rf"(?<![^\s('\"]){re.escape(str(here))}/", "", text)
