"""The build image of a Node.js runtime: its base, compilers, and what node-gyp calls.

The runtime's own image brings npm, and node-gyp with it; the rest are packages of its
system. So nothing has to be fetched from here, and no registry is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from layerforge.containers.image import Image
from layerforge.containers.settings import SystemPackages
from layerforge.target import Target
from layerforge.tools import Tools

NODE: Final = "/layerforge/tools/bin/node"

# Of node-gyp's requirements, what not every build image has.
_PYTHON: Final = "python3"


def have_build_image(target: Target, packages: SystemPackages, tools: Tools) -> Image:
    """Have the image that a target's packages are built in, made where it isn't.

    Raises `EngineError` and `ImageError`.
    """
    needed = SystemPackages(dnf=(_PYTHON, *packages.dnf), apt=(_PYTHON, *packages.apt))
    return tools.containers.build_image(target, _no_files, needed)


def _no_files() -> Sequence[Path]:
    return ()
