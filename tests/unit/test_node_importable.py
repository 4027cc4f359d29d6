"""What a layer of Node.js packages lets a function load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from layerforge.ecosystems.node.importable import find_import_only, find_imports
from layerforge.imports import Import
from layerforge.target import Arch, Target, find_runtime
from layerforge.tree import FileEntry
from tests.entries import make_entry

ROOT: Final = "nodejs/node_modules"
TARGET: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.ARM64)
NEWER: Final = Target(runtime=find_runtime("nodejs24.x"), arch=Arch.ARM64)


def package(
    folder: Path, name: str, *files: str, root: str = ROOT, **manifest: object
) -> list[FileEntry]:
    """Give a package's entries: its package.json, and further files."""
    document = json.dumps({"name": name, "version": "1.0.0"} | manifest).encode()
    return [
        make_entry(folder, f"{root}/{name}/package.json", document),
        *(make_entry(folder, f"{root}/{name}/{file}") for file in files),
    ]


def names(entries: list[FileEntry], target: Target = TARGET) -> list[str]:
    return [one.module for one in find_imports(entries, target)]


def test_packages_are_named_in_order_scoped_ones_by_both_parts(tmp_path: Path) -> None:
    entries = [
        *package(tmp_path, "pg", "lib/index.js", main="./lib"),
        *package(tmp_path, "@aws-sdk/client-s3", "dist/index.js", main="dist/index"),
        *package(tmp_path, "pg/node_modules/old", "index.js"),
        make_entry(tmp_path, f"{ROOT}/.bin/tool"),
        make_entry(tmp_path, f"{ROOT}/.package-lock.json"),
        make_entry(tmp_path, "nodejs/readme.js"),
    ]

    assert names(entries) == ["@aws-sdk/client-s3", "pg"]


def test_the_versioned_folder_comes_first(tmp_path: Path) -> None:
    entries = [
        *package(tmp_path, "both", "index.js"),
        *package(
            tmp_path, "both", "index.d.ts", root="nodejs/node22/node_modules", main=""
        ),
        *package(tmp_path, "mine", "index.js", root="nodejs/node22/node_modules"),
        *package(tmp_path, "theirs", "index.js", root="nodejs/node20/node_modules"),
    ]

    assert names(entries) == ["mine"]


def test_an_alias_is_loaded_by_its_folder_and_is_of_its_package(tmp_path: Path) -> None:
    entries = package(tmp_path, "pg8", "index.js")
    entries[0] = make_entry(
        tmp_path, f"{ROOT}/pg8/package.json", b'{"name": "pg", "version": "8.0.0"}'
    )

    assert find_imports(entries, TARGET) == (Import(module="pg8", distribution="pg"),)


def test_what_others_depend_on_is_a_dependency(tmp_path: Path) -> None:
    entries = [
        *package(tmp_path, "app", "index.js", dependencies={"needed": "*"}),
        *package(tmp_path, "app/node_modules/in", optionalDependencies={"deep": "1"}),
        *package(tmp_path, "deep", "index.js"),
        *package(tmp_path, "host", "index.js"),
        *package(tmp_path, "needed", "index.js", peerDependencies={"host": "*"}),
    ]

    found = find_imports(entries, TARGET)

    assert [(one.module, one.dependency) for one in found] == [
        ("app", False),
        ("deep", True),
        ("host", False),
        ("needed", True),
    ]


@pytest.mark.parametrize(
    ("files", "manifest"),
    [
        pytest.param(["index.js"], {}, id="index"),
        pytest.param(["index.json"], {}, id="data"),
        pytest.param(["main.js", "a.js"], {"main": "a"}, id="no suffix"),
        pytest.param(["index.js"], {"main": "gone.js"}, id="index after all"),
        pytest.param(["lib/a.js"], {"main": "lib/gone.js"}, id="broken"),
        pytest.param(["a.node"], {"main": "a.node"}, id="native"),
        pytest.param(["a.mjs"], {"exports": "./a.mjs"}, id="exports"),
        pytest.param(
            ["a.js"],
            {"exports": {"types": "./a.d.ts", "import": "./a.js"}},
            id="import",
        ),
        pytest.param(
            ["a.js"],
            {"exports": {".": [{"node": {"require": "./a.js"}}, "./b.js"]}},
            id="nested",
        ),
        pytest.param([], {"exports": {".": "./gone.js"}}, id="exports, broken"),
        pytest.param(["index.js"], {"engines": {"node": ">=18", "bun": "1"}}, id="two"),
        pytest.param(["index.js"], {"engines": {"npm": ">=8"}}, id="npm"),
        pytest.param(["index.js"], {"engines": ["node >= 0.8"]}, id="old engines"),
    ],
)
def test_what_has_something_to_load_is_loaded(
    tmp_path: Path, files: list[str], manifest: dict[str, Any]
) -> None:
    assert names(package(tmp_path, "demo", *files, **manifest)) == ["demo"]


@pytest.mark.parametrize(
    ("files", "manifest"),
    [
        pytest.param(["index.d.ts"], {"main": "", "types": "index.d.ts"}, id="types"),
        pytest.param(["index.d.ts"], {"main": "index.d.ts"}, id="types for main"),
        pytest.param(["index.d.ts"], {"main": "index.js"}, id="no code at all"),
        pytest.param(["a.css", "b.js"], {"main": "a.css"}, id="style"),
        pytest.param(["bin/tool.js"], {"bin": "bin/tool.js"}, id="a program"),
        pytest.param(
            ["a.js"],
            {"bin": "a.js", "exports": {".": {"default": "./types.js"}}},
            id="a program with types",
        ),
        pytest.param(["bin/esbuild"], {}, id="a binary"),
        pytest.param(["a.js"], {"exports": {"./a": "./a.js"}}, id="parts alone"),
        pytest.param(["a.js"], {"exports": {".": None}}, id="nothing exported"),
        pytest.param(["a.js"], {"exports": {"browser": "./a.js"}}, id="browser"),
        pytest.param(
            ["index.js"], {"exports": {".": {"types": "./a.d.ts"}}}, id="types exported"
        ),
        pytest.param(["index.js"], {"engines": {"bare": ">=1"}}, id="another engine"),
    ],
)
def test_what_has_nothing_to_load_is_left_out(
    tmp_path: Path, files: list[str], manifest: dict[str, Any]
) -> None:
    assert names(package(tmp_path, "demo", *files, **manifest)) == []


@pytest.mark.parametrize(
    "text",
    [b"{", b"[]", b"\xff\xfe", b"[" * 100_000],
    ids=["cut", "list", "no", "deep"],
)
def test_a_damaged_manifest_is_left_to_node(tmp_path: Path, text: bytes) -> None:
    entries = [
        make_entry(tmp_path, f"{ROOT}/demo/package.json", text),
        make_entry(tmp_path, f"{ROOT}/demo/index.js"),
    ]

    assert names(entries) == ["demo"]


def test_a_linked_package_is_loaded() -> None:
    link = FileEntry(path=f"{ROOT}/@my/lib", origin="", link="../../packages/lib")

    assert names([link]) == ["@my/lib"]


@pytest.mark.parametrize(
    ("files", "manifest", "refused"),
    [
        pytest.param(["index.js"], {}, False, id="plain"),
        pytest.param(["index.js"], {"type": "module"}, True, id="type"),
        pytest.param(["a.mjs"], {"main": "a.mjs"}, True, id="mjs"),
        pytest.param(["a.cjs"], {"type": "module", "main": "a.cjs"}, False, id="cjs"),
        pytest.param(["a.js"], {"exports": {"import": "./a.js"}}, True, id="import"),
        pytest.param(
            ["a.js", "b.cjs"],
            {"type": "module", "exports": {"import": "./a.js", "require": "./b.cjs"}},
            False,
            id="dual",
        ),
        pytest.param(
            ["a.js", "a.mjs"],
            {"exports": {"module-sync": "./a.mjs", "default": "./a.js"}},
            False,
            id="module-sync",
        ),
        pytest.param(
            ["a.js"],
            {"type": "module", "exports": {".": {"default": "./a.js"}}},
            True,
            id="default",
        ),
    ],
)
def test_es_modules_alone_are_told_where_require_refuses_them(
    tmp_path: Path, files: list[str], manifest: dict[str, Any], *, refused: bool
) -> None:
    entries = package(tmp_path, "demo", *files, **manifest)

    assert find_import_only(entries, TARGET) == (("demo",) if refused else ())
    assert find_import_only(entries, NEWER) == ()


def test_the_nearest_manifest_says_what_a_file_is(tmp_path: Path) -> None:
    entries = [
        *package(tmp_path, "demo", "cjs/a.js", type="module", main="cjs/a.js"),
        make_entry(tmp_path, f"{ROOT}/demo/cjs/package.json", b'{"type": "commonjs"}'),
    ]

    assert find_import_only(entries, TARGET) == ()


def test_es_modules_that_others_depend_on_are_the_concern_of_those(
    tmp_path: Path,
) -> None:
    entries = [
        *package(tmp_path, "got", "index.js", type="module", dependencies={"dep": "1"}),
        *package(tmp_path, "dep", "index.js", type="module"),
    ]

    assert find_import_only(entries, TARGET) == ("got",)


def test_a_dependency_without_its_main_file_is_used_in_another_way(
    tmp_path: Path,
) -> None:
    entries = [
        *package(tmp_path, "app", "index.js", dependencies={"a": "1", "b": "1"}),
        *package(tmp_path, "a", "part.js", main="gone.js"),
        *package(tmp_path, "b", "part.js", exports="./gone.js"),
    ]

    assert names(entries) == ["app"]


@pytest.mark.parametrize(
    ("files", "manifest"),
    [
        pytest.param(["get.js"], {"main": "index.js"}, id="main"),
        pytest.param(
            ["i.mjs"],
            {"exports": {"import": "./i.mjs", "require": "./r.cjs"}},
            id="exports",
        ),
    ],
)
def test_a_shaken_package_without_what_require_takes_is_left_out(
    tmp_path: Path, files: list[str], manifest: dict[str, Any]
) -> None:
    entries = package(tmp_path, "demo", *files, **manifest)

    assert names(entries) == ["demo"]
    assert find_imports(entries, TARGET, shaken=True) == ()


@pytest.mark.parametrize(
    ("files", "manifest"),
    [
        pytest.param(["index.js"], {"main": "index.js"}, id="main"),
        pytest.param(["i.mjs"], {"exports": {"import": "./i.mjs"}}, id="import alone"),
        pytest.param(
            ["r.cjs"],
            {"exports": {"import": "./i.mjs", "require": "./r.cjs"}},
            id="require of both",
        ),
    ],
)
def test_a_shaken_package_with_what_require_takes_is_loaded(
    tmp_path: Path, files: list[str], manifest: dict[str, Any]
) -> None:
    found = find_imports(
        package(tmp_path, "demo", *files, **manifest), TARGET, shaken=True
    )

    assert [one.module for one in found] == ["demo"]
