"""Laws of Node.js layers: programs stay in, digests round, the SDK goes as a whole."""

from __future__ import annotations

import base64
import json
import posixpath
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from layerforge.ecosystems.node.bins import link_bins
from layerforge.ecosystems.node.installation import read_installation
from layerforge.ecosystems.node.integrity import digest_of
from layerforge.ecosystems.node.ledgerfile import with_ledger, write_ledger
from layerforge.ecosystems.node.packagelock import Package, Source
from layerforge.lock import Lock, Pin, Weight, sorted_pins
from layerforge.pack import Pack
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tree import FileEntry
from tests.registry import integrity_of, lock_of

ARM: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.ARM64)
WITHOUT_SDK: Final = LayerSpec(
    name="web", requirements=Requirements(language="node"), exclude_runtime_sdk=True
)
NAMES: Final = ("a", "b", "c", "d", "@aws-sdk/x", "@aws-sdk/y", "@smithy/z")
PATHS: Final = st.text(alphabet="ab./\\:@ ", max_size=12)
GRAPHS: Final = st.fixed_dictionaries(
    {name: st.sets(st.sampled_from(NAMES)) for name in NAMES}
)


@given(PATHS, PATHS)
def test_a_program_never_leads_out_of_its_package(name: str, program: str) -> None:
    package = Package(
        path="node_modules/p",
        name="p",
        version="1.0.0",
        source=Source.REGISTRY,
        bin=((name, program),),
    )
    paths = ["a", "b/a", "ab", "a b", "a/b/a"]
    entries = tuple(
        FileEntry(path=f"nodejs/node_modules/p/{path}", origin="p") for path in paths
    )
    pack = Pack(name="p", version="1.0.0", digest="ab" * 64, entries=entries)

    made = link_bins(
        {package.path: pack}, {package.path: package}, "nodejs/", Store(Path("none"))
    )

    for entry in made[package.path].entries:
        if entry.link:
            folder, leaf = posixpath.split(entry.path)
            assert folder == "nodejs/node_modules/.bin"
            assert leaf not in {"", ".", ".."}
            there = posixpath.normpath(posixpath.join(folder, entry.link))
            assert there in {each.path for each in entries}


@given(
    st.binary(),
    st.permutations(["sha512", "sha384", "sha256", "sha1"]),
    st.integers(min_value=1, max_value=4),
)
def test_of_several_hashes_the_longest_counts(
    data: bytes, algorithms: list[str], count: int
) -> None:
    entries = [integrity_of(data, algorithm) for algorithm in algorithms[:count]]
    decoded = [base64.b64decode(entry.partition("-")[2]) for entry in entries]
    package = Package(
        path="node_modules/a",
        name="a",
        version="1.0.0",
        source=Source.REGISTRY,
        integrity=" ".join(entries),
    )

    assert digest_of(package) == max(decoded, key=len).hex()


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1),
        st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40)),
    )
)
def test_a_ledger_is_read_as_it_was_written(
    weights: dict[str, tuple[int, int]],
) -> None:
    pins = sorted_pins(
        Pin(
            name=name,
            version="1.0.0",
            filename="x.tgz",
            url="https://example.org/x.tgz",
            digest="ab" * 64,
            weight=Weight(unzipped=unzipped, kept=kept),
        )
        for name, (unzipped, kept) in weights.items()
    )
    lock = Lock(
        layer="web",
        target=str(ARM),
        inputs="",
        roots=(),
        pins=pins,
        stripping="cd" * 32,
    )
    bare = replace(
        lock, pins=tuple(replace(pin, weight=None) for pin in pins), stripping=""
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.toml")
        write_ledger(lock, path)

        assert with_ledger(bare, path) == lock


@given(GRAPHS, st.sets(st.sampled_from(NAMES), min_size=1))
def test_without_the_sdk_all_else_that_the_project_needs_is_there(
    graph: dict[str, set[str]], wanted: set[str]
) -> None:
    own = {name for name in NAMES if not name.startswith("@")}
    needed = _reached(wanted & own, {name: graph[name] & own for name in own})
    rows = {
        f"node_modules/{name}": {
            "version": "1.0.0",
            "integrity": integrity_of(name.encode()),
            "dependencies": dict.fromkeys(sorted(graph[name]), "*"),
        }
        for name in NAMES
    }
    asked = dict.fromkeys(sorted(wanted), "*")
    manifest = {"name": "web", "version": "1.0.0", "dependencies": asked}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "package-lock.json")
        path.write_text(lock_of(json.loads(json.dumps(manifest)), rows))
        installation = read_installation(path, WITHOUT_SDK, ARM)

    assert {one.name for one in installation.packages.values()} == needed


def _reached(start: set[str], graph: dict[str, set[str]]) -> set[str]:
    reached = start
    while more := {name for one in reached for name in graph[one]} - reached:
        reached = reached | more
    return reached
