"""What a package's bytes must hash to, as its lock says it.

Subresource Integrity (https://www.w3.org/TR/sri-2/): algorithm-base64, perhaps several.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from layerforge.ecosystems.node.packagelock import Package
from layerforge.errors import LockError

# The strongest that is there is the one that counts.
_SIZES: Final = {"sha512": 64, "sha384": 48, "sha256": 32, "sha1": 20}
_ENTRY: Final = re.compile(r"(sha512|sha384|sha256|sha1)-([A-Za-z0-9+/]+={0,2})(\?.*)?")


def digest_of(package: Package) -> str:
    """Give the strongest digest that a lock has for a tarball, in hexadecimal.

    Raises `LockError` where it has none that could be checked.
    """
    found = dict(_digests(package.integrity))
    for algorithm in _SIZES:
        if algorithm in found:
            return found[algorithm].hex()
    told = f"is {package.integrity!r}" if package.integrity else "is missing"
    raise LockError(
        f"the lock can't say what {package} ({package.path}) is: its integrity {told}",
        remedy="Have npm put it in: remove the package's entry from the lock and run "
        "npm install --package-lock-only --ignore-scripts",
    )


def _digests(integrity: str) -> Iterator[tuple[str, bytes]]:
    """Give each well-formed entry: its algorithm, and the digest."""
    for match in filter(None, map(_ENTRY.fullmatch, integrity.split())):
        with suppress(binascii.Error):
            digest = base64.b64decode(match[2], validate=True)
            if len(digest) == _SIZES[match[1]]:
                yield match[1], digest


def is_weak(digest: str) -> bool:
    """Say whether a digest is one that files can be forged for."""
    return len(digest) == _SIZES["sha1"] * 2
