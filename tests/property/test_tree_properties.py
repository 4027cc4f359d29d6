from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from layerforge.errors import BuildError
from layerforge.tree import Content, FileEntry, Tree, unite

# A busy machine is no property of a tree.
unhurried = settings(deadline=None)

NAMES = st.lists(st.sampled_from(["a", "b", "c", "ä"]), min_size=1, max_size=3)
ORIGINS = st.sampled_from(["one", "two", "three"])


def content(letter: str) -> Content:
    """Give a content that no test reads: its hash is all that is looked at."""
    return Content(
        file=letter, offset=0, length=1, method=0, size=1, crc32=0, sha256=letter * 64
    )


ENTRIES = st.lists(
    st.builds(
        FileEntry,
        path=NAMES.map("/".join),
        origin=ORIGINS,
        content=st.sampled_from("ab").map(content),
        executable=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda entry: (entry.path, entry.origin),
)


def united(entries: list[FileEntry]) -> Tree:
    try:
        return unite(entries)
    except BuildError:
        assume(False)
        raise


@unhurried
@given(st.data())
def test_a_tree_is_the_same_whatever_order_entries_come_in(data: st.DataObject) -> None:
    entries = data.draw(ENTRIES)
    tree = united(entries)

    shuffled = data.draw(st.permutations(entries))

    assert unite(shuffled) == tree


@unhurried
@given(st.data())
def test_a_collision_is_the_same_whatever_order_entries_come_in(
    data: st.DataObject,
) -> None:
    entries = data.draw(ENTRIES)
    clash = FileEntry(path="a", origin="four", content=content("d"))
    entries = [*entries, clash, replace(clash, origin="five", content=content("e"))]
    with pytest.raises(BuildError) as caught:
        unite(entries)

    with pytest.raises(BuildError) as again:
        unite(data.draw(st.permutations(entries)))

    assert again.value.message == caught.value.message


@unhurried
@given(ENTRIES)
def test_uniting_a_tree_gives_that_tree(entries: list[FileEntry]) -> None:
    tree = united(entries)

    assert unite(tree) == tree


@unhurried
@given(ENTRIES)
def test_a_tree_has_each_path_once_and_in_order(entries: list[FileEntry]) -> None:
    tree = united(entries)

    assert [entry.path for entry in tree] == sorted({entry.path for entry in entries})


@unhurried
@given(ENTRIES)
def test_no_path_is_both_a_file_and_a_folder(entries: list[FileEntry]) -> None:
    files = {entry.path for entry in united(entries)}

    assert not any(other.startswith(f"{path}/") for path in files for other in files)


@unhurried
@given(ENTRIES, st.data())
def test_what_is_chosen_is_what_is_there(
    entries: list[FileEntry], data: st.DataObject
) -> None:
    assume(entries)
    chosen = data.draw(st.sampled_from(entries))
    rivals = [entry for entry in entries if entry.path == chosen.path]

    tree = unite(rivals, chosen={chosen.path: chosen.origin})

    assert tree == Tree((chosen,))
