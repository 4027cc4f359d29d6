"""Bytecode from the runtime's image, where this machine has no such interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings
from layerforge.ecosystems.python import bytecode
from layerforge.ecosystems.python.bytecode import add_bytecode, choose_interpreter
from layerforge.errors import BuildError
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from layerforge.tree import FileEntry

pytestmark = pytest.mark.docker

BASES = ContainerSettings(image="layerforge-base:{runtime}-{arch}")
TARGET = Target(runtime=find_runtime("python3.13"), arch=Arch.X86_64)
PLENTY = 1 << 30


@pytest.fixture(autouse=True)
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "find_interpreters", lambda _minor: ())


def compiled(folder: Path, version: str = "") -> tuple[str, list[bytes]]:
    """Compile two modules in a container, into a store of their own."""
    with Containers(BASES) as containers:
        tools = Tools(store=Store(folder), containers=containers)
        sources = [
            FileEntry(
                path=f"python/{name}.py",
                origin="demo",
                content=tools.store.derive(name, "source", source.encode()),
            )
            for name, source in (("one", "x = {'b', 'a'}\n"), ("two", "print(2)\n"))
        ]
        version = version or choose_interpreter(TARGET, "", tools)
        entries = add_bytecode(sources, TARGET, version, PLENTY, tools)
        contents = [entry.content for entry in entries[len(sources) :]]
        return version, [content.inflated() for content in contents if content]


def test_the_images_interpreter_compiles_the_same_each_time(tmp_path: Path) -> None:
    version, first = compiled(tmp_path / "one")

    assert version.startswith("3.13.")
    assert [code[4:8] for code in first] == [b"\x01\0\0\0"] * 2  # unchecked, by hash
    assert compiled(tmp_path / "two") == (version, first)


def test_another_version_than_the_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as refused:
        compiled(tmp_path, "3.13.99")

    assert refused.value.message.startswith(
        "the lock has bytecode compiled by Python 3.13.99; this machine has none of "
        "its minor version; containers: layerforge-base:python3.13-x86_64 has 3.13."
    )
