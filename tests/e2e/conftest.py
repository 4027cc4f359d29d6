from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import Program
from tests.elf_files import DATA, TEXT, make_elf, set_field
from tests.registry import Registry
from tests.servers import Index
from tests.wheels import make_wheel

AARCH64 = 183
MACHINE = 18  # where e_machine stands in an ELF header


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """The folder of the index: pure packages, and a native one for two machines."""
    shelf = tmp_path / "shelf"
    helper = {"helper.py": b"ANSWER = 42\n"}
    make_wheel(shelf, "helper", "1.0", helper)
    make_wheel(shelf, "helper", "1.1", helper)
    demo = {"demo/__init__.py": b"import helper\n", "demo/tests/test_it.py": b"1\n"}
    make_wheel(shelf, "demo", "1.0", demo, requires=["helper>=1"])
    for machine, number in (("x86_64", 62), ("aarch64", AARCH64)):
        library = bytes(set_field(make_elf(TEXT, DATA), "<H", MACHINE, number))
        make_wheel(
            shelf,
            "native",
            "2.0",
            {f"native/core.cpython-312-{machine}-linux-gnu.so": library},
            tag=f"cp312-cp312-manylinux_2_28_{machine}",
        )
    return shelf


@pytest.fixture
def index(shelf: Path) -> Iterator[Index]:
    with Index(shelf) as index:
        yield index


@pytest.fixture
def layerforge(tmp_path: Path, index: Index) -> Program:
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    return Program(folder=folder, home=home, cache=tmp_path / "cache", index=index)


@pytest.fixture
def web(layerforge: Program) -> Program:
    """The program beside a requirements.in of one pure package."""
    layerforge.write("requirements.in", "demo\n")
    return layerforge


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path) as registry:
        yield registry


@pytest.fixture
def node(layerforge: Program, registry: Registry) -> Program:
    """The program beside an .npmrc, where there is neither Node.js nor npm."""
    layerforge.write(".npmrc", f"registry={registry.url}/\n")
    return layerforge.elsewhere(variables={"PATH": "/nonexistent"})
