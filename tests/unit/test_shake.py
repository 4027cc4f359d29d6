"""What stays of a layer where some of its files are reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from layerforge.ecosystems.node.agreement import check_complete
from layerforge.ecosystems.node.lockfiles import load_package_lock
from layerforge.ecosystems.node.nft import Missing, Trace
from layerforge.ecosystems.node.shake import kept, notes, shake
from layerforge.errors import BuildError, ConfigError
from layerforge.events import Noted
from layerforge.spec import LayerSpec
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from layerforge.tree import FileEntry, Tree, unite
from tests.elf_files import TEXT, make_elf
from tests.entries import make_entry

TARGET: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.ARM64)
BINARY: Final = bytes(make_elf(TEXT))
MODULES: Final = "nodejs/node_modules"


LOCK: Final = Path(__file__).parents[2] / "layerforge/data/package-lock.nft.json"


def tree_of(folder: Path, files: dict[str, bytes], **links: str) -> Tree:
    """Make a tree of files by their paths below node_modules."""
    entries = [
        make_entry(folder, f"{MODULES}/{path}", data) for path, data in files.items()
    ]
    entries += [
        FileEntry(path=f"{MODULES}/.bin/{name}", origin="demo", link=f"../{target}")
        for name, target in links.items()
    ]
    return unite(entries)


def left(tree: Tree, *reached: str) -> list[str]:
    stay = kept(tree, [f"{MODULES}/{path}" for path in reached])
    return sorted(path.removeprefix(f"{MODULES}/") for path in stay)


def depending(*names: str) -> bytes:
    manifest = {"optionalDependencies": dict.fromkeys(names, "*")}
    return json.dumps(manifest).encode()


def test_what_is_not_reached_goes(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"a/index.js": b"", "a/other.js": b"", "b/index.js": b""})

    assert left(tree, "a/index.js") == ["a/index.js"]


def test_package_json_and_licences_stay_with_a_file_of_their_package(
    tmp_path: Path,
) -> None:
    names = ["LICENSE", "Licence.txt", "COPYING", "vendor/NOTICE.md", "package.json"]
    files = {f"@s/a/{name}": b"" for name in ("index.js", *names, "licensing.js")}
    tree = tree_of(tmp_path, files | {"@s/b/LICENSE": b"", "@s/b/package.json": b""})

    stay = left(tree, "@s/a/index.js")

    assert stay == sorted(f"@s/a/{name}" for name in ("index.js", *names))


def test_native_code_stays_with_a_file_of_its_package(tmp_path: Path) -> None:
    files = {"a/index.js": b"", "a/build/a.node": BINARY, "b/b.node": BINARY}
    tree = tree_of(tmp_path, files)

    assert left(tree, "a/index.js") == ["a/build/a.node", "a/index.js"]


def test_a_package_inside_another_stays_by_its_own_files(tmp_path: Path) -> None:
    inner = "a/node_modules/b"
    files = {"a/index.js": b"", "a/package.json": b"", f"{inner}/package.json": b""}
    tree = tree_of(tmp_path, files | {f"{inner}/index.js": b""})

    assert left(tree, "a/index.js") == ["a/index.js", "a/package.json"]
    assert left(tree, f"{inner}/index.js") == [
        f"{inner}/index.js",
        f"{inner}/package.json",
    ]


def test_an_optional_dependency_of_native_code_stays_whole_and_with_its_own(
    tmp_path: Path,
) -> None:
    files = {
        "a/index.js": b"",
        "a/package.json": depending("@a/linux-arm64", "@a/absent"),
        "@a/linux-arm64/lib/index.js": b"",
        "@a/linux-arm64/lib/a.node": BINARY,
        "@a/linux-arm64/package.json": depending("@a/libs-linux-arm64"),
        "@a/libs-linux-arm64/lib/liba.so.1": BINARY,
        "@a/libs-linux-arm64/versions.json": b"{}",
    }
    tree = tree_of(tmp_path, files)

    assert left(tree, "a/index.js") == sorted(files)


def test_an_optional_dependency_inside_the_package_comes_first(tmp_path: Path) -> None:
    files = {
        "a/index.js": b"",
        "a/package.json": depending("b"),
        "a/node_modules/b/b.node": BINARY,
        "b/b.node": BINARY,
    }
    tree = tree_of(tmp_path, files)

    stay = left(tree, "a/index.js")

    assert stay == ["a/index.js", "a/node_modules/b/b.node", "a/package.json"]


def test_an_optional_dependency_in_javascript_goes_unless_it_is_reached(
    tmp_path: Path,
) -> None:
    files = {
        "a/index.js": b"",
        "a/package.json": depending("b"),
        "b/index.js": b"",
    }
    tree = tree_of(tmp_path, files)

    assert left(tree, "a/index.js") == ["a/index.js", "a/package.json"]


@pytest.mark.parametrize("manifest", [b"{", b"[]", b'{"optionalDependencies": 1}'])
def test_a_package_json_that_cannot_be_read_stays_as_it_is(
    tmp_path: Path, manifest: bytes
) -> None:
    tree = tree_of(tmp_path, {"a/index.js": b"", "a/package.json": manifest})

    assert left(tree, "a/index.js") == ["a/index.js", "a/package.json"]


def test_a_link_stays_with_what_it_leads_to(tmp_path: Path) -> None:
    files = {"a/cli.js": b"", "b/cli.js": b""}
    tree = tree_of(tmp_path, files, one="a/cli.js", same=".bin/one", two="b/cli.js")

    assert left(tree, "a/cli.js") == [".bin/one", ".bin/same", "a/cli.js"]


def test_a_link_to_a_folder_stays_with_a_file_in_it(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"a/lib/x.js": b"", "b/x.js": b""}, one="a", two="b")

    assert left(tree, "a/lib/x.js") == [".bin/one", "a/lib/x.js"]


def refused(folder: Path, *entry_points: Path) -> ConfigError:
    spec = LayerSpec(name="db", shake=True, entry_points=entry_points)
    with pytest.raises(ConfigError) as caught:
        shake((), spec, TARGET, Tools(store=Store(folder)))
    return caught.value


def test_shaking_needs_an_entry_point(tmp_path: Path) -> None:
    error = refused(tmp_path)

    assert error.message == "db: shake has no entry-points to start from"
    assert error.remedy == (
        "Name the files of the functions that will use the layer: "
        'entry-points = ["src/handler.js"].'
    )


@pytest.mark.parametrize("suffix", [".ts", ".mts", ".cts", ".tsx"])
def test_typescript_cannot_be_followed(tmp_path: Path, suffix: str) -> None:
    path = Path(f"/src/handler{suffix}")

    error = refused(tmp_path, path)

    assert error.message == f"db: the entry point {path} is TypeScript"
    assert (
        error.remedy == "Only JavaScript can be followed: name what it is compiled to."
    )


def test_an_entry_point_is_javascript(tmp_path: Path) -> None:
    error = refused(tmp_path, Path("/src/handler.py"))

    assert error.message == "db: the entry point /src/handler.py is not JavaScript"
    assert error.remedy == "Name files that end in .js, .cjs or .mjs."


def test_a_collision_is_an_error_before_anything_is_followed(tmp_path: Path) -> None:
    path = f"{MODULES}/a/index.js"
    entries = [make_entry(tmp_path, path, data, origin=o) for o, data in ODD.items()]
    spec = LayerSpec(name="db", shake=True, entry_points=(Path("/handler.js"),))

    with pytest.raises(BuildError) as caught:
        shake(entries, spec, TARGET, Tools(store=Store(tmp_path)))

    assert caught.value.message == (
        f"packages write different contents to the same path:\n  {path}: a and b"
    )


ODD: Final = {"a": b"1", "b": b"2"}


def told(*missing: tuple[str, str], own: tuple[str, ...] = ()) -> tuple[Noted, ...]:
    rows = tuple(Missing(name=name, parent=parent) for name, parent in missing)
    return notes(Trace(reached=frozenset(), missing=rows), own, TARGET)


@pytest.mark.parametrize("parent", ["/src/handler.js", "nodejs/own.js"])
def test_a_module_that_the_users_code_lacks_is_a_warning(parent: str) -> None:
    assert told(("pg", parent), own=("nodejs/own.js",)) == (
        Noted(
            message=f"{parent} imports pg, which is neither in the layer nor beside it",
            warning=True,
        ),
    )


def test_a_module_that_a_package_lacks_may_not_be_needed() -> None:
    parents = [f"{MODULES}/pg/lib/{name}.js" for name in "ab"]

    assert told(*(("pg-native", parent) for parent in parents)) == (
        Noted(message="not in the layer, and perhaps not needed: pg-native (pg)"),
    )


def test_of_many_modules_that_packages_lack_five_are_named() -> None:
    (note,) = told(*((name, f"{MODULES}/@s/p/index.js") for name in "abcdefg"))

    assert note.message == (
        "not in the layer, and perhaps not needed: a (@s/p), b (@s/p), c (@s/p), "
        "d (@s/p), e (@s/p) and 2 more"
    )


def test_the_sdk_of_the_runtime_is_not_missed() -> None:
    assert told(("@aws-sdk/client-s3", "/h.js"), ("@aws-sdk/core/x", "/h.js")) == ()


def test_code_that_cannot_be_read_is_a_warning() -> None:
    trace = Trace(reached=frozenset(), unread=(("/h.js", "Unexpected token (1:2)"),))

    assert notes(trace, (), TARGET) == (
        Noted(message="/h.js can't be followed: Unexpected token (1:2)", warning=True),
    )


def test_nft_is_locked_whole_by_strong_hashes_and_runs_no_scripts() -> None:
    lock = load_package_lock(LOCK)
    packages = json.loads(LOCK.read_text())["packages"]
    del packages[""]

    check_complete(lock)
    assert [where for where in packages if where.endswith("/nft")]
    assert all(row["integrity"].startswith("sha512-") for row in packages.values())
    assert not any("hasInstallScript" in row for row in packages.values())
    assert not any("resolved" in row for row in packages.values())
