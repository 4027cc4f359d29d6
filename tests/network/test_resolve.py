"""Resolutions of real packages: the newest that load, and true for every target."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.pylock import Pylock
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from layerforge.client import Client
from layerforge.ecosystems import Tools
from layerforge.ecosystems.python.artifacts import learn_packs
from layerforge.ecosystems.python.audit import loads
from layerforge.ecosystems.python.locking import make_lock
from layerforge.ecosystems.python.requirements import Asked
from layerforge.ecosystems.python.resolve import Resolver
from layerforge.ecosystems.python.uv import Uv
from layerforge.indexes import PYPI, IndexSettings
from layerforge.lock import Lock, dump_lock
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime

pytestmark = pytest.mark.network

SETTINGS = IndexSettings(index_url=PYPI)
NATIVE = ("numpy", "pandas", "pyarrow", "scipy", "pillow")
NEWEST = [
    Target(runtime=find_runtime(f"python3.{minor}"), arch=arch)
    for minor in (10, 11, 12, 13)
    for arch in Arch
]
POPULAR = (
    ("requests",),
    ("httpx[http2]",),
    ("aiohttp",),
    ("pydantic>=2", "pydantic-settings"),
    ("fastapi", "mangum"),
    ("flask", "gunicorn"),
    ("django", "psycopg[binary]"),
    ("sqlalchemy", "asyncpg"),
    ("boto3", "aws-lambda-powertools[all]"),
    ("cryptography", "pyjwt[crypto]"),
    ("pandas", "openpyxl"),
    ("pyarrow",),
    ("scikit-learn",),
    ("matplotlib",),
    ("opencv-python-headless",),
    ("lxml", "beautifulsoup4"),
    ("redis", "orjson"),
    ("google-cloud-storage",),
    ("openai", "tiktoken"),
    ("polars", "duckdb"),
)
THREE = (
    Target(runtime=find_runtime("python3.11"), arch=Arch.X86_64),
    Target(runtime=find_runtime("python3.12"), arch=Arch.ARM64),
    Target(runtime=find_runtime("python3.13"), arch=Arch.X86_64),
)


@pytest.fixture(autouse=True)
def _neutral(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """Share one store, so that no wheel is looked at twice."""
    return Tools(store=Store(tmp_path_factory.mktemp("store")), indexes=SETTINGS)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client() as client:
        yield client


@pytest.fixture
def resolver(tools: Tools, client: Client, tmp_path: Path) -> Resolver:
    uv = Uv(indexes=SETTINGS, cache=tools.store.root / "uv", folder=tmp_path)
    return Resolver(uv=uv, client=client, target=NEWEST[0])


@pytest.mark.parametrize("target", NEWEST, ids=str)
def test_each_pin_is_the_newest_that_loads(
    resolver: Resolver, client: Client, target: Target
) -> None:
    """Each alone, so that nothing but its wheels and Python's version hold it back."""
    for name in NATIVE:
        pins = replace(resolver, target=target).from_requirements(
            Asked(requirements=(name,))
        )

        pinned = next(pin for pin in pins if pin.name == name)
        assert loads(pinned.filename, target)
        assert Version(pinned.version) == newest_that_loads(client, name, target)


def newest_that_loads(client: Client, name: str, target: Target) -> Version:
    """Look through all files of a project, as nobody who resolves does."""
    accept = "application/vnd.pypi.simple.v1+json"
    answer = client.get(f"{PYPI}/{name}/", accept=accept)
    files = json.loads(answer.body)["files"]
    python = target.runtime.full_version
    return max(
        version
        for file in files
        if file["filename"].endswith(".whl")
        and not (version := parse_wheel_filename(file["filename"])[1]).is_prerelease
        and not file.get("yanked")
        and loads(file["filename"], target)
        and SpecifierSet(file.get("requires-python") or "").contains(python)
    )


@pytest.mark.parametrize("requirements", POPULAR, ids="+".join)
def test_popular_requirements_resolve_and_pass_the_audit(
    resolver: Resolver, client: Client, tools: Tools, requirements: tuple[str, ...]
) -> None:
    for target in THREE:
        own = replace(resolver, target=target)
        pins = own.from_requirements(Asked(requirements=requirements))
        packs = learn_packs(pins, client, tools)

        resolution = own.audited(pins, packs, list(map(Requirement, requirements)))

        assert resolution.pins
        assert all(loads(pin.filename, target) for pin in resolution.pins)


PROJECTS = {
    "poetry.lock": """
[project]
name = "app"
version = "1"
requires-python = ">=3.11,<4"
dependencies = ["idna==3.10", "colorama==0.4.6; sys_platform == 'win32'"]
[project.optional-dependencies]
fast = ["six==1.17.0"]
[tool.poetry.group.prod.dependencies]
certifi = "2025.8.3"
[tool.poetry]
package-mode = false
""",
    "Pipfile.lock": """
[[source]]
url = "https://pypi.org/simple"
verify_ssl = true
name = "pypi"
[packages]
idna = "==3.10"
colorama = {version = "==0.4.6", markers = "sys_platform == 'win32'"}
[prod]
certifi = "==2025.8.3"
""",
}
LOCKERS = {
    "poetry.lock": ("pyproject.toml", ("poetry", "lock", "--no-interaction")),
    "Pipfile.lock": ("Pipfile", ("pipenv", "lock")),
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install poetry and pipenv for these tests alone, and say where they are."""
    folder = tmp_path_factory.mktemp("programs")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    wanted = ["poetry", "poetry-plugin-export", "pipenv"]
    subprocess.run(
        [str(folder / "bin" / "pip"), "install", "--quiet", *wanted],
        check=True,
        env=os.environ | {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""},
    )
    return folder / "bin"


@pytest.mark.parametrize("name", ["poetry.lock", "Pipfile.lock"])
def test_locks_of_other_tools_are_read_by_those_tools(
    tools: Tools,
    programs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PIPENV_IGNORE_VIRTUALENVS", "1")
    monkeypatch.setenv("PIPENV_VENV_IN_PROJECT", "1")
    source, (program, *arguments) = LOCKERS[name]
    (tmp_path / source).write_text(PROJECTS[name])
    found = shutil.which(program)
    assert found
    subprocess.run([found, *arguments], cwd=tmp_path, check=True, capture_output=True)

    plain = locked(tools, Requirements(file=tmp_path / name))
    grouped = locked(tools, Requirements(file=tmp_path / name, groups=("prod",)))

    assert pinned(plain) == ["idna 3.10"]
    assert pinned(grouped) == ["certifi 2025.8.3", "idna 3.10"]


def test_a_lock_is_a_valid_pylock(tools: Tools, tmp_path: Path) -> None:
    lock = locked(tools, Requirements(lines=("requests", "numpy")))

    text = dump_lock(lock, THREE[0], tmp_path)

    Pylock.from_dict(tomllib.loads(text)).validate()


def locked(tools: Tools, requirements: Requirements) -> Lock:
    spec = LayerSpec(name="web", requirements=requirements)
    return make_lock(spec, THREE[0], tools, preferred=())[0]


def pinned(lock: Lock) -> list[str]:
    return [str(pin) for pin in lock.pins]
