"""What is published: a wheel and an sdist that hold what they should, and work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import click
import pytest

from layerforge import __version__
from layerforge.recipes import recipe_names

ROOT: Final = Path(__file__).parents[2]
SDIST: Final = f"layerforge-{__version__}"
WHEEL: Final = f"layerforge-{__version__}-py3-none-any.whl"

# The build backend and what layerforge needs come from the index. One worker for all,
# so that wheel and sdist are built once.
pytestmark = [pytest.mark.network, pytest.mark.xdist_group("packaging")]


def python(
    interpreter: Path | str, *arguments: str | Path, cwd: Path | None = None
) -> str:
    """Run a Python for itself, away from this checkout; give what it printed."""
    settings = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH"
    }
    process = subprocess.run(
        [interpreter, *arguments],
        cwd=cwd,
        env=settings | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def environment(folder: Path) -> Path:
    """Make an empty environment; give its Python. Not every Python has ensurepip."""
    python(sys.executable, "-m", "venv", "--without-pip", folder)
    return folder / "bin" / "python"


def install(interpreter: Path, *arguments: str | Path) -> None:
    pip = ("-m", "pip", "--python", interpreter, "install", "--quiet")
    python(sys.executable, *pip, *arguments)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder)
    python(sys.executable, *pip, ROOT)
    return folder / WHEEL


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    backend = environment(folder / "backend")
    install(backend, "hatchling>=1.27")
    call = "import sys; from hatchling.build import build_sdist as b; b(sys.argv[1])"
    python(backend, "-c", call, folder, cwd=ROOT)
    return folder / f"{SDIST}.tar.gz"


def names_in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_module_and_every_table(wheel: Path) -> None:
    package = ROOT / "layerforge"
    expected = {
        f"layerforge/{path.relative_to(package)}"
        for path in package.rglob("*")
        if path.suffix in {".py", ".toml", ".typed"}
    }

    assert expected - names_in_wheel(wheel) == set()
    assert "layerforge/py.typed" in expected
    assert "layerforge/data/runtimes.toml" in expected


def test_the_wheel_holds_the_recipes(wheel: Path) -> None:
    expected = {f"layerforge/data/recipes/{name}.toml" for name in recipe_names()}

    names = names_in_wheel(wheel)

    found = {name for name in names if name.startswith("layerforge/data/recipes/")}
    assert found == expected
    assert expected


def test_the_wheel_holds_what_build_images_are_made_of(wheel: Path) -> None:
    folder = ROOT / "build-images"
    expected = {
        f"layerforge/data/build-images/{path.relative_to(folder)}"
        for path in folder.rglob("*")
        if path.is_file()
    }

    names = names_in_wheel(wheel)

    assert {name for name in names if "/build-images/" in name} == expected
    assert "layerforge/data/build-images/Dockerfile" in expected


def test_the_wheel_holds_the_licence_and_nothing_beside_the_package(
    wheel: Path,
) -> None:
    names = names_in_wheel(wheel)

    information = f"{SDIST}.dist-info"
    assert f"{information}/licenses/LICENSE" in names
    assert {name.split("/")[0] for name in names} == {"layerforge", information}


def test_the_sdist_holds_what_it_takes_to_build_and_to_test(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(f"{SDIST}/") for name in archive.getnames()}

    assert {
        "LICENSE",
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "pyproject.toml",
        "layerforge/data/runtimes.toml",
        "scripts/test",
        "tests/unit/test_packaging.py",
        *(f"recipes/{name}.toml" for name in recipe_names()),
    } <= names
    assert {name for name in names if "__pycache__" in name} == set()


@pytest.mark.parametrize("form", ["wheel", "sdist", "editable"])
def test_what_is_installed_finds_its_recipes(
    form: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    editable = form == "editable"
    what: tuple[str | Path, ...] = ("--editable", ROOT)
    if not editable:
        what = (request.getfixturevalue(form),)
    interpreter = environment(tmp_path / "environment")
    # Its dependencies are this environment's: what is tried is our own package.
    install(interpreter, "--no-deps", *what)
    _lend_libraries(interpreter)
    program = interpreter.parent / "layerforge"

    place = python(interpreter, "-I", "-c", "import layerforge as l; print(l.__file__)")
    version = python(interpreter, program, "--version")
    recipes = json.loads(python(interpreter, program, "recipes", "--json"))["recipes"]

    assert Path(place).is_relative_to(ROOT if editable else tmp_path)
    assert version == f"layerforge, version {__version__}\n"
    assert [recipe["name"] for recipe in recipes] == list(recipe_names())


def _lend_libraries(interpreter: Path) -> None:
    """Put the libraries of this environment behind those of another."""
    (site,) = interpreter.parents[1].glob("lib/python3*/site-packages")
    (site / "lent.pth").write_text(f"{Path(click.__file__).parents[1]}\n")
