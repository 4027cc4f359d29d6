"""Laws of lock files: nothing is lost in them, and all of them follow PEP 751."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from packaging.pylock import Pylock

from layerforge.lock import (
    Lock,
    Pin,
    Weight,
    commit_archive,
    dump_lock,
    read_lock,
    sorted_pins,
)
from layerforge.target import Arch, Target, load_runtimes

RUNTIMES = [runtime for runtime in load_runtimes().values() if runtime.full_version]
FOLDER = Path("/nowhere/at/all")

LETTERS = "abcz019"

names = st.builds(
    "{}{}{}".format,
    st.sampled_from(LETTERS),
    st.text(LETTERS + "-", max_size=6).filter(lambda text: "--" not in text),
    st.sampled_from(LETTERS),
)
versions = st.builds(
    "{}.{}{}".format,
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(["", ".1", "rc1", ".post2"]),
)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
sizes = st.integers(min_value=0, max_value=2**40)
targets = st.builds(
    Target, runtime=st.sampled_from(RUNTIMES), arch=st.sampled_from(Arch)
)
weights = st.builds(Weight, unzipped=sizes, kept=sizes, predicted=st.booleans())


@st.composite
def pins(draw: st.DrawFn) -> tuple[Pin, ...]:
    chosen = draw(st.lists(names, unique=True, max_size=6))
    return tuple(draw(pin(name, chosen)) for name in chosen)


@st.composite
def pin(draw: st.DrawFn, name: str, others: list[str]) -> Pin:
    version = draw(versions)
    if draw(st.integers(0, 3)) == 0:
        commit = draw(digests)[:40]
        part = draw(st.sampled_from(["", "src/a"]))
        archive = commit_archive("git", "https://example.org/a.git", commit, part)
        return Pin(name=name, version=version, **archive)
    ending = draw(st.sampled_from(["-py3-none-any.whl", ".tar.gz"]))
    filename = f"{name.replace('-', '_')}-{version}{ending}"
    place = draw(st.sampled_from(["https://example.org/a%20b", "file:///elsewhere"]))
    return Pin(
        name=name,
        version=version,
        filename=filename,
        url=f"{place}/{filename}",
        digest=draw(digests),
        size=draw(sizes),
        dependencies=tuple(sorted(draw(st.sets(st.sampled_from(others))))),
        weight=draw(st.none() | weights),
    )


@st.composite
def locks(draw: st.DrawFn) -> tuple[Lock, Target]:
    target = draw(targets)
    every = draw(pins())
    lock = Lock(
        layer=draw(names),
        target=str(target),
        inputs=draw(digests),
        roots=tuple(sorted(draw(st.sets(names, max_size=3)))),
        pins=sorted_pins(every),
        provided=draw(st.sampled_from([(), target.runtime.sdk])),
        stripping=draw(st.just("") | digests),
        interpreter=draw(st.sampled_from(["", "3.12.12"])),
    )
    return lock, target


@given(drawn=locks())
def test_what_is_written_is_read(drawn: tuple[Lock, Target]) -> None:
    lock, target = drawn

    with TemporaryDirectory() as name:
        file = Path(name) / "pylock.toml"
        file.write_text(dump_lock(lock, target, FOLDER), encoding="utf-8")

        assert read_lock(file) == lock


@given(drawn=locks(), data=st.data())
def test_the_order_of_pins_does_not_show(
    drawn: tuple[Lock, Target], data: st.DataObject
) -> None:
    lock, target = drawn
    shuffled = tuple(data.draw(st.permutations(lock.pins)))

    text = dump_lock(replace(lock, pins=shuffled), target, FOLDER)

    assert text == dump_lock(lock, target, FOLDER)


@given(drawn=locks())
def test_every_lock_follows_the_standard(drawn: tuple[Lock, Target]) -> None:
    lock, target = drawn

    pylock = Pylock.from_dict(tomllib.loads(dump_lock(lock, target, FOLDER)))

    pylock.validate()
    assert [package.name for package in pylock.packages] == [
        pin.name for pin in lock.pins
    ]
