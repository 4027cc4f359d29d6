"""Layers of Node.js packages proven by the Node.js of this machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from layerforge import imports
from layerforge.archives.zips import index_zip
from layerforge.ecosystems.node import probing
from layerforge.errors import BuildError
from layerforge.imports import How
from layerforge.probe import ProbeReport, ProbeResult, probe_zip
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime, load_runtimes
from layerforge.tools import Tools
from layerforge.tree import Tree


def present_version() -> str:
    """Give the major version of the Node.js on PATH, '' where there is none."""
    if not shutil.which("node"):
        return ""
    answer = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, check=True
    )
    return answer.stdout[1:].partition(".")[0]


VERSION: Final = present_version()
ARCH: Final = next(arch for arch in Arch if arch.machine == platform.machine())
PRESENT: Final = f"nodejs{VERSION}.x" in load_runtimes()
RUNTIME: Final = find_runtime(f"nodejs{VERSION}.x" if PRESENT else "nodejs22.x")
TARGET: Final = Target(runtime=RUNTIME, arch=ARCH)
TOOLS: Final = Tools(store=Store(Path(os.devnull)))  # nothing here needs one

node = pytest.mark.skipif(
    sys.platform != "linux" or not PRESENT, reason="no Node.js of a runtime is on PATH"
)


def layer(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "layer.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"nodejs/node_modules/{name}", text)
    return path


def manifest(name: str, **more: object) -> str:
    return json.dumps({"name": name, "version": "1.0.0"} | more)


def probed(path: Path, imports: tuple[str, ...] = ()) -> ProbeReport:
    entries = index_zip(path, layer=True)
    tree = Tree(tuple(sorted(entries, key=lambda entry: entry.path)))
    return probe_zip(path, tree, TARGET, TOOLS, imports=imports, local=True)


def of_modules(folder: Path, modules: dict[str, str]) -> ProbeReport:
    """Probe a layer of packages that have one file each, in CommonJS."""
    files: dict[str, str] = {}
    for name, text in modules.items():
        files |= {f"{name}/package.json": manifest(name), f"{name}/index.js": text}
    return probed(layer(folder, files))


def row_of(report: ProbeReport, module: str) -> ProbeResult:
    return next(row for row in report.modules if row.module == module)


@node
def test_packages_are_loaded_and_measured(tmp_path: Path) -> None:
    large = "module.exports = Buffer.alloc(20_000_000, 1);"
    busy = "const end = Date.now() + 50; while (Date.now() < end);"

    report = of_modules(tmp_path, {"large": large, "slow": busy})

    assert [(row.module, row.error) for row in report.modules] == [
        ("large", ""),
        ("slow", ""),
    ]
    # Other memory may be given back meanwhile, and clocks differ by a little.
    assert 10_000_000 < row_of(report, "large").memory < report.peak_memory
    assert row_of(report, "slow").milliseconds > 40
    assert report.init_milliseconds > 0
    assert report.how is How.INTERPRETER


@node
def test_one_process_loads_them_all_in_order(tmp_path: Path) -> None:
    modules = {
        "a": "globalThis.seen = ['a'];",
        "b": "if (String(seen) !== 'a' || require.main === module) throw Error(seen);",
    }

    assert of_modules(tmp_path, modules).failed == ()


@node
def test_es_modules_are_imported(tmp_path: Path) -> None:
    report = probed(
        layer(
            tmp_path,
            {
                "got/package.json": manifest(
                    "got", type="module", exports={"import": "./main.js"}
                ),
                "got/main.js": "import '@my/part';\nawait 1;\nexport default 1;\n",
                "@my/part/package.json": manifest("@my/part", type="module"),
                "@my/part/index.js": "export default import.meta.url;\n",
            },
        )
    )

    assert [(row.module, row.error) for row in report.modules] == [
        ("@my/part", ""),
        ("got", ""),
    ]


@node
def test_the_versioned_folder_is_looked_through_too(tmp_path: Path) -> None:
    path = layer(tmp_path, {"a/index.js": "require('b');"})
    with zipfile.ZipFile(path, "a") as archive:
        folder = f"nodejs/node{VERSION}/node_modules"
        archive.writestr(f"{folder}/b/index.js", "")
        archive.writestr(f"{folder}/c/index.mjs", "export default 1;")
        archive.writestr(f"{folder}/c/package.json", manifest("c", main="index.mjs"))

    report = probed(path)

    assert [(row.module, row.error) for row in report.modules] == [
        ("a", ""),
        ("b", ""),
        ("c", ""),
    ]


@node
@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("process.exit(3)", "the process ended: exit status 3", id="exit"),
        pytest.param(
            "process.kill(process.pid, 'SIGSEGV'); for (;;);",
            "the process ended: signal: segmentation fault",
            id="crash",
        ),
        pytest.param("null.x", "TypeError: Cannot read properties of null", id="error"),
        pytest.param("let x =", "SyntaxError: Unexpected end of input", id="syntax"),
        pytest.param("throw 'text'", "thrown: text", id="text"),
        pytest.param("throw undefined", "thrown: undefined", id="nothing"),
        pytest.param(
            "console.log('<<<layerforge probe'); throw Error('no')",
            "Error: no",
            id="noise",
        ),
        pytest.param(
            "JSON.parse = JSON.stringify = process.exit = null; throw Error('no')",
            "Error: no",
            id="patches",
        ),
    ],
)
def test_nothing_that_a_package_does_ends_the_probe(
    tmp_path: Path, text: str, error: str
) -> None:
    report = of_modules(tmp_path, {"bad": text, "good": ""})

    bad, good = report.modules
    assert bad.error.startswith(error)
    assert (good.module, good.ok) == ("good", True)


@node
@pytest.mark.parametrize(
    "text",
    [
        "setImmediate(() => { throw new Error('late'); })",
        "Promise.reject(new Error('late'))",
    ],
    ids=["throws", "rejects"],
)
def test_what_fails_just_after_it_was_loaded_is_told_of_it(
    tmp_path: Path, text: str
) -> None:
    report = of_modules(tmp_path, {"bad": text, "good": ""})

    (failed,) = report.failed
    assert (failed.module, failed.error, failed.cause) == (
        "bad",
        "the process ended: exit status 1",
        "Error: late",
    )
    assert any("bad/index.js" in line for line in failed.trace)


@node
def test_a_package_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (probing, imports):
        monkeypatch.setattr(module, "SECONDS", 1)

    report = of_modules(tmp_path, {"bad": "for (;;);", "good": ""})

    assert [(row.module, row.error) for row in report.modules] == [
        ("bad", "it took longer than 1 seconds"),
        ("good", ""),
    ]


@node
def test_a_clash_is_told_from_what_never_works(tmp_path: Path) -> None:
    modules = {
        "a": "globalThis.taken = true;",
        "b": "if (globalThis.taken) throw Error('taken');",
        "c": "throw Error('never');",
    }

    report = of_modules(tmp_path, modules)

    assert [(row.module, row.remedy) for row in report.failed] == [
        ("b", "By itself it can be imported: it clashes with a module before it."),
        ("c", ""),
    ]


@node
def test_what_nothing_brings_is_optional(tmp_path: Path) -> None:
    report = of_modules(tmp_path, {"orm": "require('pg-native/lib/x')"})

    (row,) = report.modules
    assert (row.optional, row.error) == (
        True,
        "Error: Cannot find module 'pg-native/lib/x'",
    )
    assert row.remedy == (
        "Add the package that brings pg-native/lib/x, if you need this."
    )


@node
@pytest.mark.parametrize(
    "text",
    [
        "require('./gone.js')",
        "require('other/gone')",
        "require.resolve(__dirname + '/x')",
    ],
    ids=["beside it", "of another", "absolute"],
)
def test_a_lost_part_is_no_optional_package(tmp_path: Path, text: str) -> None:
    report = of_modules(tmp_path, {"demo": text, "other": ""})

    (failed,) = report.failed
    assert failed.module == "demo"
    assert failed.remedy == (
        f"A part was left out, or is not for {TARGET}: build the layer for it; if that "
        "is so, try --strip none."
    )


@node
def test_the_sdk_is_brought_by_lambda(tmp_path: Path) -> None:
    report = of_modules(tmp_path, {"demo": "require('@aws-sdk/client-s3/dist/x')"})

    assert report.modules[0].optional
    assert report.modules[0].remedy == (
        "Lambda's own image brings @aws-sdk/client-s3/dist/x: it can be proven there."
    )


@node
def test_further_modules_must_work_and_belong_to_their_package(tmp_path: Path) -> None:
    path = layer(
        tmp_path,
        {
            "pg/package.json": manifest("pg"),
            "pg/index.js": "",
            "pg/lib/client.js": "require('absent')",
        },
    )

    report = probed(path, imports=("pg/lib/client",))

    (failed,) = report.failed
    assert (failed.module, failed.distribution) == ("pg/lib/client", "pg")
    assert failed.remedy == "Add the package that brings absent."


@node
def test_a_dependency_may_fail_in_its_own_way_if_it_is_whole(tmp_path: Path) -> None:
    path = layer(
        tmp_path,
        {
            "app/package.json": manifest(
                "app", dependencies=dict.fromkeys(["cut", "ends", "odd"], "*")
            ),
            "app/index.js": "",
            "ends/index.js": "process.exit(1)",
            "cut/index.js": "require('./gone')",
            "odd/index.js": "throw Error('only for builds')",
        },
    )

    report = probed(path)

    assert [row.module for row in report.failed] == ["cut"]
    assert row_of(report, "odd").optional
    assert row_of(report, "ends").optional


@node
def test_a_library_for_another_machine_is_told(tmp_path: Path) -> None:
    path = layer(
        tmp_path,
        {"n/package.json": manifest("n", main="n.node"), "n/n.node": "no library" * 9},
    )

    (failed,) = probed(path).failed

    assert failed.error.endswith("n/n.node: invalid ELF header")
    assert failed.remedy == (
        f"A library is damaged or for another machine: build the layer for {TARGET}."
    )


@node
@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        pytest.param(
            "Error: Could not locate the bindings file. Tried:",
            "Its native code is not in the layer: if its install script was skipped, "
            'let it run in the build container (install-scripts = {"@my/db" = "run"}).',
            id="bindings",
        ),
        pytest.param(
            "Error: No native build was found for platform=linux arch=x64",
            "Its native code is not in the layer: if its install script was skipped, "
            'let it run in the build container (install-scripts = {"@my/db" = "run"}).',
            id="node-gyp-build",
        ),
        pytest.param(
            "The module was compiled against a different Node.js version using "
            "NODE_MODULE_VERSION 93",
            "Its native code is for another version of Node.js: build the layer for "
            f"{TARGET}.",
            id="ABI",
        ),
    ],
)
def test_known_words_have_a_remedy(tmp_path: Path, said: str, remedy: str) -> None:
    path = layer(
        tmp_path,
        {
            "@my/db/package.json": manifest("@my/db"),
            "@my/db/index.js": f"throw Error({said!r})",
        },
    )

    assert probed(path).modules[0].remedy == remedy


@node
@pytest.mark.skipif(not VERSION or int(VERSION) >= 24, reason="it requires ES modules")
def test_requiring_an_es_module_is_refused_as_in_the_runtime(tmp_path: Path) -> None:
    path = layer(
        tmp_path,
        {
            "old/index.js": "require('esm')",
            "esm/package.json": manifest("esm", type="module"),
            "esm/index.js": "export default 1",
        },
    )

    report = probed(path)

    assert [row.module for row in report.failed] == ["old"]
    assert report.failed[0].remedy == (
        f"The require() of {TARGET} takes no ES modules, and a package that this one "
        "requires is nothing else: take an older version of that."
    )


def test_another_machine_needs_a_container(tmp_path: Path) -> None:
    other = Arch.ARM64 if ARCH is Arch.X86_64 else Arch.X86_64
    importer = probing.NodeImporter(tools=TOOLS)

    with pytest.raises(BuildError) as refused:
        importer.import_here((), replace(TARGET, arch=other), tmp_path)

    assert refused.value.message == (
        f"modules for {RUNTIME}-{other} can't be imported on this machine, which is "
        f"{sys.platform} on {platform.machine()}"
    )
