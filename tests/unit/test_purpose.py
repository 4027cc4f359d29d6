from __future__ import annotations

import pytest

from layerforge.elf import ElfFacts
from layerforge.target import find_arch, find_runtime
from layerforge.tree import FileEntry, unite
from layerforge.verify.purpose import purposes_of

X86_64, AARCH64, RISCV = 62, 183, 243
OLD = "cpython-311-x86_64-linux-gnu.so"
NEW = "cpython-312-x86_64-linux-gnu.so"


def library(path: str, machine: int) -> FileEntry:
    facts = ElfFacts(machine=machine, bits=64)
    return FileEntry(path=path, origin="", elf=facts)


def told(*paths: str, machine: int = 0) -> list[tuple[str, tuple[str, ...]]]:
    entries = [FileEntry(path=path, origin="") for path in paths]
    if machine:
        entries.append(library("lib/libdemo.so", machine))
    found = purposes_of(unite(entries))
    return [(str(one.target), one.assumed) for one in found]


@pytest.mark.parametrize(
    ("paths", "runtime"),
    [
        ([f"python/a.{OLD}"], "python3.11"),
        ([f"python/a.{OLD}", f"python/a.{NEW}", f"python/b.{NEW}"], "python3.12"),
        ([f"python/a.{OLD}", f"python/a.{NEW}"], "python3.12"),
        (["python/a.cpython-313-darwin.so"], "python3.13"),
        (["python/a.cp313-win_amd64.pyd"], "python3.13"),
        (["python/lib/python3.10/site-packages/a.py"], "python3.10"),
        (["python/__pycache__/a.cpython-39.pyc"], "python3.9"),
        ([f"python/a.{OLD}", "python/__pycache__/a.cpython-39.pyc"], "python3.11"),
        ([f"a.{NEW}", "a-1.dist-info/METADATA"], "python3.12"),
        (["nodejs/node20/node_modules/a/index.js"], "nodejs20.x"),
    ],
)
def test_names_tell_the_runtime(paths: list[str], runtime: str) -> None:
    assert told(*paths, machine=AARCH64) == [(f"{runtime}-arm64", ())]


@pytest.mark.parametrize(
    ("paths", "runtime"),
    [
        (["python/a.py"], "python3.14"),
        (["python/a.abi3.so"], "python3.14"),
        (["python/a.cpython-38-x86_64-linux-gnu.so"], "python3.14"),
        (["nodejs/node_modules/a/index.js"], "nodejs24.x"),
        (["node_modules/a/index.js"], "nodejs24.x"),
        (["a/__init__.py"], "python3.14"),
    ],
)
def test_where_nothing_tells_the_runtime_it_is_the_newest(
    paths: list[str], runtime: str
) -> None:
    assert told(*paths, machine=X86_64) == [(f"{runtime}-x86_64", ("runtime",))]


def test_without_libraries_nothing_tells_the_architecture() -> None:
    assert told("python/lib/python3.12/site-packages/a.py") == [
        ("python3.12-x86_64", ("architecture",))
    ]
    assert told("python/lib/python3.12/a.py", machine=RISCV) == [
        ("python3.12-x86_64", ("architecture",))
    ]


def test_a_layer_for_both_languages_has_two_purposes() -> None:
    found = told("python/a.py", "nodejs/node_modules/b/a.js", machine=AARCH64)

    assert [target for target, _ in found] == ["nodejs24.x-arm64", "python3.14-arm64"]


def test_a_layer_of_programs_has_no_purpose() -> None:
    assert told("bin/tool", machine=X86_64) == []


def test_what_is_given_is_not_told() -> None:
    tree = unite([library(f"python/a.{NEW}", X86_64)])

    (found,) = purposes_of(tree, find_runtime("python3.13"), find_arch("arm64"))

    assert (str(found.target), found.assumed) == ("python3.13-arm64", ())
