"""Layers proven in the runtime's own image, under Lambda's runtime interface."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from layerforge.archives.zips import index_zip
from layerforge.cli import group
from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings
from layerforge.errors import VerifyError
from layerforge.imports import How
from layerforge.probe import ProbeReport, probe_zip
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from layerforge.tree import Tree

pytestmark = pytest.mark.docker

BASES: Final = "layerforge-base:{runtime}-{arch}"
TARGET: Final = Target(runtime=find_runtime("python3.9"), arch=Arch.X86_64)
CIRCUMSTANCES: Final = """
import os, platform, sys

assert __file__ == "/opt/python/demo/__init__.py"
assert platform.python_version().rpartition(".")[0] == "{version}"
assert platform.machine() == "{machine}"
assert "AWS_LAMBDA_RUNTIME_API" in os.environ
assert os.environ["AWS_REGION"]
assert sys.path.index("/opt/python") < sys.path.index("/var/runtime")
try:
    open("/opt/python/written", "w")
except OSError as error:
    assert error.strerror == "Read-only file system"
else:
    raise AssertionError
print("noise")
"""


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    with Containers(ContainerSettings(image=BASES)) as containers:
        yield containers


def layer(folder: Path, files: dict[str, str], mode: int = 0o644) -> Path:
    path = folder / "layer.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(f"python/{name}")
            info.external_attr = (0o100000 | mode) << 16
            archive.writestr(info, text)
    return path


def probe(path: Path, containers: Containers, target: Target = TARGET) -> ProbeReport:
    tree = Tree(tuple(sorted(index_zip(path), key=lambda entry: entry.path)))
    tools = Tools(store=Store(path.parent / "store"), containers=containers)
    return probe_zip(path, tree, target, tools)


@pytest.mark.parametrize(
    ("runtime", "arch"),
    [
        ("python3.9", Arch.X86_64),
        ("python3.9", Arch.ARM64),
        ("python3.13", Arch.X86_64),
    ],
    ids=str,
)
def test_modules_are_imported_as_a_function_would(
    tmp_path: Path, containers: Containers, runtime: str, arch: Arch
) -> None:
    target = Target(runtime=find_runtime(runtime), arch=arch)
    text = CIRCUMSTANCES.format(version=target.runtime.version, machine=arch.machine)
    path = layer(tmp_path, {"demo/__init__.py": text})

    report = probe(path, containers, target)

    (row,) = report.modules
    assert (row.module, row.error) == ("demo", "")
    assert report.how is How.RUNTIME
    assert report.init_milliseconds > 0
    assert report.peak_memory > row.memory


def test_what_crashes_takes_no_other_with_it(
    tmp_path: Path, containers: Containers
) -> None:
    crash = "import ctypes; ctypes.string_at(0)"
    files = {"a.py": "", "b.py": crash, "c.py": "import os; os._exit(3)", "d.py": ""}

    report = probe(layer(tmp_path, files), containers)

    assert [(row.module, row.error) for row in report.modules] == [
        ("a", ""),
        ("b", "the process ended: signal: segmentation fault"),
        ("c", "the process ended: exit status 3"),
        ("d", ""),
    ]
    assert any('python/b.py", line 1' in line for line in report.modules[1].trace)


def test_files_that_only_their_owner_may_read_are_noticed(
    tmp_path: Path, containers: Containers
) -> None:
    report = probe(layer(tmp_path, {"secret.py": ""}, mode=0o600), containers)

    (failed,) = report.failed
    assert failed.error == (
        "PermissionError: [Errno 13] Permission denied: '/opt/python/secret.py'"
    )
    assert failed.remedy == (
        "In a layer, files need mode 644, folders and executables 755."
    )


def test_a_layer_with_which_the_runtime_does_not_start_is_told(
    tmp_path: Path, containers: Containers
) -> None:
    path = layer(tmp_path, {"a.py": "", "a.pth": "import os; os._exit(3)"})

    with pytest.raises(VerifyError) as refused:
        probe(path, containers)

    assert refused.value.message.startswith(
        "the runtime of python3.9-x86_64 does not start with this layer: "
    )


def test_verify_says_how_and_ends_well(tmp_path: Path) -> None:
    path = layer(tmp_path, {"demo.py": ""})
    words = ["verify", str(path), "--runtime", "python3.9", "--arch", "x86_64"]

    result = CliRunner().invoke(group, [*words, "--image", BASES])

    assert result.exit_code == 0, result.output
    assert "imported in the runtime, under Lambda's runtime interface" in result.stdout
