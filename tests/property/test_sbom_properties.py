"""Laws of bills of materials: the order of things doesn't show, nor do secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st
from packageurl import PackageURL

from layerforge.documents.sbom import dump_sbom
from layerforge.lock import Lock, Pin
from layerforge.target import Arch, Target, load_runtimes
from layerforge.tree import FileEntry, Tree
from tests.layers import Layer

SECRET: Final = "s3cr3t"  # noqa: S105 - to be looked for
TARGET: Final = Target(runtime=load_runtimes()["nodejs22.x"], arch=Arch.ARM64)
VALIDATOR: Final = JsonStrictValidator(SchemaVersion.V1_6)

unhurried = settings(deadline=None, max_examples=50)

# What npm has had for names, and what locks are refused for is left out.
bare = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="/\\@:"
    ),
    min_size=1,
    max_size=8,
).filter(lambda name: not name.startswith("."))
names = bare | st.builds("@{}/{}".format, bare, bare)
versions = st.from_regex(
    r"[0-9]\.[0-9]\.[0-9](-[a-z0-9.]{1,5})?(\+[a-z0-9]{1,5})?", fullmatch=True
)
digests = st.binary(min_size=64, max_size=64).map(bytes.hex)
addresses = st.sampled_from(
    [
        "https://registry.example.org/a.tgz",
        f"https://someone:{SECRET}@registry.example.org/a.tgz",
        f"https://{SECRET}@registry.example.org/a.tgz?token={SECRET}#{SECRET}",
        f"file:///home/{SECRET}/a.tgz",
        f"file:///home/{SECRET}/a",
    ]
)
commits = st.sampled_from(
    [
        f"git+https://someone:{SECRET}@example.org/a.git@{'0' * 40}",
        f"git+ssh://{SECRET}@example.org/a.git#{'0' * 40}",
        f"git+file:///home/{SECRET}/a.git#{'0' * 40}",
    ]
)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    ids = draw(st.lists(names, unique=True, min_size=1, max_size=5))
    pins = tuple(draw(pin(name, ids)) for name in ids)
    origins = draw(st.lists(st.sampled_from([*ids, "include"]), unique=True))
    entries = tuple(
        FileEntry(path=f"nodejs/{number}", origin=origin, link="target")
        for number, origin in enumerate(origins)
    )
    lock = Lock(
        layer="web",
        target=str(TARGET),
        inputs="",
        roots=tuple(draw(st.lists(st.sampled_from(ids), unique=True))),
        pins=pins,
    )
    return Layer(target=TARGET, lock=lock, tree=Tree(entries))


@st.composite
def pin(draw: st.DrawFn, name: str, others: list[str]) -> Pin:
    commit = draw(st.booleans())
    return Pin(
        name=name,
        version=draw(versions),
        filename="" if commit else "a.tgz",
        url=draw(commits if commit else addresses),
        digest=draw(digests),
        dependencies=tuple(draw(st.lists(st.sampled_from(others), unique=True))),
    )


def text_of(layer: Layer) -> str:
    return dump_sbom(layer.report, layer.target, [layer.lock], layer.tree)


@unhurried
@given(layer=layers(), data=st.data())
def test_the_order_of_pins_and_dependencies_does_not_show(
    layer: Layer, data: st.DataObject
) -> None:
    def shuffled(one: Pin) -> Pin:
        asked = data.draw(st.permutations(one.dependencies))
        return replace(one, dependencies=tuple(asked))

    pins = tuple(map(shuffled, data.draw(st.permutations(layer.lock.pins))))
    roots = tuple(data.draw(st.permutations(layer.lock.roots)))
    other = replace(layer.lock, pins=pins, roots=roots)

    text = text_of(replace(layer, lock=other))

    assert text == text_of(layer)


@settings(unhurried, max_examples=5)  # the validator parses every address for long
@given(layer=layers())
def test_every_bill_of_materials_follows_the_schema(layer: Layer) -> None:
    assert VALIDATOR.validate_str(text_of(layer)) is None


@unhurried
@given(layer=layers())
def test_no_secret_and_no_path_of_this_machine_is_told(layer: Layer) -> None:
    assert SECRET not in text_of(layer)


@unhurried
@given(layer=layers())
def test_a_purl_is_read_back_as_the_package_it_names(layer: Layer) -> None:
    rows = json.loads(text_of(layer))["components"]
    packages = [row for row in rows if row["type"] == "library"]

    told = [PackageURL.from_string(row["purl"]) for row in packages]

    # The specification has npm's names in small letters, whatever they once were.
    assert sorted(
        (one.namespace or "", one.name, one.version) for one in told
    ) == sorted(
        (scope, name.lower(), each.version)
        for each in layer.lock.pins
        for scope, _, name in [each.name.rpartition("/")]
    )


@unhurried
@given(layer=layers())
def test_every_component_is_reached_from_the_layer(layer: Layer) -> None:
    document = json.loads(text_of(layer))
    asked = {row["ref"]: row.get("dependsOn", []) for row in document["dependencies"]}
    reached: set[str] = set()
    waiting = ["layer:web"]
    while waiting:
        ref = waiting.pop()
        if ref not in reached:
            reached.add(ref)
            waiting += asked[ref]

    assert reached == {"layer:web", *(row["bom-ref"] for row in document["components"])}
