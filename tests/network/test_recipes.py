"""Every Python recipe, built for four targets from the package index, and imported.

A layer's modules are imported by an interpreter of the target's Python on this
machine's own architecture; where there is none, that is skipped. The other
architecture's libraries can only be looked at.
"""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from layerforge.findings import Severity
from layerforge.jobs import Selection, select_jobs
from layerforge.limits import UNZIPPED_LIMIT
from layerforge.manifest import BuildReport
from layerforge.pipeline import build_layer
from layerforge.plan import Job
from layerforge.recipes import find_recipe, recipe_names
from layerforge.spec import LayerSpec, Project, Requirements
from layerforge.store import Store
from layerforge.strip import Profile
from layerforge.tools import Tools

pytestmark = [
    pytest.mark.network,
    pytest.mark.slow,
    # One process builds them all, so that they share a store.
    pytest.mark.xdist_group("recipes"),
]

RUNTIMES: Final = ("python3.12", "python3.13")
ARCHITECTURES: Final = ("x86_64", "arm64")
RECIPES: Final = tuple(
    name
    for name in recipe_names()
    if (recipe := find_recipe(name)) and recipe.requirements.language == "python"
)
# By ELF's e_machine: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
MACHINES: Final = {"x86_64": 62, "arm64": 183}
HERE: Final = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())

Built = tuple[Job, BuildReport]
Builder = Callable[..., Built]


# Gigabytes: unlike tmp_path, neither folder is there when the tests are over.


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Give a folder for everything, and take this machine's own indexes away."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as name:
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        patch.delenv("PIP_FIND_LINKS", raising=False)
        yield Path(name)


@pytest.fixture
def opt() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def build(folder: Path) -> Builder:
    """Build a recipe once for each target and profile, all from one store."""
    tools = Tools(store=Store(folder / "store"))

    @cache
    def build(
        name: str, runtime: str, arch: str, profile: Profile = Profile.SAFE
    ) -> Built:
        [job] = select_jobs(
            Selection(
                folder=folder,
                names=(name,),
                runtimes=(runtime,),
                architectures=(arch,),
                output_folder=folder / profile,
                strip=profile,
            ),
            Project(folder=folder),
        )
        return job, build_layer(job, tools)

    return build


@pytest.fixture(scope="module")
def sdk(folder: Path, build: Builder) -> Callable[[str], Path]:
    """Give a stand-in for the boto3 that a runtime brings."""
    tools = Tools(store=Store(folder / "store"))

    @cache
    def unzipped(runtime: str) -> Path:
        job, _ = build("requests", runtime, HERE)
        spec = LayerSpec(name="sdk", requirements=Requirements(lines=("boto3",)))
        output, lock = folder / f"sdk-{runtime}.zip", folder / f"pylock.{runtime}.toml"
        build_layer(replace(job, spec=spec, output=output, lock_file=lock), tools)
        return unzip(output, folder / f"sdk-{runtime}") / "python"

    return unzipped


def unzip(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as layer:
        layer.extractall(folder)
    return folder


@cache
def interpreter(runtime: str) -> str:
    """Find a Python of the runtime's version that starts, or skip the test."""
    version = runtime.removeprefix("python")
    pyenv = Path.home() / ".pyenv/versions"
    candidates = [
        sys.executable,
        shutil.which(runtime) or "",
        *map(str, sorted(pyenv.glob(f"{version}.*/bin/python"))),
    ]
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    for python in filter(None, candidates):
        answer = subprocess.run(
            [python, "-I", "-c", question],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.stdout.strip() == version:
            return python
    pytest.skip(f"no interpreter of {runtime} on this machine")


def import_all(python: str, modules: Sequence[str], paths: Sequence[Path]) -> str:
    """Import modules from ``paths`` and the standard library alone; give the errors."""
    code = "\n".join(
        [
            "import importlib, sys",
            f"sys.path[:0] = {[str(path) for path in paths]}",
            f"for module in {list(modules)}:",
            "    importlib.import_module(module)",
        ]
    )
    imported = subprocess.run(
        [python, "-I", "-S", "-B", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": os.devnull, "PATH": os.defpath},
    )
    return imported.stderr if imported.returncode else ""


@pytest.mark.skipif(sys.platform != "linux", reason="imports libraries for Linux")
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", RECIPES)
def test_a_layer_for_this_machine_imports_all_that_its_recipe_promises(
    name: str,
    runtime: str,
    build: Builder,
    sdk: Callable[[str], Path],
    opt: Path,
) -> None:
    python = interpreter(runtime)
    recipe = find_recipe(name)
    assert recipe
    job, _ = build(name, runtime, HERE)
    paths = [unzip(job.output, opt) / "python"]
    if recipe.exclude_runtime_sdk:
        paths.append(sdk(runtime))

    assert import_all(python, recipe.imports, paths) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="imports libraries for Linux")
@pytest.mark.parametrize(
    "name",
    [name for name in RECIPES if (recipe := find_recipe(name)) and recipe.rules],
)
def test_a_slim_layer_imports_all_that_its_recipe_promises(
    name: str, build: Builder, opt: Path
) -> None:
    python = interpreter(RUNTIMES[0])
    recipe = find_recipe(name)
    assert recipe
    job, report = build(name, RUNTIMES[0], HERE, Profile.SLIM)
    layer = unzip(job.output, opt) / "python"

    removed = {removal.rule for removal in report.removals}

    assert removed >= {rule.id for rule in recipe.rules}
    assert import_all(python, recipe.imports, [layer]) == ""


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", RECIPES)
def test_a_layer_has_nothing_that_its_target_would_refuse(
    name: str, runtime: str, arch: str, build: Builder
) -> None:
    _, report = build(name, runtime, arch)

    serious = [f for f in report.findings if f.severity is not Severity.NOTE]

    assert serious == []
    assert report.unzipped < UNZIPPED_LIMIT


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", RECIPES)
def test_a_layers_zip_is_whole_and_its_libraries_are_for_its_machine(
    name: str, runtime: str, arch: str, build: Builder
) -> None:
    job, report = build(name, runtime, arch)
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


def test_another_store_gives_the_same_bytes(build: Builder, tmp_path: Path) -> None:
    job, report = build("cryptography", RUNTIMES[0], ARCHITECTURES[0])
    again = replace(job, output=tmp_path / job.output.name)

    build_layer(again, Tools(store=Store(tmp_path / "store")))

    assert again.output.read_bytes() == job.output.read_bytes()
    assert report.zipped == again.output.stat().st_size
