from __future__ import annotations

from dataclasses import dataclass

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from layerforge.archive import zipped_size
from layerforge.errors import VerifyError
from layerforge.limits import DIRECT_UPLOAD_LIMIT, MAX_UNZIPPED, MOST_LAYERS
from layerforge.lock import Lock, Pin
from layerforge.split import divide
from layerforge.tree import Content, FileEntry, Tree, unite

ROOT = "python/"
NAMES = "abcdefgh"
# A busy machine is no property of a layer.
unhurried = settings(deadline=None)


@dataclass(frozen=True)
class Layer:
    tree: Tree
    lock: Lock


def entry(name: str, zipped: int) -> FileEntry:
    content = Content(
        file="",
        offset=0,
        length=zipped,
        method=8,
        size=zipped * 3,
        crc32=0,
        sha256="ab" * 32,
    )
    return FileEntry(path=f"{ROOT}{name}/x", origin=name, content=content)


def pin(name: str, dependencies: tuple[str, ...]) -> Pin:
    return Pin(
        name=name,
        version="1.0",
        filename=f"{name}-1.0-py3-none-any.whl",
        url="",
        digest="",
        dependencies=dependencies,
    )


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """Draw packages of up to 60 MB zipped, each a group, which require any others."""
    sizes = draw(
        st.dictionaries(st.sampled_from(NAMES), st.integers(1, 60_000_000), min_size=1)
    )
    required = st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(tuple)
    pins = tuple(pin(name, draw(required)) for name in NAMES)
    return Layer(
        tree=unite(entry(name, size) for name, size in sizes.items()),
        lock=Lock(layer="web", target="", inputs="", roots=(), pins=pins),
    )


def divided(layer: Layer) -> tuple[Tree, ...]:
    try:
        return divide(layer.tree, layer.lock, ROOT, MAX_UNZIPPED)
    except VerifyError:
        assume(False)
        raise


@unhurried
@given(layers())
def test_every_file_is_in_one_part(layer: Layer) -> None:
    paths = [each.path for part in divided(layer) for each in part]

    assert sorted(paths) == [each.path for each in layer.tree]


@unhurried
@given(layers())
def test_there_are_no_more_parts_than_a_function_takes(layer: Layer) -> None:
    parts = divided(layer)

    assert 1 <= len(parts) <= MOST_LAYERS
    assert all(len(part) for part in parts)


@unhurried
@given(layers())
def test_no_part_is_larger_than_it_may_be(layer: Layer) -> None:
    assert all(part.size <= MAX_UNZIPPED for part in divided(layer))


@unhurried
@given(layers())
def test_a_part_is_for_s3_only_where_there_is_no_other_way(layer: Layer) -> None:
    parts = divided(layer)
    assume(len(parts) < MOST_LAYERS)

    for part in parts:
        alone = any(zipped_size([each]) >= DIRECT_UPLOAD_LIMIT for each in part)
        assert alone or zipped_size(part) < DIRECT_UPLOAD_LIMIT


@unhurried
@given(layers(), st.data())
def test_the_order_of_pins_is_of_no_account(layer: Layer, data: st.DataObject) -> None:
    pins = tuple(data.draw(st.permutations(layer.lock.pins)))
    shuffled = Layer(
        tree=layer.tree,
        lock=Lock(layer="web", target="", inputs="", roots=(), pins=pins),
    )

    assert divided(shuffled) == divided(layer)
