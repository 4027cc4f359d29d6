"""Layers proven by an interpreter of this machine, and how failures are judged."""

from __future__ import annotations

import ast
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from layerforge import imports
from layerforge.archives.zips import index_zip
from layerforge.containers.image import Image
from layerforge.containers.service import Containers
from layerforge.containers.task import EngineError
from layerforge.ecosystems.python import probing
from layerforge.ecosystems.python.interpreters import Interpreter
from layerforge.errors import BuildError, VerifyError
from layerforge.events import Event, Noted
from layerforge.imports import How, Import, Imported, read_run
from layerforge.probe import ProbeReport, ProbeResult, judge, probe_zip, write_tar
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from layerforge.tree import Tree
from tests.elf_files import DATA, TEXT, make_elf, set_field

E_MACHINE: Final = 18  # where it stands in an ELF header
PROGRAMS: Final = Path(probing.__file__).with_name("programs")
VERSION: Final = platform.python_version()
MINOR: Final = VERSION.rpartition(".")[0]
ARCH: Final = next(arch for arch in Arch if arch.machine == platform.machine())
TARGET: Final = Target(runtime=find_runtime(f"python{MINOR}"), arch=ARCH)
PYTHON_3_13: Final = Target(runtime=find_runtime("python3.13"), arch=Arch.X86_64)
TOOLS: Final = Tools(store=Store(Path(os.devnull)))  # nothing here needs one

linux = pytest.mark.skipif(sys.platform != "linux", reason="layers are for Linux")


@pytest.fixture(autouse=True)
def only_this_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Interpreter(path=Path(sys.executable), version=VERSION)
    monkeypatch.setattr(
        probing, "find_interpreters", lambda minor: (own,) if minor == MINOR else ()
    )


def layer(folder: Path, files: dict[str, str]) -> Path:
    """Zip a layer of Python files, by their paths below /opt."""
    path = folder / "layer.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def tree_of(path: Path) -> Tree:
    entries = index_zip(path, layer=True)
    return Tree(tuple(sorted(entries, key=lambda entry: entry.path)))


def probe(
    folder: Path, modules: dict[str, str], imports: tuple[str, ...] = ()
) -> ProbeReport:
    """Probe a layer of modules, by name, with this interpreter."""
    path = layer(folder, {f"python/{name}.py": text for name, text in modules.items()})
    return probe_zip(path, tree_of(path), TARGET, TOOLS, imports=imports, local=True)


class NoEngine(Containers):
    def base_image(self, _target: Target) -> Image:
        raise EngineError("nothing answers")


def row_of(report: ProbeReport, module: str) -> ProbeResult:
    return next(row for row in report.modules if row.module == module)


@linux
def test_modules_are_imported_and_measured(tmp_path: Path) -> None:
    text = "import time\ntime.sleep(0.05)\nroom = bytes(b'x' * 20_000_000)\n"

    report = probe(tmp_path, {"large": text, "small": ""})

    assert [row.module for row in report.modules] == ["large", "small"]
    large, small = report.modules
    assert (large.ok, small.ok, report.failed) == (True, True, ())
    assert 50 <= large.milliseconds < 5000
    assert 19_000_000 < large.memory < report.peak_memory
    assert small.memory < 1_000_000
    assert report.init_milliseconds > 0
    assert report.how is How.INTERPRETER


@linux
def test_a_crash_is_told_of_the_module_that_crashed_alone(tmp_path: Path) -> None:
    modules = {"a": "", "b": "import ctypes; ctypes.string_at(0)", "c": "import a"}

    report = probe(tmp_path, modules)

    (failed,) = report.failed
    assert (failed.module, failed.error) == (
        "b",
        "the process ended: signal: segmentation fault",
    )
    assert any('python/b.py", line 1' in line for line in failed.trace)


@linux
@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("import os; os._exit(3)", "the process ended: exit status 3"),
        pytest.param("raise SystemExit('bye')", "SystemExit: bye"),
        pytest.param("1 / 0", "ZeroDivisionError: division by zero"),
        pytest.param("raise KeyboardInterrupt", "KeyboardInterrupt"),
        pytest.param(
            "import sys; sys.stdout.write('noise'); 1 / 0",
            "ZeroDivisionError: division by zero",
        ),
        pytest.param("input()", "EOFError: EOF when reading a line"),
    ],
    ids=["exit", "SystemExit", "error", "interrupt", "noise", "input"],
)
def test_nothing_that_a_module_does_ends_the_probe(
    tmp_path: Path, text: str, error: str
) -> None:
    report = probe(tmp_path, {"bad": text, "good": ""})

    assert [(row.module, row.ok) for row in report.modules] == [
        ("bad", False),
        ("good", True),
    ]
    assert row_of(report, "bad").error == error


@linux
def test_a_module_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (probing, imports):
        monkeypatch.setattr(module, "SECONDS", 1)

    report = probe(tmp_path, {"slow": "import time; time.sleep(60)", "then": ""})

    assert row_of(report, "slow").error == "it took longer than 1 seconds"
    assert row_of(report, "then").ok


@linux
def test_a_module_that_works_alone_clashes(tmp_path: Path) -> None:
    late = "import sys\nassert 'early' not in sys.modules\n"

    report = probe(tmp_path, {"early": "", "late": late})

    (failed,) = report.failed
    assert failed.remedy == (
        "By itself it can be imported: it clashes with a module before it."
    )


@linux
def test_what_an_error_was_raised_after_is_kept(tmp_path: Path) -> None:
    text = "try:\n 1 / 0\nexcept Exception as e:\n raise ImportError('advice') from e\n"

    report = probe(tmp_path, {"bad": text})

    (failed,) = report.failed
    assert (failed.error, failed.cause) == (
        "ImportError: advice",
        "ZeroDivisionError: division by zero",
    )


@linux
def test_advice_does_not_hide_which_part_is_missing(tmp_path: Path) -> None:
    text = (
        "try:\n import demo.core\nexcept ImportError:\n raise ImportError('advice')\n"
    )
    path = layer(tmp_path, {"python/demo/__init__.py": text})

    (failed,) = probe_zip(path, tree_of(path), TARGET, TOOLS, local=True).failed

    assert failed.cause == "ModuleNotFoundError: No module named 'demo.core'"
    assert failed.remedy == (
        f"A part was left out, or is not for {TARGET}: build the layer for it; if that "
        "is so, try --strip none."
    )


@linux
def test_only_the_layer_is_on_the_path(tmp_path: Path) -> None:
    report = probe(tmp_path, {"greedy": "import pytest"})

    (row,) = report.modules
    assert (row.ok, row.optional) == (False, True)
    assert row.error == "ModuleNotFoundError: No module named 'pytest'"


@linux
def test_pth_files_of_the_layer_are_read(tmp_path: Path) -> None:
    path = layer(
        tmp_path,
        {
            "python/deep.pth": "below\n",
            "python/below/hidden.py": "",
            "python/top.py": "import hidden",
        },
    )

    report = probe_zip(path, tree_of(path), TARGET, TOOLS, local=True)

    assert row_of(report, "top").ok


@linux
def test_libraries_are_found_in_lib(tmp_path: Path) -> None:
    text = "import os\nassert os.environ['LD_LIBRARY_PATH'].endswith('/lib')"

    assert probe(tmp_path, {"native": text}).failed == ()


@linux
def test_a_library_of_another_machine_is_known(tmp_path: Path) -> None:
    library = bytes(set_field(make_elf(TEXT, DATA), "<H", E_MACHINE, 0xFEED))
    path = tmp_path / "layer.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("python/native.abi3.so", library)

    (failed,) = probe_zip(path, tree_of(path), TARGET, TOOLS, local=True).failed

    assert failed.module == "native"
    assert failed.remedy == (
        f"It is for another machine, or not there: build the layer for {TARGET}."
    )


@linux
def test_an_entrypoint_that_starts_no_emulator_is_done_without(tmp_path: Path) -> None:
    asked = {
        "modules": ["json"],
        "handler": str(PROGRAMS / "probe_handler.py"),
        "folders": [],
        "entrypoint": shutil.which("false"),
        "seconds": 10,
    }
    question = tmp_path / "asked.json"
    question.write_text(json.dumps(asked))

    said = subprocess.run(
        [sys.executable, "-I", PROGRAMS / "probe.py", question],
        capture_output=True,
        check=True,
    ).stdout

    run = read_run(said, TARGET, How.IMAGE, lambda imported, _row: imported)
    assert run.how is How.IMAGE
    assert [(one.module, one.error) for one in run.modules] == [("json", "")]


@linux
def test_further_imports_come_last_and_must_work(tmp_path: Path) -> None:
    path = layer(
        tmp_path,
        {
            "python/demo/__init__.py": "",
            "python/demo/deep.py": "import absent",
            "python/zz.py": "",
        },
    )

    report = probe_zip(
        path, tree_of(path), TARGET, TOOLS, imports=("demo.deep", "zz"), local=True
    )

    assert [row.module for row in report.modules] == ["demo", "zz", "demo.deep"]
    (failed,) = report.failed
    assert failed.module == "demo.deep"
    assert failed.remedy == "Add the package that brings absent."


@linux
def test_a_layer_that_breaks_the_interpreter_is_told(tmp_path: Path) -> None:
    path = layer(
        tmp_path, {"python/a.py": "", "python/a.pth": "import os; os._exit(3)"}
    )

    with pytest.raises(VerifyError) as refused:
        probe_zip(path, tree_of(path), TARGET, TOOLS, local=True)

    assert refused.value.message == (
        f"the runtime of {TARGET} does not start with this layer: exit status 3"
    )
    assert refused.value.remedy == (
        "See whether a module (or, for Python, a .pth file) of the layer stands before "
        "one of the runtime's own."
    )


@linux
def test_a_machine_without_the_version_says_what_there_is_to_do(tmp_path: Path) -> None:
    other = "3.9" if MINOR != "3.9" else "3.10"
    target = Target(runtime=find_runtime(f"python{other}"), arch=ARCH)
    path = layer(tmp_path, {"python/a.py": ""})

    with pytest.raises(BuildError) as refused:
        probe_zip(path, tree_of(path), target, TOOLS, local=True)

    assert refused.value.message == (
        f"there is no Python {other} on this machine to import modules with"
    )
    assert refused.value.remedy == (
        f"Install it (pyenv install {other}, or uv python install {other}); or have a "
        "container do it, which proves more: start Docker, or name an engine with "
        "DOCKER_HOST."
    )


def test_another_machine_needs_a_container(tmp_path: Path) -> None:
    other = Arch.ARM64 if ARCH is Arch.X86_64 else Arch.X86_64
    path = layer(tmp_path, {"python/a.py": ""})

    with pytest.raises(BuildError) as refused:
        probe_zip(path, tree_of(path), replace(TARGET, arch=other), TOOLS, local=True)

    assert refused.value.message == (
        f"modules for python{MINOR}-{other} can't be imported on this machine, which "
        f"is {sys.platform} on {platform.machine()}"
    )


@linux
def test_without_an_engine_this_machine_does_it_and_says_so(tmp_path: Path) -> None:
    heard: list[Event] = []
    path = layer(tmp_path, {"python/a.py": ""})

    tools = replace(TOOLS, containers=NoEngine(), listen=heard.append)

    report = probe_zip(path, tree_of(path), TARGET, tools)

    assert report.how is How.INTERPRETER
    message = (
        "nothing answers: the modules are imported on this machine, which proves less"
    )
    assert heard == [Noted(message=message, warning=True)]


def failing(**changes: str) -> Imported:
    return replace(
        Imported(module="demo", milliseconds=1, memory=0, error="ImportError: no"),
        **changes,  # type: ignore[arg-type]  # only texts are changed
    )


@pytest.mark.parametrize(
    ("missing", "optional"),
    [
        pytest.param("pytest", True, id="of nobody"),
        pytest.param("google.cloud.bigquery", True, id="of a namespace"),
        pytest.param("numpy._core.umath", False, id="a part of the layer"),
        pytest.param("demo", False, id="itself"),
        pytest.param("num", True, id="only alike"),
        pytest.param("", False, id="another error"),
    ],
)
def test_only_what_nothing_brings_is_optional(missing: str, *, optional: bool) -> None:
    present = {"demo", "numpy", "google.cloud.storage"}

    row = judge(
        Import(module="demo"), failing(missing=missing), present, PYTHON_3_13, "."
    )

    assert row.optional is optional


@pytest.mark.parametrize(
    ("imported", "remedy"),
    [
        pytest.param(
            failing(missing="pytest"),
            "Add the package that brings pytest, if you need this.",
            id="optional",
        ),
        pytest.param(
            failing(missing="botocore.session"),
            "Lambda's own image brings botocore.session: it can be proven there.",
            id="sdk",
        ),
        pytest.param(
            failing(missing="demo.core"),
            "A part was left out, or is not for python3.13-x86_64: build the layer for "
            "it; if that is so, try --strip none.",
            id="part",
        ),
        pytest.param(
            failing(
                cause="OSError: libz.so.1: cannot open shared object file: No such"
                " file or directory"
            ),
            "Add a package that brings libz.so.1, or put it into the layer's lib/ with "
            "include.",
            id="cause",
        ),
        pytest.param(failing(remedy="Do this."), "Do this.", id="known"),
        pytest.param(failing(), "", id="unknown"),
    ],
)
def test_a_failure_has_a_remedy(imported: Imported, remedy: str) -> None:
    row = judge(Import(module="demo"), imported, {"demo"}, PYTHON_3_13, ".")

    assert row.remedy == remedy


@linux
def test_what_left_the_standard_library_is_no_optional_package(tmp_path: Path) -> None:
    (failed,) = probe(tmp_path, {"old": "import binhex"}).failed

    assert failed.remedy == (
        "Python has no binhex any more: take a version of the package that is for "
        f"Python {MINOR}."
    )


def test_a_tar_has_the_modes_of_the_zip_and_a_strangers_files(tmp_path: Path) -> None:
    path, tar = tmp_path / "layer.zip", tmp_path / "opt.tar"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode, text in (
            ("python/secret.py", 0o100600, "x"),
            ("bin/tool", 0o100755, "y"),
            ("lib/libx.so", 0o120777, "libx.so.1"),
        ):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, text)
        archive.writestr(zipfile.ZipInfo("python/none.py"), "")

    write_tar(path, tar)

    with tarfile.open(tar) as members:
        rows = {m.name: (m.mode, m.uid, m.linkname) for m in members}
    assert rows == {
        "bin": (0o755, 65534, ""),
        "lib": (0o755, 65534, ""),
        "python": (0o755, 65534, ""),
        "bin/tool": (0o755, 65534, ""),
        "lib/libx.so": (0o777, 65534, "libx.so.1"),
        "python/none.py": (0o600, 65534, ""),
        "python/secret.py": (0o600, 65534, ""),
    }


@pytest.mark.parametrize("program", ["probe.py", "probe_handler.py"])
def test_programs_are_of_the_oldest_python(program: str) -> None:
    source = (PROGRAMS / program).read_text(encoding="utf-8")

    assert ast.parse(source, feature_version=(3, 9)).body


def test_an_answer_without_marks_is_no_answer() -> None:
    with pytest.raises(BuildError) as refused:
        read_run(b"killed\n", PYTHON_3_13, How.IMAGE, lambda imported, _row: imported)

    assert refused.value.message == (
        "importing the modules for python3.13-x86_64 gave no answer"
    )
