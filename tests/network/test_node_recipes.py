"""Every Node.js recipe, built for both architectures from the registry, and loaded.

Packages are loaded by a Node.js of the target's version: one of this machine, or the
registry's own.
"""

from __future__ import annotations

import platform
import shutil
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from layerforge.archives.zips import index_zip
from layerforge.findings import Severity
from layerforge.jobs import Selection, select_jobs
from layerforge.limits import UNZIPPED_LIMIT
from layerforge.manifest import BuildReport
from layerforge.pipeline import build_layer
from layerforge.plan import Job
from layerforge.probe import probe_zip
from layerforge.recipes import find_recipe, recipe_names
from layerforge.spec import LayerSpec, Project
from layerforge.store import Store
from layerforge.strip import Profile
from layerforge.tools import Tools
from layerforge.tree import Tree

pytestmark = [
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm makes their locks"),
    # One process builds them all, so that they share a store.
    pytest.mark.xdist_group("recipes"),
]

RUNTIME: Final = "nodejs22.x"
ARCHITECTURES: Final = ("x86_64", "arm64")
MACHINES: Final = {"x86_64": 62, "arm64": 183}
HERE: Final = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())


def the_recipe(name: str) -> LayerSpec:
    recipe = find_recipe(name)
    assert recipe
    return recipe


RECIPES: Final = tuple(
    name for name in recipe_names() if the_recipe(name).requirements.language == "node"
)

Built = tuple[Job, BuildReport]
Builder = Callable[..., Built]


@pytest.fixture(scope="module")
def tools() -> Iterator[Tools]:
    with TemporaryDirectory() as name:
        yield Tools(store=Store(Path(name) / "store"))


@pytest.fixture(scope="module")
def build(tools: Tools) -> Builder:
    """Build a recipe once for each architecture and profile, all from one store."""
    folder = tools.store.root.parent

    @cache
    def build(name: str, arch: str, profile: Profile = Profile.SAFE) -> Built:
        [job] = select_jobs(
            Selection(
                folder=folder,
                names=(name,),
                runtimes=(RUNTIME,),
                architectures=(arch,),
                output_folder=folder / profile,
                strip=profile,
            ),
            Project(folder=folder),
        )
        return job, build_layer(job, tools)

    return build


@pytest.mark.skipif(sys.platform != "linux", reason="loads libraries for Linux")
@pytest.mark.parametrize("profile", [Profile.SAFE, Profile.SLIM])
@pytest.mark.parametrize("name", RECIPES)
def test_a_layer_for_this_machine_loads_all_that_its_recipe_promises(
    name: str, profile: Profile, build: Builder, tools: Tools
) -> None:
    job, _ = build(name, HERE, profile)
    entries = index_zip(job.output, layer=True)
    tree = Tree(tuple(sorted(entries, key=lambda entry: entry.path)))

    report = probe_zip(
        job.output, tree, job.target, tools, imports=job.spec.imports, local=True
    )

    assert [(row.module, row.error) for row in report.failed] == []
    loaded = {row.module for row in report.modules if row.ok}
    assert loaded >= {*the_recipe(name).imports}


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", RECIPES)
def test_a_layer_has_nothing_that_its_target_would_refuse(
    name: str, arch: str, build: Builder
) -> None:
    _, report = build(name, arch)

    serious = [f for f in report.findings if f.severity is not Severity.NOTE]

    assert [f for f in serious if f.check != "esm"] == []
    assert report.unzipped < UNZIPPED_LIMIT


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", RECIPES)
def test_a_layers_zip_is_whole_and_its_libraries_are_for_its_machine(
    name: str, arch: str, build: Builder
) -> None:
    job, report = build(name, arch)
    unzipped = 0
    machines: set[int] = set()

    with zipfile.ZipFile(job.output) as archive:
        for member in archive.infolist():
            content = archive.read(member)  # raises where its crc32 doesn't hold
            unzipped += len(content)
            if content.startswith(b"\x7fELF"):
                machines.update(struct.unpack_from("<H", content, 18))

    assert unzipped == report.unzipped
    assert machines <= {MACHINES[arch]}
