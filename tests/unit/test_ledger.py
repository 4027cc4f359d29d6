from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from layerforge.ledger import same_sizes, weigh, weighed
from layerforge.lock import Lock, Pin, Weight
from layerforge.pack import Pack
from layerforge.store import Store
from layerforge.strip import Stripping, StripRule, strip
from layerforge.tree import FileEntry
from layerforge.trim import trim_libraries
from tests.elf_files import DATA, DEBUG, TEXT, make_elf
from tests.entries import make_entry

LIBRARY = bytes(make_elf(TEXT, DATA, DEBUG))
STRIPPING = Stripping(
    root="python/",
    rules=(StripRule(id="tests", why="They test.", drop=("**/tests",)),),
)
PIN = Pin(
    name="demo",
    version="1.0",
    filename="demo-1.0-py3-none-any.whl",
    url="https://example.org/demo-1.0-py3-none-any.whl",
    digest="ab" * 32,
)
LOCK = Lock(
    layer="web", target="python3.12-x86_64", inputs="", roots=("demo",), pins=(PIN,)
)


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    entries = (
        make_entry(tmp_path, "python/demo/__init__.py", b"x = 1\n"),
        make_entry(tmp_path, "python/demo/tests/test_a.py", b"assert True\n"),
        make_entry(tmp_path, "python/demo/_demo.so", LIBRARY),
    )
    return Pack(name="demo", version="1.0", digest="ab" * 32, entries=entries)


def left_of(pack: Pack) -> tuple[FileEntry, ...]:
    return strip(pack.entries, STRIPPING).entries


def test_a_package_weighs_what_is_left_of_it(pack: Pack) -> None:
    weight = weigh(pack, left_of(pack), trim=False)

    assert weight == Weight(unzipped=6 + 12 + len(LIBRARY), kept=6 + len(LIBRARY))


def test_a_trimmed_library_weighs_what_it_will_have(pack: Pack, tmp_path: Path) -> None:
    weight = weigh(pack, left_of(pack), trim=True)

    made = trim_libraries(left_of(pack), Store(tmp_path / "store"))
    assert weight.kept == sum(entry.size for entry in made) < 6 + len(LIBRARY)


def test_what_is_predicted_of_a_package_is_said_to_be(pack: Pack) -> None:
    weight = weigh(replace(pack, predicted=True), left_of(pack), trim=True)

    assert weight.predicted


def test_what_nothing_is_cut_of_is_certain_from_afar(pack: Pack) -> None:
    predicted = replace(pack, predicted=True)
    pure = [entry for entry in left_of(pack) if not entry.elf]

    assert not weigh(predicted, left_of(pack), trim=False).predicted
    assert not weigh(predicted, pure, trim=True).predicted


def test_a_library_by_its_name_may_be_cut_though_nothing_of_it_was_read(
    pack: Pack,
) -> None:
    unread = [replace(entry, elf=None) for entry in left_of(pack)]

    assert weigh(replace(pack, predicted=True), unread, trim=True).predicted


def test_sizes_are_the_same_however_certain_they_are(pack: Pack) -> None:
    read, foreseen = (
        weighed(LOCK, {"demo": each}, STRIPPING, trim=True)
        for each in (pack, replace(pack, predicted=True))
    )
    whole = weighed(LOCK, {"demo": pack}, STRIPPING, trim=False)

    assert read != foreseen
    assert same_sizes(read, foreseen)
    assert not same_sizes(read, whole)


@pytest.mark.parametrize(
    ("kept", "predicted", "same"),
    [
        (1019, True, True),
        (981, True, True),
        (1021, True, False),
        (1001, False, False),
        (1000, False, True),
    ],
)
def test_a_prediction_holds_within_its_margin(
    kept: int,
    predicted: bool,  # noqa: FBT001 - a row of the table above
    same: bool,  # noqa: FBT001 - as above
) -> None:
    def lock(weight: Weight) -> Lock:
        return replace(LOCK, pins=(replace(LOCK.pins[0], weight=weight),))

    told = lock(Weight(unzipped=2000, kept=kept, predicted=predicted))

    assert same_sizes(lock(Weight(unzipped=2000, kept=1000)), told) == same


def test_a_lock_gets_the_weight_of_each_pin(pack: Pack) -> None:
    lock = weighed(LOCK, {"demo": pack}, STRIPPING, trim=False)

    weight = weigh(pack, left_of(pack), trim=False)
    assert lock == replace(
        LOCK, pins=(replace(PIN, weight=weight),), stripping=STRIPPING.digest
    )
