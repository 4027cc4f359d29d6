from __future__ import annotations

from dataclasses import replace

import pytest

from layerforge.archive import zipped_size
from layerforge.elf import ElfFacts
from layerforge.errors import VerifyError
from layerforge.limits import DIRECT_UPLOAD_LIMIT, MAX_UNZIPPED
from layerforge.lock import Lock, Pin
from layerforge.split import divide, group, verify_parts, verify_together
from layerforge.tree import Content, FileEntry, Tree, unite

ROOT = "python/"
MANY = 20_000_000  # bytes zipped: two of them fit into a part, three don't
PLAIN = ElfFacts(machine=62, bits=64)


def entry(
    path: str,
    origin: str = "",
    *,
    zipped: int = 100,
    size: int = 0,
    elf: ElfFacts | None = None,
) -> FileEntry:
    content = Content(
        file="",
        offset=0,
        length=zipped,
        method=8,
        size=size or zipped,
        crc32=0,
        sha256="ab" * 32,
    )
    path = ROOT + path
    origin = origin or path.split("/")[1]
    return FileEntry(path=path, origin=origin, content=content, elf=elf)


def pin(name: str, *dependencies: str) -> Pin:
    return Pin(
        name=name,
        version="1.0",
        filename=f"{name}-1.0-py3-none-any.whl",
        url="",
        digest="",
        dependencies=dependencies,
    )


def lock(*pins: Pin) -> Lock:
    return Lock(layer="web", target="", inputs="", roots=(), pins=pins)


def groups(*entries: FileEntry, pins: tuple[Pin, ...] = ()) -> list[set[str]]:
    found = group(unite(entries), lock(*pins), ROOT)
    return [set(one.origins) for one in found]


def parts(
    *entries: FileEntry, pins: tuple[Pin, ...] = (), most: int = MAX_UNZIPPED
) -> list[set[str]]:
    divided = divide(unite(entries), lock(*pins), ROOT, most)
    return [{one.origin for one in part} for part in divided]


def sized(**megabytes: int) -> list[FileEntry]:
    return [entry(f"{n}/x", zipped=m * 1_000_000) for n, m in megabytes.items()]


def warned(parts: dict[str, Tree], *pins: Pin) -> list[tuple[str, str]]:
    return [(one.message, one.remedy) for one in verify_parts(parts, lock(*pins))]


def tree(*names: str, size: int = 0) -> Tree:
    return unite(entry(f"{name}/x", size=size) for name in names)


# -- what stays together --------


def test_packages_of_their_own_are_groups_of_their_own() -> None:
    assert groups(entry("a/__init__.py"), entry("b/__init__.py")) == [{"a"}, {"b"}]


def test_the_largest_group_is_the_first() -> None:
    found = groups(entry("a/x.py"), entry("b/x.py", zipped=200))

    assert found == [{"b"}, {"a"}]


def test_a_namespace_stays_together() -> None:
    found = groups(
        entry("google/cloud/storage.py", "google-cloud-storage"),
        entry("google/auth.py", "google-auth"),
        entry("six.py", "six"),
    )

    assert {"google-auth", "google-cloud-storage"} in found
    assert {"six"} in found


@pytest.mark.parametrize("folder", ["bin", "share", "etc"])
def test_folders_that_all_share_tie_nothing(folder: str) -> None:
    found = groups(entry(f"{folder}/a", "a"), entry(f"{folder}/b", "b"))

    assert found == [{"a"}, {"b"}]


def test_a_scope_of_npm_s_ties_nothing() -> None:
    found = groups(entry("@aws/a/index.js", "a"), entry("@aws/b/index.js", "b"))

    assert found == [{"a"}, {"b"}]


def test_a_package_inside_of_another_stays_with_it() -> None:
    found = groups(entry("a/index.js", "a"), entry("a/node_modules/b/index.js", "b"))

    assert found == [{"a", "b"}]


def test_a_library_stays_with_those_that_load_it() -> None:
    needing = replace(PLAIN, needed=("libvips.so.42",))
    found = groups(
        entry("sharp/sharp.node", elf=needing),
        entry("vips/libvips.so.42", elf=PLAIN),
        entry("other/x.so", elf=PLAIN),
    )

    assert {"sharp", "vips"} in found
    assert {"other"} in found


def test_a_library_of_the_package_s_own_ties_it_to_no_other() -> None:
    needing = replace(PLAIN, needed=("libz.so.1",))
    found = groups(
        entry("a/a.so", elf=needing),
        entry("a/libz.so.1", elf=PLAIN),
        entry("b/libz.so.1", elf=PLAIN),
    )

    assert found == [{"a"}, {"b"}]


def test_what_was_compiled_against_another_stays_with_it() -> None:
    found = groups(
        entry("pandas/a.so", elf=PLAIN),
        entry("numpy/a.so", elf=PLAIN),
        entry("tzdata/x.py"),
        pins=(pin("pandas", "numpy", "tzdata"), pin("numpy"), pin("tzdata")),
    )

    assert {"numpy", "pandas"} in found
    assert {"tzdata"} in found


def test_ties_reach_as_far_as_they_go() -> None:
    found = groups(
        entry("a/a.so", elf=PLAIN),
        entry("b/b.so", elf=PLAIN),
        entry("c/c.so", elf=PLAIN),
        pins=(pin("a", "b"), pin("b", "c"), pin("c")),
    )

    assert found == [{"a", "b", "c"}]


# -- parts --------


def test_what_can_be_uploaded_as_it_is_stays_one() -> None:
    assert parts(entry("a/x", zipped=MANY), entry("b/x", zipped=MANY)) == [{"a", "b"}]


def test_a_part_is_below_the_limit_of_a_direct_upload() -> None:
    found = parts(*(entry(f"{name}/x", zipped=MANY) for name in "abc"))

    assert found == [{"a", "c"}, {"b"}]


def test_a_part_of_exactly_the_limit_is_too_large() -> None:
    small = [entry("a/x"), entry("b/x", zipped=101)]
    room = DIRECT_UPLOAD_LIMIT - zipped_size(small)
    exact = [small[0], entry("b/x", zipped=101 + room)]

    assert zipped_size(exact) == DIRECT_UPLOAD_LIMIT
    assert parts(*exact) == [{"b"}, {"a"}]
    assert parts(small[0], entry("b/x", zipped=100 + room)) == [{"a", "b"}]


def test_a_group_that_is_too_large_by_itself_is_a_part() -> None:
    found = parts(entry("a/x", zipped=60_000_000), entry("b/x"))

    assert found == [{"a"}, {"b"}]


def test_there_are_no_more_parts_than_a_function_takes() -> None:
    found = parts(*(entry(f"{name}/x", zipped=45_000_000) for name in "abcdefg"))

    assert len(found) == 5
    assert sorted(map(len, found)) == [1, 1, 1, 2, 2]


def test_too_many_parts_are_levelled_by_what_they_hold_unzipped() -> None:
    large = [entry(f"{n}/x", zipped=46_000_000, size=90) for n in "abcdef"]
    small = [entry(f"{n}/x", zipped=45_000_000, size=10) for n in "ghij"]

    found = parts(*large, *small, most=180)

    assert len(found) == 5
    assert sum(map(len, found)) == 10


def test_a_part_holds_no_more_than_it_may_unzipped() -> None:
    found = parts(entry("a/x", size=600), entry("b/x", size=500), most=1000)

    assert found == [{"a"}, {"b"}]


def test_small_packages_are_where_there_is_least() -> None:
    found = parts(
        entry("a/x", zipped=50_000_000),
        entry("b/x", zipped=30_000_000),
        *(entry(f"{name}/x", zipped=1_000_000) for name in "cdefg"),
    )

    assert found == [{"a"}, {"b", "c", "d", "e", "f", "g"}]


def test_groups_that_fit_in_one_way_alone_are_put_so() -> None:
    sizes = {"a": 30, "b": 18, "c": 18, "d": 17, "e": 17}

    found = parts(
        *(entry(f"{name}/x", zipped=size * 1_000_000) for name, size in sizes.items())
    )

    assert found == [{"a", "b"}, {"c", "d", "e"}]


def test_every_file_is_in_one_part() -> None:
    tree = unite(entry(f"{name}/x", zipped=MANY) for name in "abcdef")

    divided = divide(tree, lock(), ROOT, MAX_UNZIPPED)

    assert sorted(one.path for part in divided for one in part) == [
        one.path for one in tree
    ]


def test_the_order_of_entries_is_of_no_account() -> None:
    entries = [entry(f"{name}/x", zipped=MANY) for name in "abcdef"]

    assert parts(*entries) == parts(*reversed(entries))


def test_a_group_that_is_too_large_for_lambda_is_refused() -> None:
    with pytest.raises(VerifyError) as caught:
        parts(entry("a/x", size=2_000_000), entry("b/x"), most=1_000_000)

    assert caught.value.message == (
        "a part of the layer would have 2,000,000 bytes (1.9 MiB) unzipped, 1,000,000 "
        "too many: a"
    )


# -- what requires what --------


def test_what_a_package_requires_is_in_its_part() -> None:
    found = parts(*sized(a=40, b=30, c=1), pins=(pin("a", "c"), pin("b"), pin("c")))

    assert found == [{"a", "c"}, {"b"}]


def test_what_it_requires_by_way_of_others_is_there_too() -> None:
    pins = (pin("a", "d"), pin("b"), pin("c"), pin("d", "c"))

    assert parts(*sized(a=40, b=30, c=1, d=2), pins=pins) == [{"a", "c", "d"}, {"b"}]


def test_a_package_without_files_hides_nothing_that_is_required() -> None:
    pins = (pin("a", "all-of-it"), pin("all-of-it", "c"), pin("b"), pin("c"))

    assert parts(*sized(a=40, b=30, c=1), pins=pins) == [{"a", "c"}, {"b"}]


def test_a_package_is_with_the_large_one_that_it_requires() -> None:
    found = parts(*sized(a=40, b=30, c=1), pins=(pin("a"), pin("b"), pin("c", "a")))

    assert found == [{"a", "c"}, {"b"}]


def test_what_all_parts_require_is_where_there_is_least() -> None:
    pins = (pin("a", "c"), pin("b", "c"), pin("c"))

    assert parts(*sized(a=40, b=30, c=1), pins=pins) == [{"a"}, {"b", "c"}]


def test_what_is_shared_is_not_in_the_part_that_needs_the_other_anyway() -> None:
    pins = (pin("a", "d"), pin("b"), pin("c", "a", "b", "d"), pin("d"))

    found = parts(*sized(a=40, b=35, c=20, d=1), pins=pins)

    assert found == [{"a", "d"}, {"b"}, {"c"}]


def test_a_part_takes_only_what_it_has_room_for() -> None:
    pins = (pin("a", "c", "d"), pin("b"), pin("c"), pin("d"))

    assert parts(*sized(a=50, b=30, c=1, d=3), pins=pins) == [{"a", "c"}, {"b", "d"}]


def test_a_part_for_s3_takes_all_that_it_requires() -> None:
    found = parts(*sized(a=60, b=30, c=1), pins=(pin("a", "c"), pin("b"), pin("c")))

    assert found == [{"a", "c"}, {"b"}]


def test_a_part_for_s3_takes_no_more_than_it_may_unzipped() -> None:
    pins = (pin("a", "c"), pin("b"), pin("c"))

    found = parts(*sized(a=60, b=30, c=1), pins=pins, most=60_500_000)

    assert found == [{"a"}, {"b", "c"}]


def test_packages_that_require_each_other_are_in_one_part() -> None:
    pins = (pin("a"), pin("b"), pin("c", "d"), pin("d", "c"))

    found = parts(*sized(a=40, b=40, c=1, d=1), pins=pins)

    assert found == [{"a"}, {"b", "c", "d"}]


def test_a_part_that_nothing_is_left_in_is_no_part() -> None:
    pins = (pin("a", "c"), pin("b", "d"), pin("c"), pin("d"), pin("e"), pin("f"))
    sizes = sized(a=22, b=22, c=15, d=15, e=15, f=15)

    assert len(parts(*sizes)) == 3
    assert parts(*sizes, pins=pins) == [{"a", "c", "e"}, {"b", "d", "f"}]


def test_a_part_that_needs_another_is_warned_of() -> None:
    found = warned({"web-1": tree("a"), "web-2": tree("b")}, pin("a", "b"), pin("b"))

    assert found == [
        (
            "web-1 needs b, which is in web-2",
            "Add web-2 to functions that have web-1.",
        )
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("bc", "b and c"),
        ("bcd", "b, c and d"),
        ("bcde", "b, c, d and 1 more"),
    ],
)
def test_some_of_what_a_part_needs_is_named(names: str, said: str) -> None:
    pins = (pin("a", *names), *map(pin, names))

    ((message, _),) = warned({"web-1": tree("a"), "web-2": tree(*names)}, *pins)

    assert message == f"web-1 needs {said}, which are in web-2"


def test_each_part_that_is_needed_is_told() -> None:
    pins = (pin("a", "b"), pin("b", "c"), pin("c"))

    found = warned({f"web-{n}": tree(n) for n in "abc"}, *pins)

    assert [message for message, _ in found] == [
        "web-a needs b, which is in web-b",
        "web-a needs c, which is in web-c",
        "web-b needs c, which is in web-c",
    ]


def test_parts_that_need_each_other_and_fit_no_function_are_told_so() -> None:
    large = {"web-1": tree("a", size=131_072_000), "web-2": tree("b", size=131_072_000)}

    together, needing = warned(large, pin("a", "b"), pin("b"))

    assert together[0].startswith("all parts together have 262,144,000 bytes ")
    assert needing == (
        "web-1 needs b, which is in web-2",
        "No function can hold both: leave packages out, or make several layers.",
    )


def test_parts_that_need_no_other_are_not_warned_of() -> None:
    assert warned({"web-1": tree("a", "b"), "web-2": tree("c")}, pin("a", "b")) == []


# -- what a function holds --------


def test_parts_that_no_function_can_hold_together_are_warned_of() -> None:
    (finding,) = verify_together(262_144_000)

    assert finding.message == (
        "all parts together have 262,144,000 bytes (250.0 MiB) unzipped: no function "
        'can hold them, as Lambda\'s "250 MB" are 262,144,000 bytes for its layers and '
        "code"
    )
    assert list(verify_together(262_143_999)) == []


def test_a_tree_of_one_part_is_the_tree() -> None:
    tree = unite([entry("a/x"), entry("b/x")])

    assert divide(tree, lock(), ROOT, MAX_UNZIPPED) == (Tree(tree.entries),)
