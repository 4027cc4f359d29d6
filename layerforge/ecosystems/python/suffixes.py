"""The names by which the target's interpreter knows extension modules."""

from __future__ import annotations

from typing import Final

from layerforge.target import Target

_FREE_THREADED_ABI: Final = (3, 15)  # from here on .abi3t.so is taken as well (PEP 803)


def extension_suffixes(target: Target) -> tuple[str, ...]:
    """Give the suffixes of extension modules, as the target's interpreter has them."""
    version = target.runtime.version_info
    number = "".join(map(str, version))
    own = f".cpython-{number}-{target.arch.machine}-linux-gnu.so"
    threaded = (".abi3t.so",) if version >= _FREE_THREADED_ABI else ()
    return (own, ".abi3.so", *threaded, ".so")
