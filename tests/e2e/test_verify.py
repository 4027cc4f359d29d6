"""layerforge verify, with the Python of this machine; tests/docker has the runtime."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from layerforge.target import Arch, load_runtimes
from tests.e2e.program import Outcome, Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="layers are for Linux")

MINOR: Final = platform.python_version().rpartition(".")[0]
ARCH: Final = next(arch for arch in Arch if arch.machine == platform.machine())
TARGET: Final = f"python{MINOR}-{ARCH}"
OPTIONS: Final = ("--runtime", f"python{MINOR}", "--arch", str(ARCH))
ZIP: Final = f"dist/web-{TARGET}.zip"


@pytest.fixture
def verifier(web: Program) -> Program:
    """The program where the tests' own Python is on PATH."""
    own = Path(sys.base_prefix) / "bin"
    return web.elsewhere(variables={"PATH": f"{own}{os.pathsep}{os.environ['PATH']}"})


def built(program: Program) -> Program:
    ran = program("build", "-r", "requirements.in", "--name", "web", *OPTIONS)
    assert ran.status == 0, ran.stderr
    return program


def zipped(program: Program, modules: dict[str, str]) -> str:
    with zipfile.ZipFile(program.folder / "layer.zip", "w") as archive:
        for name, text in modules.items():
            _write(archive, f"python/{name}.py", text)
    return "layer.zip"


def _write(archive: zipfile.ZipFile, name: str, text: str) -> None:
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o100644 << 16  # zipfile's own default is 600
    archive.writestr(member, text)


def timeless(ran: Outcome) -> str:
    """Give a table with its figures made the same for every machine."""
    text = re.sub(r" +[\d,]+ +[\d.]+$", "  N  N", ran.stdout, flags=re.MULTILINE)
    return re.sub(r"[\d,.]+ (ms|MiB)", r"N \1", text)


def test_a_built_layer_is_proven(verifier: Program) -> None:
    ran = built(verifier)("verify", ZIP, "--local")

    assert (ran.status, ran.stderr) == (0, "")
    assert timeless(ran) == (
        f"{ZIP} for {TARGET}\n"
        "  imported on this machine, whose own libraries help: this proves less\n"
        "  module  package  result  ms  MiB\n"
        "  demo    demo     ok  N  N\n"
        "  helper  helper   ok  N  N\n"
        "  2 modules in N ms; the runtime by itself took N ms\n"
        "  at most N MiB of memory\n"
    )


def test_a_broken_module_ends_with_5_and_says_why(verifier: Program) -> None:
    text = (
        "raise ImportError('libpq.so.5: cannot open shared object file: No such file')"
    )
    archive = zipped(
        verifier, {"good": "", "psycopg2": text, "plugin": "import pytest"}
    )

    ran = verifier("verify", archive, *OPTIONS, "--local")

    assert (ran.status, ran.stderr) == (
        5,
        "error: layer.zip: 1 of 3 modules can't be imported\n",
    )
    assert timeless(ran) == (
        f"layer.zip for {TARGET}\n"
        "  imported on this machine, whose own libraries help: this proves less\n"
        "  module    package  result    ms  MiB\n"
        "  psycopg2           FAILED  N  N\n"
        "    ImportError: libpq.so.5: cannot open shared object file: No such file\n"
        "    try: Add a package that brings libpq.so.5, or put it into the layer's "
        "lib/\n"
        "      with include.\n"
        "  plugin             optional  N  N\n"
        "    ModuleNotFoundError: No module named 'pytest'\n"
        "    try: Add the package that brings pytest, if you need this.\n"
        "  good               ok  N  N\n"
        "  3 modules in N ms; the runtime by itself took N ms\n"
        "  at most N MiB of memory\n"
    )


def test_json_has_these_fields(verifier: Program) -> None:
    archive = zipped(verifier, {"bad": "1 / 0"})

    ran = verifier("verify", archive, *OPTIONS, "--local", "--json")

    (layer,) = ran.document["layers"]
    assert ran.status == 5
    assert (layer["path"], layer["target"], layer["findings"]) == (archive, TARGET, [])
    assert layer["error"] == {
        "kind": "verify",
        "exit_code": 5,
        "message": "1 of 1 module can't be imported",
        "remedy": "",
    }
    probe = layer["probe"]
    assert probe["how"] == "interpreter"
    assert {key: type(value).__name__ for key, value in probe.items()} == {
        "how": "str",
        "init_milliseconds": "float",
        "import_milliseconds": "float",
        "peak_memory": "int",
        "modules": "list",
    }
    (row,) = probe["modules"]
    assert (row["module"], row["ok"], row["optional"]) == ("bad", False, False)
    assert row["error"] == "ZeroDivisionError: division by zero"
    assert row["trace"][-1] == row["error"]


def test_further_modules_are_imported(verifier: Program) -> None:
    ran = built(verifier)("verify", ZIP, "--local", "--import", "demo.absent")

    assert ran.status == 5
    assert "ModuleNotFoundError: No module named 'demo.absent'" in ran.stdout


def test_the_lowest_status_that_applies_is_given_and_all_zips_are_verified(
    verifier: Program,
) -> None:
    archive = zipped(verifier, {"good": ""})

    ran = verifier("verify", "nothing.zip", archive, *OPTIONS, "--local")

    assert (ran.status, ran.stderr) == (
        2,
        (
            "error: nothing.zip: there is no such file\n"
            "try: Name a zip; layerforge build prints the paths of those it makes.\n"
        ),
    )
    assert ran.stdout.startswith(f"layer.zip for {TARGET}\n")


def test_a_zip_without_a_manifest_needs_a_target(verifier: Program) -> None:
    ran = verifier("verify", zipped(verifier, {"good": ""}), "--local")

    assert (ran.status, ran.stderr) == (
        2,
        (
            "error: layer.zip: no manifest lies beside it that tells what it is for\n"
            "try: Say it: --runtime python3.13 --arch arm64\n"
        ),
    )


def test_a_layer_for_node_is_proven_by_the_node_of_this_machine(
    verifier: Program,
) -> None:
    version = node_version()
    if f"nodejs{version}.x" not in load_runtimes():
        pytest.skip("no Node.js of a runtime is on PATH")
    with zipfile.ZipFile(verifier.folder / "layer.zip", "w") as archive:
        for name, text in {"good": "", "bad": "null.x"}.items():
            _write(archive, f"nodejs/node_modules/{name}/index.js", text)
    words = ("--runtime", f"nodejs{version}.x", "--arch", str(ARCH))

    ran = verifier("verify", "layer.zip", *words, "--local", "--import", "good/gone")

    assert (ran.status, ran.stderr) == (
        5,
        "error: layer.zip: 2 of 3 modules can't be imported\n",
    )
    assert timeless(ran) == (
        f"layer.zip for nodejs{version}.x-{ARCH}\n"
        "  imported on this machine, whose own libraries help: this proves less\n"
        "  module     package  result  ms  MiB\n"
        "  good/gone  good     FAILED  N  N\n"
        "    Error: Cannot find module 'good/gone'\n"
        "    try: A part was left out, or is not for "
        f"nodejs{version}.x-{ARCH}: build the layer\n"
        "      for it; if that is so, try --strip none.\n"
        "  bad        bad      FAILED  N  N\n"
        "    TypeError: Cannot read properties of null (reading 'x')\n"
        "  good       good     ok  N  N\n"
        "  3 modules in N ms; the runtime by itself took N ms\n"
        "  at most N MiB of memory\n"
    )


def node_version() -> str:
    """Give the major version of the Node.js on PATH, '' where there is none."""
    if not shutil.which("node"):
        return ""
    asked = ["node", "--version"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True)
    return answer.stdout[1:].partition(".")[0]


def test_without_an_engine_this_machine_does_it(verifier: Program) -> None:
    nowhere = f"unix://{verifier.home}/docker.sock"
    lonely = verifier.elsewhere(
        variables={**verifier.variables, "DOCKER_HOST": nowhere}
    )

    ran = lonely("verify", zipped(lonely, {"good": ""}), *OPTIONS)

    assert ran.status == 0, ran.stderr
    assert ran.stderr.startswith(f"warning: no container engine answers at {nowhere}")
    assert ran.stderr.endswith(
        ": the modules are imported on this machine, which proves less\n"
    )
