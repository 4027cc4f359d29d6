"""The one compressor for bytes that are deflated anew.

Deflate is not canonical: two libraries, or two releases of one, give different bytes
for the same input. So it is always libdeflate, at one level, and `COMPRESSOR` stands
in the key of everything that it made.
"""

from __future__ import annotations

from typing import Final

import deflate

from layerforge.tree import DEFLATED, STORED

LEVEL: Final = 6  # level 12 takes 14 times as long to save 4 %
COMPRESSOR: Final = f"deflate-{deflate.__version__}-{LEVEL}"


def compress(data: bytes | bytearray) -> tuple[int, bytes | bytearray]:
    """Give a zip method and bytes: deflated where that is smaller, else as they are."""
    deflated = deflate.deflate_compress(data, LEVEL)
    return (DEFLATED, deflated) if len(deflated) < len(data) else (STORED, data)
