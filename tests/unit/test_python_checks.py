"""What Python's own checks find in a layer, each module in its turn."""

from __future__ import annotations

import importlib.machinery
import platform
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from layerforge.ecosystems.python import shadowing
from layerforge.ecosystems.python.abi import find_foreign_extensions
from layerforge.ecosystems.python.checks import verify_python
from layerforge.ecosystems.python.distributions import (
    find_distributions,
    find_duplicates,
    find_packages,
    find_partial_sdk,
)
from layerforge.ecosystems.python.shadowing import find_shadows
from layerforge.ecosystems.python.stale import find_stale_bytecode
from layerforge.ecosystems.python.startup import find_startup_files
from layerforge.ecosystems.python.suffixes import extension_suffixes
from layerforge.findings import Finding, Severity
from layerforge.target import Arch, Target, find_arch, find_runtime, load_runtimes
from layerforge.tree import FileEntry, Tree, unite
from tests.entries import make_entry

# Built into every CPython (Modules/Setup.bootstrap.in).
NEVER_HIDDEN: Final = {"atexit", "errno", "faulthandler", "itertools", "pwd", "time"}
OWN: Final = ".cpython-313-x86_64-linux-gnu.so"


def target(runtime: str = "python3.13", arch: str = "x86_64") -> Target:
    return Target(runtime=find_runtime(runtime), arch=find_arch(arch))


def tree_of(*paths: str) -> Tree:
    return unite(FileEntry(path=f"python/{path}", origin="demo") for path in paths)


def test_a_layer_without_faults_has_no_findings() -> None:
    tree = tree_of("demo/__init__.py", f"demo/_a{OWN}", "demo-1.dist-info/METADATA")

    assert verify_python(tree, target()) == ()


# -- extension modules --------


@pytest.mark.skipif(sys.platform != "linux", reason="Lambda's Python is Linux's")
def test_suffixes_are_those_of_an_interpreter_of_that_version() -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    machine = next(arch for arch in Arch if arch.machine == platform.machine())
    if version not in load_runtimes():
        pytest.skip("no runtime has this Python")

    suffixes = extension_suffixes(target(version, str(machine)))

    assert list(suffixes) == importlib.machinery.EXTENSION_SUFFIXES


@pytest.mark.parametrize(
    "path",
    [
        f"demo/_a{OWN}",
        "demo/_a.abi3.so",
        "demo/_a.so",
        "demo.libs/libpq-1a2b.so",
        "demo.libs/libx.so.5",
        "bin/demo",
    ],
)
def test_what_the_target_imports_or_never_would_is_not_spoken_of(path: str) -> None:
    assert list(find_foreign_extensions(tree_of(path), target())) == []


def test_a_package_for_another_python_is_one_error() -> None:
    tree = tree_of(
        "demo/__init__.py",
        "demo/_a.cpython-312-x86_64-linux-gnu.so",
        "demo/sub/_b.cpython-312-x86_64-linux-gnu.so",
        f"other/_c{OWN}",
    )

    assert list(find_foreign_extensions(tree, target())) == [
        Finding(
            check="abi",
            severity=Severity.ERROR,
            path="python/demo",
            message="2 extension modules end in .cpython-312-x86_64-linux-gnu.so: "
            f"python3.13 on x86_64 imports {OWN} and .abi3.so",
            remedy="Install its package for python3.13-x86_64: layerforge build does.",
        )
    ]


@pytest.mark.parametrize(
    "suffix",
    [
        ".cpython-312-x86_64-linux-gnu.so",
        ".cpython-313t-x86_64-linux-gnu.so",
        ".cpython-313-aarch64-linux-gnu.so",
        ".cpython-313-x86_64-linux-musl.so",
        ".cpython-313-darwin.so",
        ".pypy311-pp73-x86_64-linux-gnu.so",
    ],
)
def test_a_module_of_its_own_that_never_loads_is_an_error(suffix: str) -> None:
    (found,) = find_foreign_extensions(tree_of(f"_demo{suffix}"), target())

    assert (found.severity, found.path, found.message) == (
        Severity.ERROR,
        f"python/_demo{suffix}",
        (
            f"is an extension that ends in {suffix}: python3.13 on x86_64 imports "
            f"{OWN} and .abi3.so"
        ),
    )


def test_a_module_that_a_suiting_package_lacks_is_a_warning() -> None:
    tree = tree_of(f"demo/_a{OWN}", "demo/_b.cpython-312-x86_64-linux-gnu.so")

    (found,) = find_foreign_extensions(tree, target())

    assert (found.severity, found.remedy) == (
        Severity.WARNING,
        "Leave it out with exclude, if nothing imports it.",
    )


def test_a_package_for_windows_alone_is_an_error() -> None:
    tree = tree_of("demo/_a.cp313-win_amd64.pyd", "demo/_b.pyd")

    (found,) = find_foreign_extensions(tree, target())

    assert (found.severity, found.message) == (
        Severity.ERROR,
        (
            "2 extension modules end in .cp313-win_amd64.pyd or .pyd: python3.13 on "
            f"x86_64 imports {OWN} and .abi3.so"
        ),
    )


def in_python(folder: Path, text: str) -> list[Finding]:
    """Find what is wrong with a package that has such a source, and a module."""
    source = make_entry(folder, "python/demo/__init__.py", text.encode())
    tree = unite([source, FileEntry(path="python/demo/_win.pyd", origin="demo")])
    return list(find_foreign_extensions(tree, target()))


def test_a_module_that_only_windows_imports_is_a_warning(tmp_path: Path) -> None:
    text = "import sys\nif sys.platform == 'win32':\n    from . import _win"

    assert in_python(tmp_path, text) == [
        Finding(
            check="abi",
            severity=Severity.WARNING,
            path="python/demo/_win.pyd",
            message="is an extension that ends in .pyd: python3.13 on x86_64 imports "
            f"{OWN} and .abi3.so",
            remedy="Leave it out with exclude, if nothing imports it.",
        )
    ]


def test_a_module_for_windows_that_is_imported_is_an_error(tmp_path: Path) -> None:
    (found,) = in_python(tmp_path, "from . import _win")

    assert found.severity is Severity.ERROR


def test_a_package_that_serves_windows_too_is_fine() -> None:
    tree = tree_of("demo/_a.cp313-win_amd64.pyd", "demo/attach_linux.so")

    assert list(find_foreign_extensions(tree, target())) == []


@pytest.mark.parametrize(
    "other",
    [f"demo/_a{OWN}", "demo/_a.abi3.so", "demo/_a.py", "demo/_a/__init__.py"],
)
def test_a_module_that_another_file_gives_is_not_missed(other: str) -> None:
    tree = tree_of("demo/_a.cpython-312-x86_64-linux-gnu.so", other)

    assert list(find_foreign_extensions(tree, target())) == []


# -- bytecode --------


def compiled(flags: int) -> bytes:
    return b"\xf3\x0d\r\n" + flags.to_bytes(4, "little") + bytes(range(8)) + b"code" * 9


@pytest.mark.parametrize("level", [0, 6])
@pytest.mark.parametrize("flags", [1, 3])
def test_hashed_bytecode_is_not_spoken_of(
    tmp_path: Path, flags: int, level: int
) -> None:
    path = "python/__pycache__/a.cpython-313.pyc"
    entry = make_entry(tmp_path, path, compiled(flags), level=level)

    assert list(find_stale_bytecode(Tree((entry,)), target())) == []


@pytest.mark.parametrize("level", [0, 6])
def test_bytecode_with_a_time_is_noted(tmp_path: Path, level: int) -> None:
    path = "python/__pycache__/a.cpython-313.pyc"
    entry = make_entry(tmp_path, path, compiled(0), level=level)

    assert list(find_stale_bytecode(Tree((entry,)), target())) == [
        Finding(
            check="bytecode",
            severity=Severity.NOTE,
            message="52 bytes of bytecode (1 .pyc) are valid while sources have the "
            "times that they name: a zip rounds those, or has none",
            remedy="Compile it with --invalidation-mode unchecked-hash: bytecode = "
            "true does.",
        )
    ]


def test_bytecode_of_another_python_is_noted(tmp_path: Path) -> None:
    path = "python/demo/__pycache__/a.cpython-312.opt-1.pyc"
    entry = make_entry(tmp_path, path, compiled(3))

    assert list(find_stale_bytecode(Tree((entry,)), target())) == [
        Finding(
            check="bytecode",
            severity=Severity.NOTE,
            message="52 bytes of bytecode (1 .pyc) are for cpython-312, which "
            "python3.13 never reads",
            remedy="Leave it out with exclude; bytecode = true compiles for the "
            "runtime.",
        )
    ]


# -- hidden modules --------


@pytest.mark.parametrize("path", ["enum.py", "enum/__init__.py", "enum.pyc"])
def test_a_module_that_hides_one_of_python_s_is_warned_of(path: str) -> None:
    assert list(find_shadows(tree_of(path), target())) == [
        Finding(
            check="shadow",
            severity=Severity.WARNING,
            path=f"python/{path}",
            message="hides the standard library's own enum: whatever imports enum "
            "gets this one",
            remedy="Give it another name; a backport of what Python has can be left "
            "out with exclude.",
        )
    ]


# Begins as Lambda's own program does, which then puts the layer before the rest.
IMPORTING: Final = """
import os, site, sys
_, folder, *names = sys.argv
sys.path.insert(0, folder)
for name in names:
    if not hasattr(__import__(name), "HIDDEN"):
        print(name, flush=True)
os._exit(0)
"""


def test_the_modules_that_are_spoken_of_can_be_hidden(tmp_path: Path) -> None:
    facts = Path(shadowing.__file__).parents[2] / "data" / "standard-library.toml"
    modules = set(tomllib.loads(facts.read_text())["modules"])
    # Some builds have built in what Lambda's has in files.
    in_files = modules - set(sys.builtin_module_names)
    for name in in_files:
        (tmp_path / f"{name}.py").write_text("HIDDEN = True")
    program = tmp_path / "program.txt"
    program.write_text(IMPORTING)

    found = subprocess.run(
        (sys.executable, "-I", "-S", program, tmp_path, *in_files),
        check=True,
        capture_output=True,
        text=True,
    )

    assert found.stdout == ""
    assert NEVER_HIDDEN.isdisjoint(modules)


@pytest.mark.parametrize(
    "path", ["demo/enum.py", "enum/notes.txt", "test/__init__.py", "cgi/__init__.py"]
)
def test_what_hides_nothing_is_not_spoken_of(path: str) -> None:
    assert list(find_shadows(tree_of(path), target())) == []


# -- distributions --------


def test_two_versions_of_one_package_are_warned_of() -> None:
    tree = tree_of("Demo_A-1.0.dist-info/METADATA", "demo.a-1.10.dist-info/RECORD")

    found = find_duplicates(find_distributions(tree, target()))

    assert list(found) == [
        Finding(
            check="duplicate",
            severity=Severity.WARNING,
            path="python/demo.a-1.10.dist-info",
            message="demo-a is there as 1.0 and as 1.10: which one importlib.metadata "
            "tells is chance, and files of both may be mixed",
            remedy="Install into an empty folder: pip install --target takes no other "
            "version away.",
        )
    ]


@pytest.mark.parametrize(
    "paths",
    [
        ["demo-1.dist-info/METADATA", "demo-1.dist-info/RECORD"],
        ["demo-1.dist-info/METADATA", "Demo-1.dist-info/METADATA"],
        ["demo-1.dist-info/METADATA", "other/_vendor/demo-2.dist-info/METADATA"],
    ],
)
def test_one_version_of_a_package_is_fine(paths: list[str]) -> None:
    assert list(find_duplicates(find_distributions(tree_of(*paths), target()))) == []


def sdk(*infos: str, packages: Sequence[str] = ()) -> list[Finding]:
    tree = tree_of(
        *(f"{info}.dist-info/METADATA" for info in infos),
        *(f"{package}/__init__.py" for package in packages),
    )
    named = find_distributions(tree, target())
    return list(find_partial_sdk((*find_packages(tree, target()), *named)))


def test_a_part_of_the_sdk_is_warned_of() -> None:
    assert sdk("botocore-1.34.0", "jmespath-1.0.1", "urllib3-2.2.1") == [
        Finding(
            check="sdk",
            severity=Severity.WARNING,
            path="python/botocore-1.34.0.dist-info",
            message="botocore 1.34.0 would run with the runtime's own boto3 and "
            "s3transfer: boto3 can't be imported where botocore is older than the "
            "rest expects",
            remedy="Add boto3 and s3transfer, or leave all of it to the runtime: "
            "exclude-runtime-sdk = true",
        )
    ]


def test_a_part_of_the_sdk_without_metadata_is_warned_of() -> None:
    (found,) = sdk("s3transfer-0.19.0", packages=["botocore", "s3transfer", "urllib3"])

    assert (found.path, found.message) == (
        "python/botocore",
        (
            "botocore and s3transfer 0.19.0 would run with the runtime's own boto3: "
            "boto3 can't be imported where botocore is older than the rest expects"
        ),
    )


def test_all_of_the_sdk_without_metadata_is_fine() -> None:
    assert sdk("boto3-1.44.5", packages=["botocore", "s3transfer"]) == []


def test_a_package_inside_of_another_is_no_part_of_the_sdk() -> None:
    assert sdk(packages=["demo/vendored/botocore", "demo"]) == []


@pytest.mark.parametrize(
    "infos",
    [
        ["boto3-1.44.5", "botocore-1.44.5", "s3transfer-0.19.0", "urllib3-9.0"],
        ["requests-2.32.0", "urllib3-2.6.0"],
        ["python_dateutil-4.0.0", "six-1.17.0"],
        ["urllib3-not.a.version"],
    ],
)
def test_all_of_the_sdk_or_what_it_takes_is_fine(infos: list[str]) -> None:
    assert sdk(*infos) == []


def test_what_the_runtime_s_own_botocore_refuses_is_warned_of() -> None:
    assert sdk("urllib3-2.2.0") == [
        Finding(
            check="sdk",
            severity=Severity.WARNING,
            path="python/urllib3-2.2.0.dist-info",
            message="urllib3 2.2.0 stands before the runtime's own, whose botocore "
            "takes >=1.25.4,!=2.2.0,<3",
            remedy="Ask for urllib3>=1.25.4,!=2.2.0,<3; or add boto3, and the layer "
            "has an SDK of its own.",
        )
    ]


# -- .pth files --------


def startup(folder: Path, text: str, name: str = "demo.pth") -> list[Finding]:
    entries = [
        make_entry(folder, f"python/{name}", text.encode()),
        make_entry(folder, "python/demo/src/a.py"),
    ]
    return list(find_startup_files(unite(entries), target()))


def test_code_that_runs_at_every_cold_start_is_noted(tmp_path: Path) -> None:
    assert startup(tmp_path, "# ours\nimport os;  os.x = 'abc'\n") == [
        Finding(
            check="pth",
            severity=Severity.NOTE,
            path="python/demo.pth",
            message="runs code at every cold start: import os; os.x = 'abc'",
            remedy="Leave it out with exclude, if nothing needs what it does.",
        )
    ]


def test_long_code_is_cut(tmp_path: Path) -> None:
    (found,) = startup(tmp_path, f"import {'a' * 300}")

    assert found.message == f"runs code at every cold start: import {'a' * 192}…"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "/home/me/demo\n",
            "puts /home/me/demo on the path, which is not in the layer",
        ),
        ("import _demo_finder\n", "finds its package outside of the layer"),
    ],
)
def test_what_an_editable_install_left_is_warned_of(
    tmp_path: Path, text: str, told: str
) -> None:
    name = "__editable__.demo-1.pth"

    assert startup(tmp_path, text, name) == [
        Finding(
            check="pth",
            severity=Severity.WARNING,
            path=f"python/{name}",
            message=f"{told}: it was left by an editable install",
            remedy="Install the package itself: pip install without -e.",
        )
    ]


@pytest.mark.parametrize("place", ["/home/me/demo", "../gone", "../../etc"])
def test_what_is_put_on_the_path_and_not_in_the_layer_is_warned_of(
    tmp_path: Path, place: str
) -> None:
    assert startup(tmp_path, place) == [
        Finding(
            check="pth",
            severity=Severity.WARNING,
            path="python/demo.pth",
            message=f"puts {place} on the path, which is not in the layer",
            remedy="Leave it out with exclude; if pip install -e left it, install the "
            "package itself.",
        )
    ]


def test_a_mark_of_the_byte_order_is_none_of_a_pth_file_s_lines(tmp_path: Path) -> None:
    (found,) = startup(tmp_path, "\ufeffimport os")

    assert found.message == "runs code at every cold start: import os"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("demo.pth", "demo/src\n\n# import os\n"),
        ("demo.pth", "./demo/src/a.py\n"),
        ("demo.pth", "/opt/python/demo\n/var/task/lib\n"),
        (".demo.pth", "import os\n"),
        ("demo/demo.pth", "import os\n"),
    ],
)
def test_places_that_are_there_and_files_that_nobody_reads_are_fine(
    tmp_path: Path, name: str, text: str
) -> None:
    assert startup(tmp_path, text, name) == []
