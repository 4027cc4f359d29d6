"""Commits of repositories made into tarballs: by npm, in the build container, once.

npm clones, and has the package's own ``prepare`` script run, as it would on a machine;
only that here it is nobody's machine.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path, PurePosixPath
from typing import Final

from layerforge.containers.image import Image
from layerforge.containers.settings import SystemPackages
from layerforge.containers.task import EngineError, ImageError, Task
from layerforge.ecosystems.node.npm import npm_secrets
from layerforge.ecosystems.node.npmrc import NpmSettings
from layerforge.ecosystems.node.packagelock import Package
from layerforge.ecosystems.node.tarballs import admit_tarball
from layerforge.ecosystems.node.toolchain import NODE, have_build_image
from layerforge.pack import Pack, load_pack
from layerforge.target import Target
from layerforge.tools import Tools

_PACK: Final = f"""
export PATH="{PurePosixPath(NODE).parent}:$PATH"
cd "$HOME" && npm pack "$1" --pack-destination /work/out
"""


def pack_commit(
    package: Package,
    target: Target,
    packages: SystemPackages,
    settings: NpmSettings,
    tools: Tools,
) -> Pack:
    """Have a commit's tarball in the store, and give its pack.

    Raises `EngineError` where no container can be had, `TaskError` where npm fails.
    """
    store = tools.store
    key = hashlib.sha256(json.dumps([package.resolved, _PACK]).encode()).hexdigest()
    digest = store.compiled(key)
    pack = load_pack(store, digest) if digest else None
    if pack:
        return pack
    with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
        task = _task(package, _image(package, target, packages, tools), settings)
        (tarball,) = tools.containers.run(task, Path(name)).files
        digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
        pack = admit_tarball(
            store.adopt(tarball, digest),
            name=package.name,
            version=package.version,
            digest=digest,
            store=store,
        )
    store.remember_compiled(key, digest)
    return pack


def _task(package: Package, image: Image, settings: NpmSettings) -> Task:
    return Task(
        name=str(package),
        doing="packing",
        done="packed",
        image=image.id,
        arch=image.arch,
        command=("sh", "-euc", _PACK, "npm", package.resolved),
        secrets=npm_secrets(settings),
        network=True,
        output="/work/out",
    )


def _image(
    package: Package, target: Target, packages: SystemPackages, tools: Tools
) -> Image:
    try:
        return have_build_image(target, packages, tools)
    except (EngineError, ImageError) as error:
        raise type(error)(
            f"{package} is a commit ({package.resolved}), which npm packs in a "
            f"container, and {error.message}",
            remedy=f"{error.remedy} Or take a release of it from a registry.".lstrip(),
        ) from error
