"""Bytecode: by the right interpreter, never stale, a pure function of the tree."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings
from layerforge.ecosystems.python import bytecode
from layerforge.ecosystems.python.bytecode import (
    add_bytecode,
    choose_interpreter,
    estimate_bytecode,
)
from layerforge.ecosystems.python.interpreters import Interpreter, find_interpreters
from layerforge.errors import BuildError, LockError
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from layerforge.tree import FileEntry

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
VERSION = f"{MINOR}.{sys.version_info.micro}"
TAG = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
TARGET = Target(runtime=find_runtime(f"python{MINOR}"), arch=Arch.X86_64)
PLENTY = 1 << 30
NO_ENGINE = (
    "no container engine answers at unix:///nonexistent/docker.sock ([docker.hosts]): "
    "no such file or directory"
)


def tools_of(store: Store) -> Tools:
    """Give tools whose engine is at an address where nothing is."""
    nowhere = "unix:///nonexistent/docker.sock"
    settings = ContainerSettings(hosts=dict.fromkeys(Arch, nowhere))
    return Tools(store=store, containers=Containers(settings))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True)
def only_this_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Interpreter(path=Path(sys.executable), version=VERSION)

    def found(minor: str) -> tuple[Interpreter, ...]:
        return (own,) if minor == MINOR else ()

    monkeypatch.setattr(bytecode, "find_interpreters", found)


def module(store: Store, path: str, source: str) -> FileEntry:
    name = f"{path} {source}".encode().hex()
    content = store.derive(name, "source", source.encode())
    return FileEntry(path=path, origin="demo", content=content)


def test_each_module_gets_bytecode_where_python_looks_for_it(store: Store) -> None:
    source = module(store, "python/demo/__init__.py", "x = 1\n")

    entries = add_bytecode([source], TARGET, VERSION, PLENTY, tools_of(store))

    assert [entry.path for entry in entries] == [
        "python/demo/__init__.py",
        f"python/demo/__pycache__/__init__.{TAG}.pyc",
    ]


def test_bytecode_is_used_even_where_the_source_is_newer(
    store: Store, tmp_path: Path
) -> None:
    source = module(store, "python/demo.py", "print('from', __file__, __name__)\n")
    _, compiled = add_bytecode([source], TARGET, VERSION, PLENTY, tools_of(store))
    assert compiled.content
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "demo.py").write_text("print('from source')\n")
    (tmp_path / "__pycache__" / f"demo.{TAG}.pyc").write_bytes(
        compiled.content.inflated()
    )

    said = subprocess.run(
        [sys.executable, "-c", "import demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said == f"from {tmp_path / 'demo.py'} demo\n"


def test_tracebacks_name_the_file_in_opt(store: Store) -> None:
    source = module(store, "python/demo.py", "x = 1\n")

    _, compiled = add_bytecode([source], TARGET, VERSION, PLENTY, tools_of(store))

    assert compiled.content
    assert b"/opt/python/demo.py" in compiled.content.inflated()


def test_bytecode_is_unchecked_and_by_hash(store: Store) -> None:
    text = "x = 1\n"
    source = module(store, "python/demo.py", text)

    _, compiled = add_bytecode([source], TARGET, VERSION, PLENTY, tools_of(store))

    assert compiled.content
    head = compiled.content.inflated()[:16]
    assert head == (
        importlib.util.MAGIC_NUMBER
        + b"\x01\0\0\0"
        + importlib.util.source_hash(text.encode())
    )


def test_the_order_of_compiling_changes_no_byte(tmp_path: Path) -> None:
    sources = {
        f"python/demo/m{number}.py": (
            f"import os\nNAMES = {{'self', 'm{number}', 'shared', 'path'}}\n"
            f"def shared(self, path):\n    return path in {{'a', 'b', 'm{number}'}}\n"
        )
        for number in range(20)
    }

    def compiled(order: list[str], name: str) -> set[tuple[str, str]]:
        store = Store(tmp_path / name)
        entries = [module(store, path, sources[path]) for path in order]
        return {
            (entry.path, entry.content.sha256)
            for entry in add_bytecode(entries, TARGET, VERSION, PLENTY, tools_of(store))
            if entry.content
        }

    forth, back = sorted(sources), sorted(sources, reverse=True)

    assert compiled(forth, "one") == compiled(back, "two")
    assert len(compiled(forth, "one")) == 40


def test_what_is_no_module_of_this_python_is_left_without(store: Store) -> None:
    entries = [
        module(store, "python/template.py", "{{ not python }} (\n"),
        module(store, "python/old.py", "print 'two'\n"),
        module(store, "python/nul.py", "x = '\0'\n"),
        module(store, "python/data.txt", "x = 1\n"),
        module(store, "bin/tool.py", "x = 1\n"),
    ]

    assert add_bytecode(entries, TARGET, VERSION, PLENTY, tools_of(store)) == tuple(
        entries
    )


def test_where_room_is_short_the_tops_of_packages_come_first(store: Store) -> None:
    small = module(store, "python/demo/deep/leaf.py", "x = 1\n")
    root = module(store, "python/demo/__init__.py", "y = 'longer than the leaf'\n")
    whole = add_bytecode([small, root], TARGET, VERSION, PLENTY, tools_of(store))
    room = sum(
        entry.size for entry in whole if entry.path.endswith("t__." + TAG + ".pyc")
    )

    entries = add_bytecode([small, root], TARGET, VERSION, room, tools_of(store))

    assert [entry.path for entry in entries[2:]] == [
        f"python/demo/__pycache__/__init__.{TAG}.pyc"
    ]


def test_the_second_time_nothing_is_compiled(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = module(store, "python/demo.py", "x = 1\n")
    first = add_bytecode([source], TARGET, VERSION, PLENTY, tools_of(store))
    monkeypatch.setattr(bytecode, "_COMPILER", Path("/nonexistent"))

    assert add_bytecode([source], TARGET, VERSION, PLENTY, tools_of(store)) == first


def test_nothing_of_a_module_is_run(store: Store, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    source = module(store, "python/demo.py", f"open({str(trace)!r}, 'w')\n")

    add_bytecode([source], TARGET, VERSION, PLENTY, tools_of(store))

    assert not trace.exists()


def test_another_version_than_the_locks_is_refused(store: Store) -> None:
    source = module(store, "python/demo.py", "x = 1\n")

    with pytest.raises(BuildError) as refused:
        add_bytecode([source], TARGET, f"{MINOR}.99", PLENTY, tools_of(store))

    assert refused.value.message == (
        f"the lock has bytecode compiled by Python {MINOR}.99; this machine has "
        f"{VERSION}; containers: {NO_ENGINE}"
    )
    assert refused.value.remedy == (
        f"Install {MINOR}.99, or let the lock name another: layerforge lock; or say "
        "bytecode = false."
    )


def test_without_an_interpreter_there_is_no_lock_for_bytecode(store: Store) -> None:
    runtime = find_runtime("python3.13")
    target = Target(runtime=runtime, arch=Arch.ARM64)

    with pytest.raises(LockError) as refused:
        choose_interpreter(target, "", tools_of(store))

    assert refused.value.message == (
        "bytecode for python3.13-arm64 needs Python 3.13: there is none on this "
        f"machine, and no container to take it from: {NO_ENGINE}"
    )


def test_the_estimate_is_near_what_bytecode_takes(store: Store) -> None:
    folder = Path(json.__file__).parent
    sources = [
        module(store, f"python/json/{file.name}", file.read_text(encoding="utf-8"))
        for file in sorted(folder.glob("*.py"))
    ]

    compiled = add_bytecode(sources, TARGET, VERSION, PLENTY, tools_of(store))[
        len(sources) :
    ]

    taken = sum(entry.size for entry in compiled)
    assert taken == pytest.approx(estimate_bytecode(sources), rel=0.3)


def test_interpreters_on_path_are_found_and_shims_that_fail_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, works = tmp_path / "broken", tmp_path / "works"
    for folder, script in (
        (broken, "exit 127"),
        (works, f'exec "{sys.executable}" "$@"'),
    ):
        folder.mkdir()
        path = folder / f"python{MINOR}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken}:{works}:/usr/bin:/bin")

    found = find_interpreters(MINOR)

    assert Interpreter(path=works / f"python{MINOR}", version=VERSION) in found
    assert all(interpreter.path.parent != broken for interpreter in found)
