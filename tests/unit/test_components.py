from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from layerforge.documents.components import components_of, graph_of
from layerforge.documents.metadata import Statement
from tests.layers import Layer, node_layer, python_layer
from tests.wheels import make_wheel


def two_wheels(folder: Path) -> Layer:
    return python_layer(
        make_wheel(folder, "demo", "1.0", {"demo.py": b"x"}, requires=["other>=1"]),
        make_wheel(folder, "other", "2.0", {"other.py": b"xy"}),
        roots=["demo"],
    )


def vendoring(folder: Path) -> Layer:
    vendored = b"Name: inner\nVersion: 3.0\nLicense: MIT\n"
    wheel = make_wheel(
        folder,
        "demo",
        "1.0",
        {"demo/_vendor/inner-3.0.dist-info/METADATA": vendored},
    )
    return python_layer(wheel, roots=["demo"])


def bundling(folder: Path) -> Layer:
    bundled = {"name": "inner", "version": "3.0.0", "license": "ISC"}
    files = {
        "node_modules/inner/package.json": json.dumps(bundled).encode(),
        "test/node_modules/nameless/package.json": b"{}",
    }
    return node_layer(
        folder,
        {"node_modules/demo": ({"name": "demo", "version": "1.0.0"}, files)},
        roots=["demo"],
    )


def test_a_package_counts_its_files(tmp_path: Path) -> None:
    layer = two_wheels(tmp_path)

    components = components_of([layer.lock], layer.tree)

    assert [(one.id, one.version, one.files) for one in components] == [
        ("demo", "1.0", 4),
        ("other", "2.0", 4),
    ]
    assert sum(one.size for one in components) == layer.tree.size


def test_a_package_of_which_nothing_is_left_stays_known(tmp_path: Path) -> None:
    layer = two_wheels(tmp_path).without(
        "python/other.py", "python/other-2.0.dist-info"
    )

    _, other = components_of([layer.lock], layer.tree)

    assert (other.id, other.version, other.files, other.folder) == (
        "other",
        "2.0",
        0,
        "",
    )


def test_a_version_that_no_lock_has_is_the_metadatas(tmp_path: Path) -> None:
    layer = two_wheels(tmp_path).with_pin("demo", version="")

    demo, _ = components_of([layer.lock], layer.tree)

    assert demo.version == "1.0"


def test_a_vendored_distribution_is_inside_of_its_package(tmp_path: Path) -> None:
    layer = vendoring(tmp_path)

    demo, inner = components_of([layer.lock], layer.tree)

    assert (demo.name, demo.statement) == (
        "demo",
        Statement(name="demo", version="1.0"),
    )
    assert (inner.id, inner.holder) == (
        "python/demo/_vendor/inner-3.0.dist-info",
        "demo",
    )
    assert inner.statement.licences == ("MIT",)


def test_a_vendored_distribution_never_speaks_for_its_package(tmp_path: Path) -> None:
    layer = vendoring(tmp_path).without("python/demo-1.0.dist-info")

    demo, _ = components_of([layer.lock], layer.tree)

    assert (demo.id, demo.folder, demo.statement) == ("demo", "", Statement())


def test_a_bundled_package_is_inside_of_its_holder(tmp_path: Path) -> None:
    layer = bundling(tmp_path)

    components = components_of([layer.lock], layer.tree)

    assert [(one.id, one.holder, one.version) for one in components] == [
        ("demo", "", "1.0.0"),
        ("nodejs/node_modules/demo/node_modules/inner", "demo", "3.0.0"),
    ]


def test_the_users_own_files_are_one_component(tmp_path: Path) -> None:
    files = {"bin/run": b"12", "python/own.py": b"123"}
    layer = two_wheels(tmp_path).with_files(tmp_path, files)

    own = components_of([layer.lock], layer.tree)[1]

    assert (own.id, own.name, own.files, own.size) == ("include:files", "include", 2, 5)


def test_a_package_called_include_is_a_package(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "include", "1.0", {"include.py": b""})
    layer = python_layer(wheel, roots=["include"])

    [include] = components_of([layer.lock], layer.tree)

    assert include.pin == layer.lock.pins[0]


def test_locks_of_one_zip_are_united(tmp_path: Path) -> None:
    layer = two_wheels(tmp_path)
    demo, other = layer.lock.pins
    one = replace(layer.lock, pins=(replace(demo, dependencies=()),))
    two = replace(layer.lock, roots=("other",), pins=(demo, other))

    components = components_of([one, two], layer.tree)

    assert [(each.id, each.dependencies) for each in components] == [
        ("demo", ("other",)),
        ("other", ()),
    ]
    assert graph_of([one, two], components)[""] == ("demo", "other")


def test_a_package_that_no_lock_has_tells_of_itself(tmp_path: Path) -> None:
    layer = two_wheels(tmp_path)
    lock = replace(layer.lock, pins=())

    components = components_of([lock], layer.tree)

    assert [(one.name, one.version, one.holder) for one in components] == [
        ("demo", "1.0", ""),
        ("other", "2.0", ""),
    ]


def test_the_layer_asks_for_its_roots(tmp_path: Path) -> None:
    layer = two_wheels(tmp_path)

    assert graph_of([layer.lock], components_of([layer.lock], layer.tree)) == {
        "": ("demo",),
        "demo": ("other",),
        "other": (),
    }


def test_the_layer_asks_for_what_nothing_else_does(tmp_path: Path) -> None:
    layer = bundling(tmp_path).with_files(tmp_path, {"bin/run": b""})
    rootless = replace(layer.lock, roots=())
    inner = "nodejs/node_modules/demo/node_modules/inner"

    assert graph_of([rootless], components_of([rootless], layer.tree)) == {
        "": ("demo", "include:files"),
        "demo": (inner,),
        "include:files": (),
        inner: (),
    }


def test_what_the_runtime_brings_is_asked_for_by_none(tmp_path: Path) -> None:
    layer = two_wheels(tmp_path).without(
        "python/other.py", "python/other-2.0.dist-info"
    )
    lock = replace(
        layer.lock,
        pins=layer.lock.pins[:1],
        roots=("demo", "other"),
        provided=("other",),
    )

    assert graph_of([lock], components_of([lock], layer.tree)) == {
        "": ("demo",),
        "demo": (),
    }
