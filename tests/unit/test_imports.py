"""The rooms of the package: who may import whom, and through which doors.

Read from the sources, so that an import inside a function counts as well.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

from tests.wheels import make_wheel

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "layerforge"

# A level a line. A room imports from the lines above it and from nowhere else; what a
# folder holds is one room, unless a part of it is named here.
LEVELS: Final = """
elf errors events hashes headers indexes limits template
address fields files handover retries revision target tree
client compressor containers.settings credentials loader lock strip
bases containers findings store
archives fetch imports manifest pack spec trim waivers
archive functions include inventory ledger publication verify
difference project split weighed
recipes tools
ecosystems
audit ecosystems.python ecosystems.node plan probe
documents examination forecast jobs oversize proof records
aws check delivery
pipeline
reports
cli
__main__
"""

# Who may import what isn't ours. Whatever is imported has to stand here.
DOORS: Final[dict[str, set[str]]] = {
    "boto3": {"aws"},
    "botocore": {"aws"},
    "build": {"ecosystems.python"},
    "click": {"cli"},
    "cyclonedx": {"documents"},
    "deflate": {"compressor"},
    "docker": {"containers"},
    "elftools": set(),
    "packageurl": {"documents"},
    "packaging": {
        "documents",
        "ecosystems.python",
        "inventory",
        "project",
        "reports",
    },
    "requests": {"client"},
    "rich": {"cli"},
    "subprocess": {
        "credentials",
        "ecosystems.node",
        "ecosystems.python",
        "indexes",
        "revision",
    },
    "tomli": {
        "check",
        "ecosystems.node",
        "findings",
        "lock",
        "project",
        "strip",
        "target",
    },
    "tomli_w": {"ecosystems.node", "lock"},
    "urllib3": {"client", "containers"},
    "uv": {"ecosystems.python"},
}

# Where a door is narrower than its room: the modules that have it.
DOOR_MODULES: Final = {
    "build": {"ecosystems.python.programs.build_wheel"},
    "cyclonedx": {"documents.sbom"},
    "packageurl": {"documents.sbom"},
    "rich": {"cli.bars"},
    "subprocess": {
        "ecosystems.node.nodejs",
        "ecosystems.node.nft",
        "ecosystems.node.npm",
        "ecosystems.node.probing",
        "ecosystems.python.bytecode",
        "ecosystems.python.foreign",
        "ecosystems.python.interpreters",
        "ecosystems.python.probing",
        "ecosystems.python.programs.build_wheel",
        "ecosystems.python.programs.probe",
        "ecosystems.python.programs.resolve",
        "ecosystems.python.uv",
        "credentials",
        "indexes",
        "revision",
    },
    "uv": {"ecosystems.python.uv"},
}

# Each costs more to import than a build with nothing to do may take for all it does.
HEAVY: Final = {
    "boto3",
    "botocore",
    "cyclonedx",
    "docker",
    "elftools",
    "packageurl",
    "requests",
    "rich",
    "tomli_w",
    "urllib3",
    "uv",
}


def _modules() -> dict[str, Path]:
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts).removesuffix("__init__").removesuffix(".")
        modules[name] = path
    del modules[""]  # the version, which is for everyone
    return modules


MODULES: Final = _modules()
ROOMS: Final = {
    room: level
    for level, line in enumerate(LEVELS.split("\n"))
    for room in line.split()
}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room_of(module: str) -> str:
    """Give the longest name in LEVELS that a module is, or is inside of."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next(name for name in names if name in ROOMS)


@cache
def imports_of(module: str) -> frozenset[str]:
    """Give the full names of the modules that a module imports, wherever it does."""
    names = set()
    for node in ast.walk(tree_of(MODULES[module])):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            source = node.module or ""
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                known = whole.removeprefix("layerforge.") in MODULES
                names.add(whole if known else source)
    return frozenset(names)


def ours(module: str) -> set[str]:
    return {
        name.removeprefix("layerforge.")
        for name in imports_of(module)
        if name.startswith("layerforge.")
    }


def foreign(module: str) -> set[str]:
    """Give the libraries that a module imports, and subprocess."""
    tops = {name.partition(".")[0] for name in imports_of(module)}
    standard = sys.stdlib_module_names - {"subprocess"}
    return tops - standard - {"layerforge"}


def functions() -> Iterator[tuple[str, int]]:
    for path in (*MODULES.values(), *(ROOT / "scripts").glob("*.py")):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield f"{path.relative_to(ROOT)}:{node.name}", lines


def names_used(path: Path) -> set[str]:
    nodes = list(ast.walk(tree_of(path)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_every_module_has_its_level() -> None:
    tops = {module.split(".")[0] for module in MODULES}

    assert {room.split(".")[0] for room in ROOMS} == tops
    assert set(ROOMS) <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_levels_above_it_alone(module: str) -> None:
    room = room_of(module)

    wrong = {
        name
        for name in ours(module)
        if room_of(name) != room and ROOMS[room_of(name)] >= ROOMS[room]
    }

    assert wrong == set()


def test_no_import_goes_in_a_circle() -> None:
    graph = {module: ours(module) - {module} for module in MODULES}

    ordered = list(TopologicalSorter(graph).static_order())

    assert set(ordered) == set(MODULES)


def test_a_library_comes_in_through_its_door() -> None:
    found: dict[str, set[str]] = {library: set() for library in DOORS}
    for module in MODULES:
        for library in foreign(module):
            found.setdefault(library, set()).add(room_of(module))

    assert found == DOORS


@pytest.mark.parametrize("library", DOOR_MODULES)
def test_a_narrow_door_is_one_module(library: str) -> None:
    found = {module for module in MODULES if library in foreign(module)}

    assert found == DOOR_MODULES[library]


def test_no_module_is_longer_than_400_lines() -> None:
    sources = [*MODULES.values(), *(ROOT / "scripts").glob("*.py")]
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in sources}

    assert {path.name: count for path, count in lines.items() if count > 400} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    assert {name: lines for name, lines in functions() if lines > 60} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}

    assert {name for name in MODULES if empty & set(name.split("."))} == set()


def test_the_core_prints_nothing() -> None:
    speaking = {module for module, path in MODULES.items() if _speaks(path)}

    core = {module for module in speaking if room_of(module) != "cli"}
    # These are programs: a target's interpreter runs them.
    programs = {name for name in core if name.startswith("ecosystems.python.programs.")}
    assert core == programs


def _speaks(path: Path) -> bool:
    """Say whether a module prints, or has the streams of its process."""
    nodes = list(ast.walk(tree_of(path)))
    streams = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "sys"
    }
    called = {node.id for node in nodes if isinstance(node, ast.Name)}
    return bool({"stdout", "stderr"} & streams or "print" in called)


def test_nobody_changes_the_folder_that_a_process_stands_in() -> None:
    wandering = {name for name, path in MODULES.items() if "chdir" in names_used(path)}

    assert wandering == set()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project whose one layer is built already."""
    folder = tmp_path_factory.mktemp("project")
    wheels = folder / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "demo", "1.0", {"demo.py": b"x = 1\n"})
    (folder / "layerforge.toml").write_text(
        '[layers.web]\nrequirements = ["demo"]\n'
        'runtimes = ["python3.13"]\narchitectures = ["arm64"]\n'
    )
    run(folder, "build", "--no-index", "--find-links", str(wheels))
    return folder


def run(folder: Path, *arguments: str) -> set[str]:
    """Run layerforge, and give the top names of all that it imported."""
    settings = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "UV_", "LAYERFORGE_"))
    }
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "layerforge", *arguments],
        cwd=folder,
        env=settings
        | {
            "LAYERFORGE_CACHE_DIR": str(folder / "cache"),
            "PIP_CONFIG_FILE": os.devnull,
            "PYTHONPATH": str(ROOT),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    lines = [line for line in process.stderr.splitlines() if line.count("|") == 2]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--help",), id="help"),
        pytest.param(("build", "--help"), id="build help"),
        pytest.param(("publish", "--help"), id="publish help"),
        pytest.param(("build",), id="nothing to do"),
        pytest.param(("plan",), id="plan"),
        pytest.param(("lock", "--check"), id="check of locks"),
        pytest.param(("check",), id="check of limits"),
        pytest.param(("explain",), id="explain"),
        pytest.param(
            ("verify", "--static", "dist/web-python3.13-arm64.zip"),
            id="static checks",
        ),
        pytest.param(("runtimes",), id="runtimes"),
    ],
)
def test_what_needs_no_heavy_library_imports_none(
    project: Path, arguments: tuple[str, ...]
) -> None:
    imported = run(project, *arguments)

    assert "layerforge" in imported
    assert imported & HEAVY == set()
