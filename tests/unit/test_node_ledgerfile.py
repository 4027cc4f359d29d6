"""The size ledger of a Node.js layer: kept beside its lock, and never in the way."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from layerforge.ecosystems.node.ledgerfile import with_ledger, write_ledger
from layerforge.errors import BuildError
from layerforge.lock import Lock, Pin, Weight


def pin(name: str, version: str = "1.0.0", *, location: str = "") -> Pin:
    return Pin(
        name=name,
        version=version,
        filename=f"{name}-{version}.tgz",
        url=f"https://registry.npmjs.org/{name}/-/{name}-{version}.tgz",
        digest="ab" * 64,
        location=location,
    )


NESTED: Final = "node_modules/b/node_modules/a"
BARE: Final = Lock(
    layer="web",
    target="nodejs22.x-arm64",
    inputs="cd" * 32,
    roots=("b",),
    pins=(pin("a"), pin("b"), pin("a", "0.1.0", location=NESTED)),
)
WEIGHED: Final = replace(
    BARE,
    pins=tuple(
        replace(each, weight=Weight(unzipped=1000 + number, kept=number))
        for number, each in enumerate(BARE.pins)
    ),
    stripping="ef" * 32,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "layerforge-ledger.web-nodejs22-arm64.toml"


def test_what_was_written_is_read_again(path: Path) -> None:
    write_ledger(WEIGHED, path)

    assert with_ledger(BARE, path) == WEIGHED


def test_it_adds_up(path: Path) -> None:
    write_ledger(WEIGHED, path)

    document = tomllib.loads(path.read_text())

    assert (document["unzipped"], document["kept"]) == (3003, 3)
    assert [row["id"] for row in document["packages"]] == ["a", "b", NESTED]


def test_equal_weights_leave_the_file_alone(path: Path) -> None:
    write_ledger(WEIGHED, path)
    before = path.stat()

    write_ledger(WEIGHED, path)

    assert path.stat() == before


def test_other_weights_replace_it(path: Path) -> None:
    write_ledger(replace(WEIGHED, stripping="00" * 32), path)

    write_ledger(WEIGHED, path)

    assert with_ledger(BARE, path) == WEIGHED


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"format = 1", b"a = b = c"])
def test_a_damaged_one_is_replaced(path: Path, text: bytes) -> None:
    path.write_bytes(text)

    write_ledger(WEIGHED, path)

    assert with_ledger(BARE, path) == WEIGHED


def test_it_is_not_written_while_one_weight_is_unknown(path: Path) -> None:
    first, *others = WEIGHED.pins
    write_ledger(replace(WEIGHED, pins=(replace(first, weight=None), *others)), path)

    assert not path.exists()


def test_a_layer_of_nothing_has_one_too(path: Path) -> None:
    nothing = replace(WEIGHED, pins=())

    write_ledger(nothing, path)

    assert with_ledger(replace(nothing, stripping=""), path) == nothing


def test_weights_of_other_versions_are_not_taken(path: Path) -> None:
    write_ledger(WEIGHED, path)
    newer = replace(BARE.pins[0], version="2.0.0")
    updated = replace(BARE, pins=(newer, *BARE.pins[1:]))

    read = with_ledger(updated, path)

    assert [each.weight for each in read.pins] == [
        None,
        *(each.weight for each in WEIGHED.pins[1:]),
    ]


def test_that_of_another_target_is_not_taken(path: Path) -> None:
    write_ledger(WEIGHED, path)
    other = replace(BARE, target="nodejs22.x-x86_64")

    assert with_ledger(other, path) == other


def test_one_that_is_absent_says_nothing(path: Path) -> None:
    assert with_ledger(BARE, path) == BARE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format = 1", "format = 2"),
        ("format = 1", ""),
        ("kept = 1 }", 'kept = "1" }'),
        (", kept = 1 }", " }"),
        ('id = "b"', "id = []"),
        ("packages", "others"),
        ("stripping", "striping"),
        ('target = "nodejs22.x-arm64"', ""),
        ("unzipped", "[["),
    ],
)
def test_one_that_is_damaged_says_nothing(path: Path, old: str, new: str) -> None:
    write_ledger(WEIGHED, path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

    assert with_ledger(BARE, path) == BARE


@pytest.mark.parametrize("data", [b"\xff", b"packages = 3\nformat = 1", b"[]"])
def test_one_that_is_something_else_says_nothing(path: Path, data: bytes) -> None:
    path.write_bytes(data)

    assert with_ledger(BARE, path) == BARE


def test_a_folder_in_its_place_is_an_error_of_the_writer_alone(path: Path) -> None:
    path.mkdir()

    assert with_ledger(BARE, path) == BARE
    with pytest.raises(BuildError) as caught:
        write_ledger(WEIGHED, path)
    assert caught.value.message == f"cannot write {path}: Is a directory"
