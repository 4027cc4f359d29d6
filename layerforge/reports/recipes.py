"""The ready-made layers, in at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from layerforge.spec import LayerSpec

_WIDTH: Final = 80
_GAP: Final = 2


def recipes_text(layers: Sequence[LayerSpec]) -> str:
    """List names, and what each layer is for."""
    width = max((len(layer.name) for layer in layers), default=0) + _GAP
    lines = (
        textwrap.wrap(
            layer.description,
            _WIDTH,
            initial_indent=layer.name.ljust(width),
            subsequent_indent=" " * width,
        )
        or [layer.name]
        for layer in layers
    )
    return "\n".join(line for wrapped in lines for line in wrapped)
