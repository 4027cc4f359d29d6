"""Programs of packages, linked as npm links them, and never out of their folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from layerforge.ecosystems.node.bins import link_bins
from layerforge.ecosystems.node.packagelock import Package, Source
from layerforge.pack import Pack
from layerforge.store import Store
from layerforge.tree import FileEntry
from tests.entries import make_entry

ROOT: Final = "nodejs/node_modules"
MODULES: Final = "node_modules"


def package(place: str, **programs: str) -> Package:
    return Package(
        path=place,
        name=place.rpartition("node_modules/")[2],
        version="1.0.0",
        source=Source.REGISTRY,
        bin=tuple(programs.items()),
    )


def named(place: str, name: str, program: str) -> Package:
    return replace(package(place), bin=((name, program),))


def linked(
    folder: Path,
    packages: tuple[Package, ...],
    files: Mapping[str, bytes],
    *,
    base: str = "nodejs/",
) -> dict[str, FileEntry]:
    """Give all entries by path; ``files`` are below node_modules' own folder."""
    packs = {
        each.path: Pack(
            name=each.path,
            version="1.0.0",
            digest="ab" * 64,
            entries=tuple(
                make_entry(folder, f"{base}{path}", data, origin=each.path)
                for path, data in files.items()
                if path.startswith(f"{each.path}/")
            ),
        )
        for each in packages
        if each.source is not Source.BUNDLED
    }
    by_place = {each.path: each for each in packages}
    made = link_bins(packs, by_place, base, Store(folder / "store"))
    assert list(made) == list(packs)
    return {entry.path: entry for pack in made.values() for entry in pack.entries}


def links(entries: Mapping[str, FileEntry]) -> dict[str, str]:
    return {path: entry.link for path, entry in entries.items() if entry.link}


def test_a_program_is_linked_and_executable(tmp_path: Path) -> None:
    found = linked(
        tmp_path,
        (package(f"{MODULES}/a", tool="bin/tool.js"),),
        {f"{MODULES}/a/bin/tool.js": b"1", f"{MODULES}/a/index.js": b"2"},
    )

    assert links(found) == {f"{ROOT}/.bin/tool": "../a/bin/tool.js"}
    assert found[f"{ROOT}/.bin/tool"].origin == f"{MODULES}/a"
    assert found[f"{ROOT}/a/bin/tool.js"].executable
    assert not found[f"{ROOT}/a/index.js"].executable


def test_a_scoped_package_s_is_linked_beside_the_others(tmp_path: Path) -> None:
    found = linked(
        tmp_path,
        (named(f"{MODULES}/@s/a", "@s/tool", "cli.js"),),
        {f"{MODULES}/@s/a/cli.js": b"1"},
    )

    assert links(found) == {f"{ROOT}/.bin/tool": "../@s/a/cli.js"}


def test_a_nested_package_s_is_linked_where_it_is(tmp_path: Path) -> None:
    nested = f"{MODULES}/a/{MODULES}/b"
    found = linked(
        tmp_path,
        (package(f"{MODULES}/a"), package(nested, b="b.js")),
        {f"{nested}/b.js": b"1"},
    )

    assert links(found) == {f"{ROOT}/a/{MODULES}/.bin/b": "../b/b.js"}


def test_a_bundled_package_s_is_linked_where_it_is(tmp_path: Path) -> None:
    nested = f"{MODULES}/a/{MODULES}/b"
    bundled = replace(package(nested, b="b.js"), source=Source.BUNDLED)
    found = linked(
        tmp_path, (package(f"{MODULES}/a"), bundled), {f"{nested}/b.js": b"1"}
    )

    assert links(found) == {f"{ROOT}/a/{MODULES}/.bin/b": "../b/b.js"}
    assert found[f"{ROOT}/a/{MODULES}/.bin/b"].origin == f"{MODULES}/a"
    assert found[f"nodejs/{nested}/b.js"].executable


def test_they_are_below_the_versioned_folder_where_the_rest_is(tmp_path: Path) -> None:
    found = linked(
        tmp_path,
        (package(f"{MODULES}/a", a="a.js"),),
        {f"{MODULES}/a/a.js": b"1"},
        base="nodejs/node22/",
    )

    assert links(found) == {"nodejs/node22/node_modules/.bin/a": "../a/a.js"}


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("../../../etc/passwd", "passwd"),
        ("/usr/bin/tool", "tool"),
        ("..\\..\\tool", "tool"),
        ("C:\\tool", "tool"),
        ("a:tool", "tool"),
        ("tool/", "tool"),
        ("tool.js", "tool.js"),
    ],
)
def test_a_name_is_one_in_bin(tmp_path: Path, name: str, link: str) -> None:
    found = linked(
        tmp_path,
        (named(f"{MODULES}/a", name, "a.js"),),
        {f"{MODULES}/a/a.js": b"1"},
    )

    assert links(found) == {f"{ROOT}/.bin/{link}": "../a/a.js"}


@pytest.mark.parametrize("name", ["", "/", ".", "..", "a/..", "..\\", ":"])
def test_what_is_no_name_links_nothing(tmp_path: Path, name: str) -> None:
    found = linked(
        tmp_path,
        (named(f"{MODULES}/a", name, "a.js"),),
        {f"{MODULES}/a/a.js": b"1"},
    )

    assert links(found) == {}


@pytest.mark.parametrize(
    "program", ["./a.js", "/a.js", "../../a.js", "x/../a.js", ".\\a.js", "a.js"]
)
def test_a_program_is_looked_for_inside_of_its_package(
    tmp_path: Path, program: str
) -> None:
    found = linked(
        tmp_path,
        (package(f"{MODULES}/a", tool=program),),
        {f"{MODULES}/a/a.js": b"1"},
    )

    assert links(found) == {f"{ROOT}/.bin/tool": "../a/a.js"}


@pytest.mark.parametrize("program", ["../b/b.js", "missing.js", "", ".", "lib"])
def test_a_program_that_is_not_there_is_passed_over(
    tmp_path: Path, program: str
) -> None:
    found = linked(
        tmp_path,
        (package(f"{MODULES}/a", tool=program), package(f"{MODULES}/b")),
        {f"{MODULES}/a/lib/a.js": b"1", f"{MODULES}/b/b.js": b"2"},
    )

    assert links(found) == {}
    assert not any(entry.executable for entry in found.values())


def test_of_two_with_one_name_the_first_package_s_counts(tmp_path: Path) -> None:
    found = linked(
        tmp_path,
        (package(f"{MODULES}/b", tool="b.js"), package(f"{MODULES}/a", tool="a.js")),
        {f"{MODULES}/b/b.js": b"1", f"{MODULES}/a/a.js": b"2"},
    )

    assert links(found) == {f"{ROOT}/.bin/tool": "../a/a.js"}


def test_one_whose_program_is_missing_leaves_the_name_to_the_next(
    tmp_path: Path,
) -> None:
    found = linked(
        tmp_path,
        (package(f"{MODULES}/a", tool="none"), package(f"{MODULES}/b", tool="b.js")),
        {f"{MODULES}/b/b.js": b"1"},
    )

    assert links(found) == {f"{ROOT}/.bin/tool": "../b/b.js"}


def test_two_names_may_lead_to_one_program(tmp_path: Path) -> None:
    found = linked(
        tmp_path,
        (package(f"{MODULES}/a", one="a.js", two="a.js"),),
        {f"{MODULES}/a/a.js": b"1"},
    )

    assert links(found) == {
        f"{ROOT}/.bin/one": "../a/a.js",
        f"{ROOT}/.bin/two": "../a/a.js",
    }


@pytest.mark.parametrize(
    ("data", "mended"),
    [
        (b"#!/usr/bin/env node\r\na\r\nb", b"#!/usr/bin/env node\na\r\nb"),
        (b"#!node\nx\r\n", b"#!node\nx\r\n"),
        (b"\n#!node\r\n", b"\n#!node\r\n"),
        (b"a\r\nb", b"a\r\nb"),
        (b"", b""),
    ],
)
def test_the_first_line_of_a_program_is_one_of_linux(
    tmp_path: Path, data: bytes, mended: bytes
) -> None:
    packages = (package(f"{MODULES}/a", tool="a.js"),)
    once, again = (
        linked(tmp_path, packages, {f"{MODULES}/a/a.js": data}) for _ in range(2)
    )

    content = once[f"{ROOT}/a/a.js"].content
    assert content
    assert content.inflated() == mended
    assert content.sha256 == again[f"{ROOT}/a/a.js"].identity
