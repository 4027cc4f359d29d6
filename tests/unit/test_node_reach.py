"""What requiring a layer's packages loads, without requiring them."""

from __future__ import annotations

import json
from pathlib import Path
from time import process_time

import pytest

from layerforge.ecosystems import ecosystem_of
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import FileEntry, unite
from tests.entries import make_entry
from tests.libraries import foreign, library

TARGET = Target(runtime=find_runtime("nodejs22.x"), arch=find_arch("x86_64"))
MODULES = "nodejs/node_modules/"
SLOW = 2  # seconds; a search that goes over the rest from each line takes ten
ADDON = f"{MODULES}demo/build/Release/demo.node"


def loaded(folder: Path, sources: dict[str, str], *native: FileEntry) -> set[str]:
    entries = [
        make_entry(folder, MODULES + path, text.encode())
        for path, text in sources.items()
    ]
    tree = unite([*entries, *native])
    return set(ecosystem_of(TARGET).loaded(tree, TARGET))


def manifest(main: str = "index.js", **more: object) -> str:
    return json.dumps({"name": "demo", "version": "1.0.0", "main": main, **more})


@pytest.mark.parametrize(
    "text",
    [
        "const addon = require('./build/Release/demo.node')",
        'const { a,\n  b } = require("./build/Release/demo")',
        "module.exports = require('./build/Release/demo.node');",
        "exports.addon = require('./build/Release/demo.node');",
        "require('./build/Release/demo.node')",
        "const demo_1 = __importDefault(require('./build/Release/demo.node'));",
        "tslib_1.__exportStar(require('./build/Release/demo.node'), exports);",
        "const addon = require('bindings')('demo')",
        "module.exports = require('bindings')('demo.node');",
        "const addon = require('node-gyp-build')(__dirname)",
        "const build = require('node-gyp-build');\nconst x = build(__dirname)",
        "let a\nfunction F() {\n  b = a || (a = require('bindings')('demo.node'))\n}",
        "let a\nfunction f() {\n  a = require('bindings')('demo')\n}",
        "const a = require('bindings')('demo')\ntry { x() } catch (e) {}",
        "const a = require('bindings')('demo')\nconst x = process.platform",
        "import build from 'node-gyp-build'",
        "import {\n  build\n} from 'node-gyp-build'",
        "import a, { b as c } from './build/Release/demo.node';",
        "export * as addon from './build/Release/demo.node'",
        "import './build/Release/demo.node'",
        "x = ['src/*.js', \"it's\"]\nrequire('./build/Release/demo.node') // */",
        "const { a, // it's\n  b } = require('./build/Release/demo.node')",
    ],
)
def test_an_addon_that_is_required_for_certain_is_loaded(
    tmp_path: Path, text: str
) -> None:
    sources = {"demo/package.json": manifest(), "demo/index.js": text}

    assert loaded(tmp_path, sources, library(ADDON)) == {ADDON}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "function f() {\n  return require('./build/Release/demo.node')\n}",
        "const f = () => require('./build/Release/demo.node')",
        "try {\n  x = require('./build/Release/demo.node')\n} catch (e) {}",
        "try { x = require('node-gyp-build')(__dirname) } catch { x = null }",
        "const x = require('bindings')\ntry {\n  y = x('demo')\n} catch (e) {\n}",
        "const addon = require('bindings')('other')",
        "// require('./build/Release/demo.node')",
        "/*\nrequire('./build/Release/demo.node')\n*/",
        "x = `\nrequire('./build/Release/demo.node')\n`",
        "/* from here on\nrequire('./build/Release/demo.node')",
        "const bindings = require('./lib/bindings')",
        "exports.f = function () {\n  return require('bindings')('demo')\n}",
        "exports.f = function () {\n  const a = require('bindings')('demo')\n}",
        "if (on) {\n  module.exports = require('node-gyp-build')(__dirname)\n}",
        "if (process.platform == 'win32') {\n  a = require('bindings')('demo')\n}",
        "let a\ntry {\n  a = require('bindings')('demo')\n} catch (e) {}",
        "const b = require('bindings')\nif (process.platform == 'win32') b('demo')",
        "x = \"(a = require('bindings')('demo'))\"",
        "console.log(\"require('bindings')('demo')\")",
        "x = 'in two lines: \\\nrequire(\"./build/Release/demo.node\")'",
    ],
)
def test_an_addon_that_may_not_be_required_is_not_loaded(
    tmp_path: Path, text: str
) -> None:
    sources = {"demo/package.json": manifest(), "demo/index.js": text}

    assert loaded(tmp_path, sources, library(ADDON)) == set()


def test_a_source_of_many_exports_is_read_at_once(tmp_path: Path) -> None:
    exports = "".join(f"export const A{each} = {each}\n" for each in range(5000))
    sources = {"demo/package.json": manifest(), "demo/index.js": exports}
    begun = process_time()

    assert loaded(tmp_path, sources, library(ADDON)) == set()
    assert process_time() - begun < SLOW


def test_a_package_that_many_files_require_is_looked_for_once(tmp_path: Path) -> None:
    many = [f"demo/{each}.js" for each in range(300)]
    sources = {
        "demo/package.json": manifest(),
        "demo/index.js": "".join(f"require('./{each}')\n" for each in range(300)),
        **dict.fromkeys(many, "const inside = require('inside')"),
        "demo/node_modules/inside/package.json": manifest("inside.node"),
    }
    rest = [library(f"{MODULES}rest/{each}.txt") for each in range(30_000)]
    inside = f"{MODULES}demo/node_modules/inside/inside.node"
    begun = process_time()

    assert loaded(tmp_path, sources, library(inside), *rest) == {inside}
    assert process_time() - begun < SLOW


def test_files_are_followed_through_a_package(tmp_path: Path) -> None:
    sources = {
        "demo/package.json": manifest("lib"),
        "demo/lib/index.js": "const a = require('./a')",
        "demo/lib/a.js": "module.exports = require('../b')",
        "demo/b/package.json": manifest("c.cjs"),
        "demo/b/c.cjs": "require('../build/Release/demo')",
    }

    assert loaded(tmp_path, sources, library(ADDON)) == {ADDON}


def test_a_package_inside_of_another_is_followed(tmp_path: Path) -> None:
    inside = f"{MODULES}demo/node_modules/@s/inside/inside.node"
    sources = {
        "demo/package.json": manifest(),
        "demo/index.js": "const inside = require('@s/inside')",
        "demo/node_modules/@s/inside/package.json": manifest("inside.node"),
    }

    assert loaded(tmp_path, sources, library(inside)) == {inside}


def test_exports_come_before_main(tmp_path: Path) -> None:
    exports = {".": {"import": "./other.mjs", "require": "./one.cjs"}}
    sources = {
        "demo/package.json": manifest(exports=exports),
        "demo/index.js": "",
        "demo/one.cjs": "require('./build/Release/demo.node')",
    }

    assert loaded(tmp_path, sources, library(ADDON)) == {ADDON}


def test_the_prebuild_for_the_target_is_loaded(tmp_path: Path) -> None:
    sources = {
        "demo/package.json": manifest(),
        "demo/index.js": "module.exports = require('node-gyp-build')(__dirname)",
    }
    prebuilds = f"{MODULES}demo/prebuilds"
    native = (
        library(f"{prebuilds}/linux-x64/demo.glibc.node"),
        library(f"{prebuilds}/linux-x64/demo.musl.node"),
        library(f"{prebuilds}/linux-arm64/demo.glibc.node"),
        foreign(f"{prebuilds}/darwin-x64/demo.node"),
    )

    assert loaded(tmp_path, sources, *native) == {native[0].path}


def test_of_several_addons_none_is_taken_for_the_one(tmp_path: Path) -> None:
    sources = {
        "demo/package.json": manifest(),
        "demo/index.js": "module.exports = require('node-gyp-build')(__dirname)",
    }
    other = library(f"{MODULES}demo/build/Release/other.node")

    assert loaded(tmp_path, sources, library(ADDON), other) == set()


def test_what_node_gyp_leaves_behind_is_not_looked_for(tmp_path: Path) -> None:
    sources = {
        "demo/package.json": manifest(),
        "demo/index.js": "module.exports = require('bindings')('demo')",
    }
    left = library(ADDON.replace("/demo.node", "/obj.target/demo.node"))

    assert loaded(tmp_path, sources, library(ADDON), left) == {ADDON}


def test_an_addon_for_another_system_counts_in_its_place(tmp_path: Path) -> None:
    sources = {
        "demo/package.json": manifest(),
        "demo/index.js": "module.exports = require('bindings')('demo')",
    }

    assert loaded(tmp_path, sources, foreign(ADDON)) == {ADDON}


@pytest.mark.parametrize(
    ("asked", "is_loaded"),
    [
        ({}, True),
        ({"os": ["linux"], "cpu": ["x64", "arm64"]}, True),
        ({"os": ["!win32"]}, True),
        ({"os": ["darwin"]}, False),
        ({"cpu": ["arm64"]}, False),
        ({"os": "darwin"}, True),
    ],
)
def test_a_package_that_is_for_another_platform_is_not_required(
    tmp_path: Path, asked: dict[str, object], *, is_loaded: bool
) -> None:
    addon = foreign(f"{MODULES}demo/demo.node")
    sources = {"demo/package.json": manifest("demo.node", **asked)}

    assert (loaded(tmp_path, sources, addon) == {addon.path}) is is_loaded
