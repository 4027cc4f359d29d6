from __future__ import annotations

import pytest

from layerforge.tree import FileEntry, unite
from layerforge.verify.linking import Linkage, Need
from tests.libraries import AARCH64, library


def find(
    needing: FileEntry, *others: FileEntry, system: tuple[str, ...] = ()
) -> list[Need]:
    tree = unite([needing, *others])
    return list(Linkage(tree, frozenset(system)).needs(needing))


def needing(
    name: str = "liba.so.1",
    *,
    rpath: tuple[str, ...] = (),
    runpath: tuple[str, ...] = (),
) -> FileEntry:
    return library(
        "python/demo/_a.so", needed=(name,), rpath=rpath, runpath=runpath, origin="demo"
    )


def other(path: str, *, soname: str = "", machine: int = 62) -> FileEntry:
    return library(path, soname=soname, machine=machine, origin="other")


@pytest.mark.parametrize(
    "folder",
    ["$ORIGIN/../other.libs", "${ORIGIN}/../other.libs", "/opt/python/other.libs"],
)
@pytest.mark.parametrize("way", ["rpath", "runpath"])
def test_a_library_is_found_where_the_file_says(folder: str, way: str) -> None:
    path = "python/other.libs/liba.so.1"
    entry = needing(rpath=(folder,)) if way == "rpath" else needing(runpath=(folder,))

    assert find(entry, other(path)) == [Need(name="liba.so.1", path=path)]


def test_lib_in_a_runpath_is_that_of_amazon_linux() -> None:
    entry = needing(runpath=("$ORIGIN/../$LIB",))
    path = "python/lib64/liba.so.1"

    assert find(entry, other(path)) == [Need(name="liba.so.1", path=path)]


def test_a_library_is_found_in_the_layer_s_lib() -> None:
    assert find(needing(), other("lib/liba.so.1")) == [
        Need(name="liba.so.1", path="lib/liba.so.1")
    ]


def test_links_are_followed() -> None:
    link = FileEntry(path="lib/liba.so.1", origin="other", link="../share/liba.so.1.2")

    assert find(needing(), other("share/liba.so.1.2"), link) == [
        Need(name="liba.so.1", path="share/liba.so.1.2")
    ]


def test_a_path_is_taken_as_it_is() -> None:
    entry = needing("/opt/share/liba.so.1")

    assert find(entry, other("share/liba.so.1")) == [
        Need(name="/opt/share/liba.so.1", path="share/liba.so.1")
    ]


def test_the_image_comes_before_the_layer_s_lib_and_a_runpath() -> None:
    entry = needing(runpath=("/opt/lib",))

    assert find(entry, other("lib/liba.so.1"), system=("liba.so.1",)) == [
        Need(name="liba.so.1")
    ]


def test_an_rpath_comes_before_the_image() -> None:
    entry = needing(rpath=("/opt/lib",))

    assert find(entry, other("lib/liba.so.1"), system=("liba.so.1",)) == [
        Need(name="liba.so.1", path="lib/liba.so.1")
    ]


def test_a_library_for_another_machine_is_passed_over() -> None:
    assert find(needing(), other("lib/liba.so.1", machine=AARCH64)) == [
        Need(name="liba.so.1", missing=True)
    ]


@pytest.mark.parametrize("folder", ["/vendored", "vendored", "/opt/../vendored"])
def test_a_folder_outside_of_the_layer_leads_to_nothing_in_it(folder: str) -> None:
    link = FileEntry(path="lib/b.so", origin="other", link="c.so")
    path = "vendored/liba.so.1"

    assert find(needing(rpath=(folder,)), other(path), link) == [
        Need(name="liba.so.1", elsewhere=path)
    ]


@pytest.mark.parametrize(
    "brought",
    [
        library("python/demo.libs/liba.so.1", origin="demo"),
        library("python/demo.libs/liba-5.so", soname="liba.so.1", origin="demo"),
        library("python/demo/lib/liba.so.1", origin=""),
    ],
    ids=["by its file", "by its soname", "by its folder, in a foreign zip"],
)
def test_what_a_package_brings_it_may_have_loaded_before(brought: FileEntry) -> None:
    assert find(needing(), brought) == [Need(name="liba.so.1", path=brought.path)]


@pytest.mark.parametrize(
    "path", ["python/other/liba.so.1", "nodejs/node_modules/other/liba.so.1"]
)
def test_what_another_package_brings_is_not_looked_for_there(path: str) -> None:
    assert find(needing(), other(path)) == [Need(name="liba.so.1", elsewhere=path)]


def test_packages_of_one_scope_are_not_one() -> None:
    entry = library("nodejs/node_modules/@s/a/a.node", needed=("liba.so",), origin="")
    brought = library("nodejs/node_modules/@s/b/liba.so", origin="")

    assert find(entry, brought) == [Need(name="liba.so", elsewhere=brought.path)]


def test_what_is_nowhere_is_missing() -> None:
    assert find(needing()) == [Need(name="liba.so.1", missing=True)]


def test_what_is_loaded_is_closed_over_the_layer() -> None:
    own = ("$ORIGIN",)
    tree = unite(
        [
            library("python/demo/_a.so", needed=("libb.so",), rpath=own),
            library("python/demo/libb.so", needed=("libc.so.6", "libd.so"), rpath=own),
            library("python/demo/libd.so", needed=("libb.so",), rpath=own),
            library("python/demo/libe.so", needed=("libb.so",), rpath=own),
        ]
    )

    assert Linkage(tree).closure(["python/demo/_a.so", "python/demo/a.py"]) == {
        "python/demo/_a.so",
        "python/demo/a.py",
        "python/demo/libb.so",
        "python/demo/libd.so",
    }
