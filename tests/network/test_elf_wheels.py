"""Trimming, on every library of wheels that people put into layers."""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any, Final

import pytest
from elftools.elf.elffile import ELFFile

from layerforge.elf import is_elf
from layerforge.elf.reader import read_facts
from layerforge.elf.tail import trim

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.network

# What to import of each, to load its libraries.
PROJECTS: Final = {
    "cffi": "_cffi_backend",
    "cryptography": "cryptography.hazmat.bindings._rust",
    "grpcio": "grpc._cython.cygrpc",
    "lxml": "lxml.etree",
    "markupsafe": "markupsafe._speedups",
    "numpy": "numpy.linalg",
    "orjson": "orjson",
    "pillow": "PIL._imaging",
    "psycopg-binary": "psycopg, psycopg_binary._psycopg",
    "pydantic-core": "pydantic_core",
    "regex": "regex",
    "scipy": "scipy.linalg",
    "ujson": "ujson",
}
# Written in Python, and imported by some of them.
COMPANIONS: Final = ("psycopg", "typing-extensions")
MACHINES: Final = {"x86_64": 62, "aarch64": 183}


@pytest.fixture(scope="module", params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def wheels(machine: str, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Download the projects' newest wheels for this Python: 90 MB for a machine."""
    folder = tmp_path_factory.mktemp(f"wheels-{machine}")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--only-binary", ":all:", "--dest", folder, "--implementation", "cp"),
            *("--python-version", f"{sys.version_info.major}.{sys.version_info.minor}"),
            *("--platform", f"manylinux_2_28_{machine}"),
            *("--platform", f"manylinux_2_17_{machine}"),
            *("--platform", f"manylinux2014_{machine}"),
            *PROJECTS,
            *COMPANIONS,
        ],
        check=True,
    )
    return sorted(folder.glob("*.whl"))


def elf_files(wheel: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            image = archive.read(name)
            if is_elf(image):
                yield f"{wheel.name}: {name}", image


def loaded(image: bytes | bytearray) -> tuple[dict[str, Any], bytes]:
    """Give what a loader sees: the header without its sections, and all segments."""
    elf = ELFFile(io.BytesIO(image))
    sections = {"e_shoff", "e_shnum", "e_shstrndx"}
    end = max(part["p_offset"] + part["p_filesz"] for part in elf.iter_segments())
    return {
        name: value for name, value in elf.header.items() if name not in sections
    }, bytes(image[64:end])


def test_every_loaded_byte_stays_and_the_size_is_known(
    machine: str, wheels: list[Path]
) -> None:
    """Goes through all files once, since that is what takes the time."""
    wrong: list[str] = []
    shortened = set()
    for wheel in wheels:
        for name, image in elf_files(wheel):
            shorter = bytearray(image)
            trim(shorter)
            facts = read_facts(image)
            if loaded(shorter) != loaded(image):
                wrong.append(f"{name}: other bytes are loaded")
            if facts.trimmed != len(shorter):
                wrong.append(f"{name}: {facts.trimmed} bytes said, {len(shorter)} left")
            if facts.machine != MACHINES[machine]:
                wrong.append(f"{name}: for machine {facts.machine}")
            if len(shorter) < len(image):
                shortened.add(wheel.name)

    assert wrong == []
    assert len(shortened) >= 10


def test_trimmed_libraries_are_imported(
    machine: str, wheels: list[Path], tmp_path: Path
) -> None:
    if (sys.platform, platform.machine()) != ("linux", machine):
        pytest.skip(f"no interpreter for {machine} Linux here")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file() and is_elf(path.read_bytes()):
            image = bytearray(path.read_bytes())
            trim(image)
            path.write_bytes(image)
    imports = "\n".join(f"import {name}" for name in PROJECTS.values())
    code = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{imports}"

    # Without this environment's own packages, which would be found as well.
    imported = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        check=False,
        capture_output=True,
        text=True,
    )

    assert (imported.returncode, imported.stderr) == (0, "")
