"""The audit of a whole layer: how bad what is found is, and what bases have of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from layerforge.audit import above, audit, refusal
from layerforge.elf import ElfFacts
from layerforge.findings import Finding, Severity, Waiver, idle
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import FileEntry, Tree, unite
from tests.entries import make_entry

TARGET = Target(runtime=find_runtime("python3.13"), arch=find_arch("x86_64"))
NEEDS = ElfFacts(machine=62, bits=64, needed=("libdemo.so.1",))
BRINGS = ElfFacts(machine=62, bits=64, soname="libdemo.so.1")


@pytest.fixture
def layer(tmp_path: Path) -> Tree:
    """A package that imports its extension module, which needs a library."""
    extension = make_entry(tmp_path, "python/demo/_core.so", b"core")
    return unite(
        [
            make_entry(
                tmp_path, "python/demo/__init__.py", b"from demo import _core\n"
            ),
            replace(extension, elf=NEEDS),
        ]
    )


@pytest.fixture
def base(tmp_path: Path) -> tuple[FileEntry, ...]:
    library = make_entry(tmp_path, "lib/libdemo.so.1", b"library", origin="include")
    return (replace(library, elf=BRINGS),)


def found(
    tree: Tree, *waivers: Waiver, bases: tuple[FileEntry, ...] = ()
) -> list[tuple[str, Severity]]:
    told = audit(tree, TARGET, waivers, bases=bases)
    return [(one.check, one.severity) for one in told if not one.waived]


def test_what_an_import_loads_and_lacks_is_an_error(layer: Tree) -> None:
    assert found(layer) == [("library", Severity.ERROR)]


def test_what_nothing_loads_at_import_is_a_warning(layer: Tree, tmp_path: Path) -> None:
    init = make_entry(tmp_path, "python/demo/__init__.py", b"")
    rest = [entry for entry in layer if not entry.path.endswith(".py")]

    assert found(unite([init, *rest])) == [("library", Severity.WARNING)]


def test_what_a_base_has_is_not_lacking(
    layer: Tree, base: tuple[FileEntry, ...]
) -> None:
    assert found(layer, bases=base) == []


def test_what_is_wrong_with_a_base_is_its_own_affair(
    layer: Tree, base: tuple[FileEntry, ...]
) -> None:
    stranger = replace(base[0], path="lib/libother.so", elf=NEEDS)

    assert found(layer, bases=(*base, stranger)) == []


def test_a_file_that_a_base_has_otherwise_is_warned_of(tmp_path: Path) -> None:
    mine = make_entry(tmp_path, "python/six.py", b"mine")
    theirs = make_entry(tmp_path, "python/six.py", b"theirs")
    same = make_entry(tmp_path, "python/six.py", b"mine")

    assert found(unite([mine]), bases=(theirs,)) == [("overlap", Severity.WARNING)]
    assert found(unite([mine]), bases=(same,)) == []


def test_a_layer_hides_the_files_of_its_bases(tmp_path: Path) -> None:
    mine = make_entry(tmp_path, "python/a.py", b"mine")
    theirs = make_entry(tmp_path, "python/a.py", b"theirs")
    other = make_entry(tmp_path, "python/0.py", b"theirs")

    assert above((theirs, other), unite([mine])).entries == (other, mine)


def test_a_waived_error_stops_nothing(layer: Tree) -> None:
    waiver = Waiver(check="library", path="python/demo", why="It is preloaded.")

    assert found(layer, waiver) == []
    assert [one.waived for one in audit(layer, TARGET, [waiver])] == [
        "It is preloaded."
    ]


def test_a_waiver_that_covers_nothing_is_noted() -> None:
    waiver = Waiver(check="machine", path="python/demo", why="Nobody imports it.")
    finding = Finding(
        check="machine", severity=Severity.WARNING, message="m", path="python/demo/a.so"
    )
    elsewhere = Waiver(check="runtime", why="We know.")

    assert list(idle([finding], [waiver, elsewhere])) == []
    assert list(idle([], [waiver, waiver])) == [
        Finding(
            check="waiver",
            severity=Severity.NOTE,
            message="nothing of python/demo has to be waived for machine",
            remedy="Take the waiver out of layerforge.toml.",
        )
    ]


def test_what_does_not_lack_anything_is_judged_by_the_layer_alone(
    tmp_path: Path,
) -> None:
    mine = [make_entry(tmp_path, f"python/{name}") for name in ("b.py", "B.py")]
    theirs = tuple(make_entry(tmp_path, f"python/{name}") for name in ("a.py", "A.py"))

    alone = audit(unite(mine), TARGET)

    assert [one.check for one in alone] == ["case"]
    assert audit(unite(mine), TARGET, bases=theirs) == alone


def test_a_refusal_names_every_fault_and_each_remedy_once() -> None:
    errors = [
        Finding(
            check="machine",
            severity=Severity.ERROR,
            path=f"python/{name}.so",
            message="is for another machine",
            remedy="Leave it out.",
        )
        for name in "ab"
    ]

    error = refusal("web for python3.13-x86_64", errors)

    assert error.message == (
        "web for python3.13-x86_64 would not work:\n"
        "  python/a.so and 1 more: is for another machine [machine]"
    )
    assert error.remedy == "Leave it out."
