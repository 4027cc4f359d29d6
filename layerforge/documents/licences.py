"""The licences that a layer's packages state, read from the zip itself."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from layerforge.documents.metadata import place_of, read_statement


def licences_of(archive: Path) -> tuple[str, ...]:
    """Name the licences of a layer's packages, each once, in order."""
    with zipfile.ZipFile(archive) as layer:
        statements = [
            read_statement(name, layer.read(name))
            for name in layer.namelist()
            if place_of(name) is not None
        ]
    found = {" OR ".join(statement.licences) for statement in statements}
    return tuple(sorted(found - {""}, key=lambda text: (text.casefold(), text)))


def listed(licences: Iterable[str], *, most: int) -> str:
    """List licences in at most so many characters; how many more there are is told."""
    names = list(licences)
    for count in range(len(names), -1, -1):
        left = len(names) - count
        shown = names[:count] + ([f"and {left} more"] if left else [])
        text = ", ".join(shown)
        if len(text) <= most:
            return text
    return ""
