"""Our hooks, run by the real pre-commit in a fresh repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.servers import Index
from tests.wheels import make_wheel

ROOT: Final = Path(__file__).parents[2]
SHIPPED: Final = ("layerforge", "recipes", "build-images")
FILES: Final = ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml")
PROJECT: Final = """\
[layers.web]
requirements = "requirements.in"
runtimes = ["python3.13"]
architectures = ["arm64"]
"""

# pre-commit installs the hooks with pip, once for all tests.
pytestmark = [pytest.mark.network, pytest.mark.xdist_group("hooks")]


Process = subprocess.CompletedProcess[str]


def run(folder: Path, *words: str | Path, home: Path) -> Process:
    settings = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH"
    }
    own = {
        "PRE_COMMIT_HOME": str(home / "pre-commit"),
        "LAYERFORGE_CACHE_DIR": str(home / "store"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "COLUMNS": "80",
    }
    return subprocess.run(
        words,
        cwd=folder,
        env=settings | own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def git(folder: Path, *words: str) -> str:
    own = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    process = run(folder, "git", *own, *words, home=folder)
    assert process.returncode == 0, process.stdout
    return process.stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "one")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository of what is in this tree, and its commit."""
    folder = tmp_path_factory.mktemp("layerforge")
    for name in SHIPPED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    return folder, commit(folder)


@pytest.fixture
def project(tmp_path: Path, ours: tuple[Path, str]) -> Path:
    """A repository with a locked layer, and with our hooks."""
    folder = tmp_path / "project"
    folder.mkdir()
    place, revision = ours
    (folder / ".pre-commit-config.yaml").write_text(
        f"repos:\n- repo: {place}\n  rev: {revision}\n  hooks:\n"
        "  - id: layerforge-check\n"
        "  - id: layerforge-zip-size\n    args: [--max-unzipped, 1 MB]\n"
    )
    (folder / "layerforge.toml").write_text(PROJECT)
    (folder / "requirements.in").write_text("demo\n")
    make_wheel(tmp_path / "shelf", "demo", "1.0", {"demo.py": b"x = 1\n"})
    with Index(tmp_path / "shelf") as index:
        command = (sys.executable, "-m", "layerforge", "lock")
        options = ("--index-url", index.simple_url)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([*command, *options], cwd=folder, env=environment, check=True)
    commit(folder)
    return folder


def hooks(project: Path, home: Path) -> Process:
    git(project, "add", "--all", "--force")
    words = (sys.executable, "-m", "pre_commit", "run", "--all-files", "--color=never")
    return run(project, *words, home=home)


def write_zip(project: Path, size: int) -> None:
    (project / "dist").mkdir()
    path = project / "dist" / "web.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("python/demo.py", b"#" * size)


def test_what_is_in_order_passes(project: Path, home: Path) -> None:
    write_zip(project, 1_000_000)

    ran = hooks(project, home)

    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count("Passed") == 2


def test_a_zip_above_the_limit_fails(project: Path, home: Path) -> None:
    write_zip(project, 1_000_001)

    ran = hooks(project, home)

    assert ran.returncode == 1
    assert ran.stdout.count("Failed") == 1
    assert "- hook id: layerforge-zip-size\n- exit code: 5\n" in ran.stdout


def test_a_commit_of_requirements_by_any_name_is_checked(
    project: Path, home: Path
) -> None:
    config = project / "layerforge.toml"
    config.write_text(PROJECT.replace("requirements.in", "deps/base.in"))
    (project / "deps").mkdir()
    (project / "requirements.in").rename(project / "deps" / "base.in")
    passed = hooks(project, home)
    git(project, "commit", "--quiet", "--message", "two")
    (project / "deps" / "base.in").write_text("demo>=1\n")
    git(project, "add", "--all")

    # As for a commit: with the files alone that it changes.
    words = (sys.executable, "-m", "pre_commit", "run", "--color=never")
    ran = run(project, *words, home=home)

    assert passed.returncode == 0, passed.stdout
    assert ran.returncode == 1
    assert "- hook id: layerforge-check\n- exit code: 3\n" in ran.stdout


def test_a_stale_lock_fails(project: Path, home: Path) -> None:
    (project / "requirements.in").write_text("demo>=1\n")

    ran = hooks(project, home)

    assert ran.returncode == 1
    assert "- hook id: layerforge-check\n- exit code: 3\n" in ran.stdout
    assert "try: Bring it up to date: layerforge lock web\n" in ran.stdout


def test_a_layer_above_its_limit_fails(project: Path, home: Path) -> None:
    config = project / "layerforge.toml"
    config.write_text(f"{PROJECT}max-unzipped = 5\n")

    ran = hooks(project, home)

    assert ran.returncode == 1
    assert "- hook id: layerforge-check\n- exit code: 5\n" in ran.stdout
