"""Paths as people want to read them."""

from __future__ import annotations

import re
from pathlib import Path

from layerforge.reports.columns import clipped


def shown_path(path: Path) -> str:
    """Write a path from where the user stands, if it is below there."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else path)


def shown_place(name: str, location: str, width: int = 0) -> str:
    """Name a package so that it is told from others: "a > b" is the b inside of a.

    What is wider than ``width`` is cut where it matters least: at the end of a name,
    and at the beginning of a place.
    """
    place = location.removeprefix("node_modules/")
    text = place.replace("/node_modules/", " > ") or name
    if place and 0 < width < len(text):
        return "…" + text[1 - width :]
    return clipped(text, width) if width else text


def with_shown_paths(text: str) -> str:
    """Write every path in a sentence from where the user stands, if it is below."""
    here = Path.cwd()
    if here == Path(here.anchor):
        return text
    # Only where a word begins: an address such as file:///... stays whole.
    return re.sub(rf"(?<![^\s('\"]){re.escape(str(here))}/", "", text)
