"""What an engine's image is, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from layerforge.target import Arch


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that the engine has: what it is called, and what is in it.

    ``id`` is its digest (sha256:…). ``interpreter`` is the full version of what runs
    the target's code in it, Python or Node.js; ``glibc`` that of its C library.
    """

    id: str
    name: str
    arch: Arch
    glibc: tuple[int, int]
    interpreter: str = ""
