"""Resolutions of real packages: the newest that load, and true for every target."""

from __future__ import annotations

import json
import os
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
from uv import find_uv_bin

from layerforge.client import Client
from layerforge.ecosystems.python.agreement import loads
from layerforge.ecosystems.python.artifacts import learn_wheels
from layerforge.ecosystems.python.locking import make_lock
from layerforge.ecosystems.python.requirements import Asked
from layerforge.ecosystems.python.resolve import Resolver
from layerforge.ecosystems.python.uv import Uv
from layerforge.indexes import PYPI, IndexSettings
from layerforge.lock import Lock, dump_lock
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from tests.servers import Index
from tests.wheels import make_wheel

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
        packs = learn_wheels(pins, client, tools)

        resolution = own.audited(pins, packs, list(map(Requirement, requirements)))

        assert resolution.pins
        assert all(loads(pin.filename, target) for pin in resolution.pins)


PROJECTS = {
    "poetry.lock": """
[project]
name = "app"
version = "1"
requires-python = ">=3.11,<4"
dependencies = ["base", "windows; sys_platform == 'win32'"]
[project.optional-dependencies]
fast = ["speedy"]
[tool.poetry]
package-mode = false
[tool.poetry.group.prod]
optional = true
[tool.poetry.group.prod.dependencies]
server = "*"
[[tool.poetry.source]]
name = "own"
url = "{index}"
priority = "primary"
""",
    "Pipfile.lock": """
[[source]]
url = "{index}"
verify_ssl = false
name = "own"
[packages]
base = "*"
windows = {{version = "*", markers = "sys_platform == 'win32'"}}
[prod]
server = "*"
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
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "--quiet", "-p", sys.executable, folder], check=True)
    install = [uv, "pip", "install", "--quiet", "-p", str(folder / "bin" / "python")]
    wanted = ["poetry", "poetry-plugin-export", "pipenv"]
    subprocess.run([*install, *wanted], check=True)
    return folder / "bin"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """Serve the projects' dependencies, whatever becomes of real ones."""
    folder = tmp_path / "index"
    for name in ("base", "windows", "speedy", "server"):
        make_wheel(folder, name, "1.0", {f"{name}.py": b""})
    with Index(folder) as index:
        yield index


@pytest.mark.parametrize(
    ("name", "extras", "names"),
    [
        ("poetry.lock", ("fast",), ["base", "server", "speedy"]),
        ("Pipfile.lock", (), ["base", "server"]),
    ],
)
def test_locks_of_other_tools_are_read_by_those_tools(
    programs: Path,
    index: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    name: str,
    extras: tuple[str, ...],
    names: list[str],
) -> None:
    settings = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "NO_PROXY": "127.0.0.1",
        "PIPENV_IGNORE_VIRTUALENVS": "1",
        "PIPENV_VENV_IN_PROJECT": "1",
        "POETRY_VIRTUALENVS_CREATE": "false",
        "POETRY_CACHE_DIR": str(tmp_path / "cache"),
        "PIPENV_CACHE_DIR": str(tmp_path / "cache"),
    }
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    source, (program, *arguments) = LOCKERS[name]
    (tmp_path / source).write_text(PROJECTS[name].format(index=index.simple_url))
    subprocess.run(
        [programs / program, *arguments], cwd=tmp_path, check=True, capture_output=True
    )
    tools = Tools(store=Store(tmp_path / "store"))
    file = tmp_path / name

    plain = locked(tools, Requirements(file=file))
    chosen = locked(tools, Requirements(file=file, extras=extras, groups=("prod",)))

    assert [pin.name for pin in plain.pins] == ["base"]
    assert [pin.name for pin in chosen.pins] == names


def test_a_lock_is_a_valid_pylock(tools: Tools, tmp_path: Path) -> None:
    lock = locked(tools, Requirements(lines=("requests", "numpy")))

    text = dump_lock(lock, THREE[0], tmp_path)

    Pylock.from_dict(tomllib.loads(text)).validate()


def locked(tools: Tools, requirements: Requirements) -> Lock:
    spec = LayerSpec(name="web", requirements=requirements)
    return make_lock(spec, THREE[0], tools, preferred=())[0]
