"""The files of a folder's package, held to what npm itself would pack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from layerforge.ecosystems.node.packlist import pack_folder, packed_files
from layerforge.store import Store

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("npx") is None, reason="npm is not installed"),
]

NAMED: Final = {"name": "demo", "version": "1.0.0"}
LINK: Final = "-> "  # what the content of a symbolic link begins with

SMALL: Final = (
    "index.js",
    "a.js",
    "b.JS",
    "README.md",
    "readme",
    "Readme.txt~",
    "LICENSE",
    "licence.md",
    "COPYING.LESSER",
    "CHANGELOG.md",
    "lib/a.js",
    "lib/b.ts",
    "lib/README.md",
    "lib/deep/c.js",
    "lib/deep/.d.js",
    "lib/deep/er/e.mjs",
    "lib/node_modules/inner/i.js",
    "src/a.ts",
    "src/lib/a.js",
    "test/a.test.js",
    "test/lib/x.js",
    "dist/a.min.js",
    "dist/a.js.map",
    ".hidden/file",
    ".env",
    "x+(y).js",
    "{z}.js",
    "[w].js",
    "na me.js",
    "ü.js",
)
NEVER: Final = (
    ".git/HEAD",
    "sub/.git/HEAD",
    ".gitignore~",
    ".svn/entries",
    "sub/CVS/Root",
    "sub/cvs/Root",
    ".hg/store",
    ".npmrc",
    "sub/.npmrc",
    ".DS_Store",
    "sub/.DS_Store",
    "sub/.ds_store/x",
    "._a",
    "sub/._b/c",
    "a.orig",
    "sub/A.ORIG",
    ".a.swp",
    ".lock-wscript",
    "sub/.lock-wscript",
    ".wafpickle-7",
    "build/config.gypi",
    "sub/build/config.gypi",
    "npm-debug.log",
    "sub/npm-debug.log",
    "archived-packages/a.tgz",
    "package-lock.json",
    "sub/package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "bun.lockb",
    "bun.lock",
    "npm-shrinkwrap.json",
    "node_modules/other/index.js",
    "sub/node_modules/other/index.js",
    "sub/package.json",
    "a*b.js",
    "index.js",
)
DEPENDENT: Final = {
    "node_modules/one/package.json": '{"name": "one", "version": "1.0.0", '
    '"dependencies": {"two": "*", "inner": "*", "gone": "*"}, '
    '"optionalDependencies": {"three": "*"}, "peerDependencies": {"four": "*"}}',
    "node_modules/one/.npmignore": "x.js",
    "node_modules/one/x.js": "",
    "node_modules/one/sub/.npmignore": "y.js",
    "node_modules/one/sub/y.js": "",
    "node_modules/one/sub/z.orig": "",
    "node_modules/one/z.orig": "",
    "node_modules/one/.git/HEAD": "",
    "node_modules/one/node_modules/inner/package.json": '{"name": "inner", '
    '"version": "1.0.0", "files": ["lib"], "dependencies": {"one": "*"}}',
    "node_modules/one/node_modules/inner/lib/i.js": "",
    "node_modules/one/node_modules/inner/test/i.js": "",
    "node_modules/two/package.json": '{"name": "two", "version": "1.0.0"}',
    "node_modules/two/index.js": "",
    "node_modules/three/package.json": '{"name": "three", "version": "1.0.0"}',
    "node_modules/four/package.json": '{"name": "four", "version": "1.0.0"}',
    "node_modules/five/package.json": '{"name": "five", "version": "1.0.0"}',
    "node_modules/@scope/six/package.json": '{"name": "@scope/six", '
    '"version": "1.0.0", "dependencies": {"seven": "*"}}',
    "node_modules/@scope/six/six.js": "",
    "node_modules/.bin/one": "",
    "local/package.json": '{"name": "seven", "version": "1.0.0"}',
    "local/.npmignore": "n.js",
    "local/n.js": "",
    "local/m.js": "",
    "node_modules/seven": f"{LINK}../local",
}


def files(
    *patterns: str, more: Mapping[str, str] | None = None, **fields: object
) -> dict[str, str]:
    """Give a package with ``files``."""
    return package(SMALL, more, files=[*patterns], **fields)


def ignoring(**ignored: str) -> dict[str, str]:
    """Give a package with ignore files, by folder."""
    names = {"npm": ".npmignore", "git": ".gitignore"}
    more = {}
    for place, text in ignored.items():
        *folders, kind = place.split("_")
        more["/".join([*folders, names[kind]])] = text
    return package(SMALL, more)


def package(
    paths: tuple[str, ...] = SMALL,
    more: Mapping[str, str] | None = None,
    **fields: object,
) -> dict[str, str]:
    said = json.dumps(NAMED | fields, indent=1)
    return {"package.json": said} | dict.fromkeys(paths, "") | dict(more or {})


CASES: Final[dict[str, dict[str, str]]] = {
    "plain": package(),
    "never": package(NEVER),
    "never, though listed": package(NEVER, files=["**/*", ".*", "sub", "node_modules"]),
    "never, though kept": package(
        NEVER, {".npmignore": "!*\n!**/.*\n!.git\n!/.git/**"}
    ),
    "a folder": files("lib"),
    "a folder with a slash": files("lib/"),
    "a folder with a dot": files("./lib"),
    "from the root": files("/lib", "/a.js"),
    "one level": files("lib/*"),
    "one level of one kind": files("lib/*.js"),
    "every level": files("lib/**"),
    "every level of one kind": files("lib/**/*.js"),
    "anywhere": files("*.js"),
    "deep anywhere": files("**/*.js"),
    "a name anywhere": files("a.js"),
    "a folder anywhere": files("**/lib"),
    "a deep file": files("lib/deep/c.js", "src/lib/a.js"),
    "a negated file": files("lib", "!lib/a.js"),
    "a negated folder": files("lib", "!lib/deep"),
    "a negated pattern": files("lib", "!**/*.ts"),
    "a negation first": files("!lib/deep/c.js", "lib"),
    "a negation of a negation": files("lib", "!!lib/a.js", "!!!lib/deep/**"),
    "nothing": files(),
    "an empty string": files(""),
    "a dot": files("."),
    "a star": files("*"),
    "a dot and a star": files("./*"),
    "out of the folder": files("../a.js", "lib/../a.js"),
    "braces": files("{lib,src}/**/*.{js,ts}"),
    "nested braces": files("{l{ib,ab},src}/a.*", "dist/a{.min,}.js*"),
    "sequences": files("{a..c}.{js,JS}", "lib/{a..b}.{j,t}s"),
    "no braces": files("{a}.js", "{z}.js", "{lib", "a}"),
    "question marks": files("?.js", "lib/????/*"),
    "classes": files(
        "[ab].js", "lib/[!a].ts", "[[:alpha:]].js", "x[^[:alpha:]](y).[j-l]s"
    ),
    "a class of one": files("[[]w].js", "lib/[a].js"),
    "escapes": files("\\{z\\}.js", "\\[w\\].js"),
    "alternatives": files("+(a|b).js", "@(lib|src)/*.?(t|j)s", "dist/!(*.map)"),
    "a negated alternative": files("lib/**/!(a|b).*", "src/!(x)/*.js"),
    "a negated alternative between": files("lib/*(x|!(a)).*s/..", "*(x|!(l))b/**"),
    "up and down": files("x/..", "!lib/.."),
    "case": files("LIB", "A.JS", "Src/**"),
    "hidden": files(".hidden", ".env"),
    "hidden by a star": files("lib/deep/*", "**/.*"),
    "spaces and umlauts": files("na me.js", "Ü.js"),
    "a comment": files("#a", " lib "),
    "listed ignore files": files(
        "lib",
        ".gitignore",
        more={".gitignore": "a.js", ".npmignore": "b.ts", "lib/.gitignore": "b.ts"},
    ),
    "listed and ignored inside": files("lib", more={"lib/.npmignore": "deep\n*.ts"}),
    "listed file and ignored inside": files(
        "lib/b.ts", "lib/deep/c.js", more={"lib/.npmignore": "*"}
    ),
    "main": files("src", main="lib/a.js"),
    "main with a dot": files("src", main="./lib/a.js"),
    "main without its end": files("src", main="lib/a"),
    "main that is a folder": files("src", main="lib"),
    "browser": files("src", browser="dist/a.min.js"),
    "browser as a table": files("src", browser={"./a.js": "./b.JS"}),
    "bin": files("src", bin={"one": "./lib/a.js", "two": "a.js", "x/": "/b.JS"}),
    "bin as a string": files("src", bin="./lib/deep/c.js"),
    "bin as a list": files("src", bin=["./lib/a.js", "a.js"]),
    "bin outside": files("src", bin={"one": "../../a.js"}),
    "a folder of bins": files("src", directories={"bin": "./lib"}),
    "main that is ignored": package(
        more={".npmignore": "*\n"}, main="index.js", bin="lib/deep/c.js"
    ),
    "npmignore": ignoring(npm="*.ts\n/lib/deep\ntest/\n"),
    "gitignore": ignoring(git="*.ts\n/lib/deep\ntest/\n"),
    "both": ignoring(npm="a.js", git="b.ts"),
    "an empty npmignore": ignoring(npm="", git="b.ts"),
    "nested": ignoring(lib_npm="a.js\n/deep/er\n", src_git="a.ts"),
    "nested and both": ignoring(lib_npm="a.js", lib_git="b.ts", npm="c.js"),
    "nested takes back": ignoring(npm="lib/*", lib_npm="!a.js\n!deep\n"),
    "nested takes back a folder": ignoring(npm="lib", lib_npm="!a.js\n"),
    "nested under listed names": ignoring(npm="*\n!lib\n!lib/**\n", lib_npm="deep"),
    "a negated line": ignoring(npm="*.js\n!a.js\n"),
    "a negated line inside": ignoring(npm="*\n!/lib/deep/c.js\n"),
    "a negated folder inside": ignoring(npm="lib/\n!lib/deep/\n"),
    "all but": ignoring(npm="/*\n!/lib\n/lib/*\n!/lib/deep\n"),
    "a slash at the end": ignoring(npm="lib/\na.js/\n"),
    "stars at the end": ignoring(npm="lib/**\nsrc/*\n"),
    "stars in front": ignoring(npm="**/deep\n**/a.*\n"),
    "stars between": ignoring(npm="lib/**/e.mjs\nsrc/**/a.js\nlib/**/deep\n"),
    "a path inside": ignoring(npm="deep/c.js\nlib/a.js\n"),
    "lines and spaces": ignoring(npm="\ufeffa.js\r\n  *.ts  \r\n# b\r\n\r\n \\#c\n"),
    "case in an ignore file": ignoring(npm="LIB/A.js\nB.js\n"),
    "everything": ignoring(npm="*"),
    "everything below": ignoring(npm="**"),
    "the package's own": ignoring(npm="package.json\nREADME*\nLICENSE\nCOPYING*\n"),
    "links": package(
        more={
            "a-link.js": f"{LINK}a.js",
            "a-folder": f"{LINK}lib",
            "gone": f"{LINK}nowhere",
            "lib/up": f"{LINK}..",
        }
    ),
    "listed links": files(
        "a-link.js",
        "a-folder",
        "b-folder/",
        more={
            "a-link.js": f"{LINK}a.js",
            "a-folder": f"{LINK}lib",
            "b-folder": f"{LINK}src",
        },
    ),
    "no bundle": package(more=DEPENDENT, dependencies={"one": "*"}),
    "a bundle": package(
        more=DEPENDENT,
        dependencies={"one": "*", "five": "*"},
        bundleDependencies=["one"],
    ),
    "a bundle by its other name": package(
        more=DEPENDENT,
        files=["lib"],
        dependencies={"five": "*"},
        bundledDependencies=["five", "four"],
    ),
    "all in a bundle": package(
        more=DEPENDENT,
        dependencies={"five": "*", "one": "*"},
        optionalDependencies={"three": "*"},
        devDependencies={"five": "*"},
        bundleDependencies=True,
    ),
    "a bundle with a scope and a link": package(
        more=DEPENDENT,
        dependencies={"@scope/six": "*"},
        bundleDependencies=["@scope/six"],
    ),
    "no bundle at all": package(
        more=DEPENDENT, dependencies={"one": "*"}, bundleDependencies=False
    ),
}


def write(folder: Path, contents: Mapping[str, str]) -> Path:
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith(LINK):
            path.symlink_to(text.removeprefix(LINK))
        else:
            path.write_bytes(text.encode())
    return folder


def npm_pack(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    command = ["npx", "--yes", "npm@11", "pack", "--dry-run", "--json"]
    process = subprocess.run(
        [*command, "--ignore-scripts", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"npm_config_loglevel": "error"},
    )
    assert process.returncode == 0, process.stderr
    packed = json.loads(process.stdout)
    assert isinstance(packed, list)
    return packed


def listed(packed: Mapping[str, Any]) -> set[str]:
    return {each["path"] for each in packed["files"]}


@pytest.fixture(scope="module")
def packed(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[Path, set[str]]]:
    """Have npm pack every case, in one run."""
    root = tmp_path_factory.mktemp("packed")
    folders = {
        name: write(root / f"case{number}", contents)
        for number, (name, contents) in enumerate(CASES.items())
    }
    said = npm_pack(root, *(f"./{folder.name}" for folder in folders.values()))
    return {
        name: (folder, listed(each))
        for (name, folder), each in zip(folders.items(), said, strict=True)
    }


@pytest.mark.parametrize("case", CASES)
def test_the_files_are_those_that_npm_packs(
    packed: dict[str, tuple[Path, set[str]]], case: str
) -> None:
    folder, theirs = packed[case]

    assert set(packed_files(folder)) == theirs


def test_a_workspace_minds_the_ignore_files_above_it(tmp_path: Path) -> None:
    project = write(
        tmp_path,
        {
            "package.json": json.dumps({"workspaces": ["packages/*"]}),
            ".gitignore": "dist\n/lib/a.js\n",
            "packages/.npmignore": "src\n",
            "packages/.gitignore": "test\n",
        },
    )
    folder = write(project / "packages" / "demo", package())

    theirs = listed(npm_pack(project, "--workspace", "demo")[0])

    assert set(packed_files(folder, project=project)) == theirs


def test_modes_are_those_of_npms_tarball(tmp_path: Path) -> None:
    folder = write(tmp_path / "demo", package(bin="b.JS"))
    for number, name in enumerate(("a.js", "lib/a.js", "lib/b.ts", "src/a.ts")):
        (folder / name).chmod(0o600 | (0o100, 0o010, 0o001, 0)[number])

    pack = pack_folder(folder, Store(tmp_path / "store"))

    theirs = npm_pack(folder)[0]["files"]
    assert {entry.path for entry in pack.entries if entry.executable} == {
        each["path"] for each in theirs if each["mode"] & 0o111
    }
