"""Lambda's limits on layers, in bytes, and what is said of what exceeds them.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html gives them in
megabytes; the service's own messages name the bytes.
"""

from __future__ import annotations

from typing import Final

UNZIPPED_LIMIT: Final = 262_144_000
"""What Lambda calls 250 MB: a layer, or a function with its layers, must be smaller."""

MAX_UNZIPPED: Final = UNZIPPED_LIMIT - 1

MOST_LAYERS: Final = 5
"""Layers that a function may hold."""

DIRECT_UPLOAD_LIMIT: Final = 52_428_800
"""A zip of this many bytes or more can only be published by way of S3."""

ZIP64_ENTRIES: Final = 65_535
"""A zip of this many entries or more needs the zip64 format."""


def shown(size: int) -> str:
    """Write bytes so that they can be compared, in MiB too where there is one."""
    mebibytes = f" ({size / (1 << 20):.1f} MiB)" if size >= 1 << 20 else ""
    return f"{size:,} byte{'' if size == 1 else 's'}{mebibytes}"


def excess(size: int, most: int) -> str:
    """Say how many of a layer's bytes are too many: for Lambda, or for its user."""
    if size > MAX_UNZIPPED:
        return (
            f'{size - MAX_UNZIPPED:,} too many: Lambda\'s "250 MB" are '
            f"{UNZIPPED_LIMIT:,} bytes, and a layer must be smaller"
        )
    return f"{size - most:,} more than max-unzipped allows: {most:,}"
