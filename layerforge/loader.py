"""What a system's loader says of a library that it can't load, and what helps."""

from __future__ import annotations

import re
from typing import Final

from layerforge.target import Target

# In the words of glibc's ld.so, whatever language passes them on.
_REMEDIES: Final[dict[str, str]] = {
    # What is there, and has another machine's code, is "not there" to the loader.
    r"/\S+: cannot open shared object file: No such file": (
        "It is for another machine, or not there: build the layer for {target}."
    ),
    r"(\S+): cannot open shared object file: No such file": (
        "Add a package that brings {0}, or put it into the layer's lib/ with include."
    ),
    r"invalid ELF header|wrong ELF class|file too short|Exec format error": (
        "A library is damaged or for another machine: build the layer for {target}."
    ),
    r"version [`'](GLIBC_[\d.]+)' not found": (
        "{target} has GLIBC_{glibc}: take a version of the package with a wheel for "
        "that, or have it compiled (layerforge build --container)."
    ),
    r"version [`'](?:GLIBCXX|CXXABI)_[\w.]+' not found": (
        "The libstdc++ of {target} is older: take another version of the package, or "
        "have it compiled (layerforge build --container)."
    ),
    r"undefined symbol: \S+": (
        "Libraries of the layer do not fit each other, or not this version of the "
        "language: build it anew for {target}."
    ),
    r"in static TLS block": (
        "The loader has no room left for it: import it before other modules."
    ),
    r"Permission denied": (
        "In a layer, files need mode 644, folders and executables 755."
    ),
    r"signal: killed": (
        "It may have had too little memory: [containers] memory of layerforge.toml."
    ),
    r"signal: |exit status": (
        "Its own code ended the process: take another version of its package."
    ),
}


def remedy_for(said: str, target: Target) -> str:
    """Say what helps where loading failed with these words; '' where nobody knows."""
    glibc = ".".join(map(str, target.runtime.glibc))
    for pattern, remedy in _REMEDIES.items():
        if match := re.search(pattern, said):
            return remedy.format(*match.groups(), target=target, glibc=glibc)
    return ""
