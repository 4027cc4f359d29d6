from __future__ import annotations

from pathlib import Path

import pytest

from layerforge.ecosystems.python.namespace import same_or_namespace
from layerforge.errors import BuildError
from layerforge.tree import FileEntry, Tree, refuse_difference, unite
from tests.entries import make_content, make_entry

PKGUTIL = b'__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n'
PKG_RESOURCES = b'__import__("pkg_resources").declare_namespace(__name__)\n'
EITHER = b"""try:
    import pkg_resources
    pkg_resources.declare_namespace(__name__)
except ImportError:
    from pkgutil import extend_path
    __path__ = extend_path(__path__, __name__)
"""


def link(path: str, target: str, origin: str = "demo") -> FileEntry:
    return FileEntry(path=path, origin=origin, link=target)


def paths(tree: Tree) -> list[str]:
    return [entry.path for entry in tree]


@pytest.mark.parametrize("level", [0, 1, 9])
def test_contents_come_back_as_they_went_in(tmp_path: Path, level: int) -> None:
    data = b"some text, " * 1000

    content = make_content(tmp_path, data, level=level)

    assert content.inflated() == data


@pytest.mark.parametrize("level", [0, 6])
def test_large_contents_fill_a_given_buffer(tmp_path: Path, level: int) -> None:
    data = bytes(range(256)) * 12_000  # three chunks
    image = bytearray(len(data))

    make_content(tmp_path, data, level=level).inflate_into(image)

    assert image == data


def test_entries_stand_in_path_order(tmp_path: Path) -> None:
    names = ["b", "a/z", "a.py", "ä", "Z", "a/b/c"]

    tree = unite(make_entry(tmp_path, name) for name in names)

    assert paths(tree) == ["Z", "a.py", "a/b/c", "a/z", "b", "ä"]


def test_size_counts_contents_and_the_targets_of_links(tmp_path: Path) -> None:
    tree = unite([make_entry(tmp_path, "a", b"12345"), link("b", "ä")])

    assert tree.size == 5 + 2


def test_equal_contents_of_two_packages_are_one_file(tmp_path: Path) -> None:
    one = make_entry(tmp_path, "a", b"same", origin="one")
    two = make_entry(tmp_path, "a", b"same", origin="two", level=9)

    assert unite([two, one]) == Tree((one,))


def test_a_file_that_one_of_two_packages_can_execute_is_executable(
    tmp_path: Path,
) -> None:
    one = make_entry(tmp_path, "a", b"same", origin="one")
    two = make_entry(tmp_path, "a", b"same", origin="two", executable=True)

    assert unite([one, two]) == Tree((two,))


def test_every_collision_is_named_at_once(tmp_path: Path) -> None:
    entries = [
        make_entry(tmp_path, path, origin.encode(), origin=origin)
        for path in ("b/two", "a/one", "c/three")
        for origin in ("right", "left")
    ]
    entries[-1] = make_entry(tmp_path, "c/three", b"right", origin="left")

    with pytest.raises(BuildError) as caught:
        unite(entries)

    assert caught.value.message == (
        "packages write different contents to the same path:\n"
        "  a/one: left and right\n"
        "  b/two: left and right"
    )
    assert caught.value.remedy == (
        "Say whose file it is to be, for each path, in the layer's table: "
        'collisions = {"a/one" = "right"}; or leave it out with exclude.'
    )


def test_a_link_and_a_file_at_one_path_collide(tmp_path: Path) -> None:
    entries = [make_entry(tmp_path, "a", b"b", origin="one"), link("a", "b", "two")]

    with pytest.raises(BuildError, match="a: one and two"):
        unite(entries)


@pytest.mark.parametrize("choice", ["one", "two", "three"])
def test_a_choice_settles_a_collision(tmp_path: Path, choice: str) -> None:
    entries = {
        origin: make_entry(tmp_path, "a", origin.encode(), origin=origin)
        for origin in ("one", "two", "three")
    }

    tree = unite(entries.values(), chosen={"a": choice})

    assert tree == Tree((entries[choice],))


def test_a_choice_of_a_package_that_does_not_write_the_path_is_refused(
    tmp_path: Path,
) -> None:
    entries = [
        make_entry(tmp_path, "a", b"1", origin="one"),
        make_entry(tmp_path, "a", b"2", origin="two"),
        make_entry(tmp_path, "b", b"2", origin="two"),
    ]

    with pytest.raises(BuildError) as caught:
        unite(entries, chosen={"a": "three", "b": "one"})

    assert caught.value.message == (
        "collisions names packages that do not write the path:\n"
        "  a: three does not, one and two can\n"
        "  b: one does not, two can"
    )
    assert caught.value.remedy == (
        "Name one that does, or take the path out of collisions."
    )


def test_a_choice_for_a_path_that_no_package_writes_is_of_no_account(
    tmp_path: Path,
) -> None:
    entry = make_entry(tmp_path, "a")

    assert unite([entry], chosen={"b": "demo"}) == Tree((entry,))


@pytest.mark.parametrize("first", [PKGUTIL, PKG_RESOURCES, EITHER])
def test_declarations_of_a_namespace_are_one_file(tmp_path: Path, first: bytes) -> None:
    path = "python/google/__init__.py"
    one = make_entry(tmp_path, path, first, origin="one")
    two = make_entry(tmp_path, path, b"# ours\n" + PKGUTIL, origin="two")

    assert unite([two, one], same=same_or_namespace) == Tree((one,))


@pytest.mark.parametrize(
    "more",
    [
        b"def main(): ...\n",
        b"from one.core import run\n",
        b"import os\n",
        b"__version__ = '1.0'\n",
        b"print('loaded')\n",
        b"try:\n    VERSION = 1\nexcept ImportError:\n    pass\n",
    ],
)
def test_a_namespace_and_a_package_collide(tmp_path: Path, more: bytes) -> None:
    path = "python/google/__init__.py"
    one = make_entry(tmp_path, path, PKGUTIL, origin="one")
    two = make_entry(tmp_path, path, PKGUTIL + more, origin="two")

    with pytest.raises(BuildError, match=f"{path}: one and two"):
        unite([one, two], same=same_or_namespace)


def test_a_path_that_is_a_file_and_a_folder_is_refused(tmp_path: Path) -> None:
    entries = [
        make_entry(tmp_path, "python/a/b/c.py", origin="deep"),
        make_entry(tmp_path, "python/a", origin="flat"),
    ]

    with pytest.raises(BuildError) as caught:
        unite(entries)

    assert caught.value.message == (
        "python/a is a file of flat, and a folder of deep (python/a/b/c.py)"
    )
    assert caught.value.remedy == "Leave one of them out with exclude."


def test_the_digest_of_a_known_tree_is_what_it_always_was(tmp_path: Path) -> None:
    tree = unite(
        [
            make_entry(tmp_path, "bin/run", b"#!/bin/sh\n", executable=True),
            make_entry(tmp_path, "python/ä.py", b"x = 1\n"),
            link("lib/liba.so", "liba.so.1"),
        ]
    )

    assert tree.digest == (
        "170f08d37f603a9ccde0bae62a775c9ed055514e1ed8e60db48eb46c7efbf264"
    )


@pytest.mark.parametrize("level", [0, 1, 9])
def test_the_digest_does_not_depend_on_compression(tmp_path: Path, level: int) -> None:
    data = b"some text, " * 100

    tree = unite([make_entry(tmp_path, "a", data, level=level)])

    assert tree.digest == unite([make_entry(tmp_path, "a", data)]).digest


def test_the_digest_does_not_depend_on_who_wrote_a_file(tmp_path: Path) -> None:
    one = unite([make_entry(tmp_path, "a", b"1", origin="one")])
    two = unite([make_entry(tmp_path, "a", b"1", origin="two")])

    assert one.digest == two.digest


def test_the_digest_tells_trees_apart(tmp_path: Path) -> None:
    trees = [
        unite([make_entry(tmp_path, "a", b"1")]),
        unite([make_entry(tmp_path, "a", b"2")]),
        unite([make_entry(tmp_path, "b", b"1")]),
        unite([make_entry(tmp_path, "a", b"1", executable=True)]),
        unite([link("a", "1")]),
        unite([link("a", "2")]),
        unite([]),
    ]

    assert len({tree.digest for tree in trees}) == len(trees)


class TestDifference:
    """What keeps two trees from being one zip."""

    def refused(self, one: Tree, other: Tree) -> str:
        with pytest.raises(BuildError) as caught:
            refuse_difference(one, other, "web for a", "web for b")
        assert caught.value.remedy == "Build a zip for each runtime: without one-zip."
        return caught.value.message

    def test_of_none_is_passed_over(self, tmp_path: Path) -> None:
        one = unite([make_entry(tmp_path, "a", b"1", origin="one")])
        two = unite([make_entry(tmp_path, "a", b"1", origin="two")])

        refuse_difference(one, two, "web for a", "web for b")

    def test_names_what_one_lacks_what_is_another_and_what_is_run(
        self, tmp_path: Path
    ) -> None:
        same = make_entry(tmp_path, "same", b"1")
        one = unite(
            [
                same,
                make_entry(tmp_path, "lacking", b"1"),
                make_entry(tmp_path, "other", b"1"),
                make_entry(tmp_path, "run", b"1", executable=True),
                link("link", "here"),
            ]
        )
        other = unite(
            [
                same,
                make_entry(tmp_path, "other", b"2"),
                make_entry(tmp_path, "run", b"1"),
                link("link", "there"),
            ]
        )

        assert self.refused(one, other) == (
            "one zip can't be web for a and web for b: 4 files differ:\n"
            "  lacking\n  link\n  other\n  run"
        )

    def test_of_many_files_names_the_first_and_counts_the_rest(
        self, tmp_path: Path
    ) -> None:
        one = unite([make_entry(tmp_path, f"{number}") for number in range(7)])

        assert self.refused(one, Tree(())) == (
            "one zip can't be web for a and web for b: 7 files differ:\n"
            "  0\n  1\n  2\n  3\n  4\n  and 2 more"
        )
