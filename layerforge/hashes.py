"""Hashes of archives: known by their digests alone, in hexadecimal.

Wheels have SHA-256; npm's packages SHA-512, or SHA-1 where a lock is old.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hashlib import _Hash  # only type checkers know it

# By the length of a digest: no two of these algorithms share one.
_ALGORITHMS: Final = {40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}


def algorithm_of(digest: str) -> str:
    """Name the algorithm that a digest is of, as hashlib does."""
    return _ALGORITHMS[len(digest)]


def hasher_for(digest: str) -> _Hash:
    """Give an empty hash of a digest's algorithm."""
    return hashlib.new(algorithm_of(digest), usedforsecurity=False)


def labelled(digest: str) -> str:
    """Give a digest with its algorithm: ``sha256:…``, as PEP 751 and OCI write it."""
    return f"{algorithm_of(digest)}:{digest}"


def title_of(digest: str) -> str:
    """Name the algorithm for people: ``SHA-256``."""
    return algorithm_of(digest).replace("sha", "SHA-")
