"""Bytecode that is never stale: compiled before, kept by the hash of its source.

/opt can't be written at run time, and the fixed dates of a zip make a .pyc with a time
stamp stale. An unchecked-hash .pyc (PEP 552) is used as it is. It must come from an
interpreter of the very version that the lock names, so that it is the same everywhere:
one of this machine's, or the one in the runtime's image.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Final

from layerforge.containers.task import Task
from layerforge.ecosystems.python.interpreters import (
    CLEAN_ENVIRONMENT,
    Interpreter,
    find_interpreters,
)
from layerforge.errors import BuildError, LockError
from layerforge.store import Store
from layerforge.target import Target
from layerforge.tools import Tools
from layerforge.tree import Content, FileEntry

_ROOT: Final = "python/"
_COMPILER: Final = Path(__file__).with_name("programs") / "compiler.py"
_LARGEST_SOURCE: Final = 16 << 20  # bytes; larger modules are data in disguise
_NOT_PYTHON: Final = 0
_IN_CONTAINER: Final = (
    'exec "$0" -s -S /work/compiler.py </work/sources >/work/out/bytecode'
)


def choose_interpreter(target: Target, present: str, tools: Tools) -> str:
    """Give the version to compile with: ``present``, if it is here, or the newest.

    Where this machine has none, it is that of the runtime's image.
    """
    minor = target.runtime.version
    versions = [found.version for found in find_interpreters(minor)]
    if versions:
        return present if present in versions else versions[0]
    try:
        return tools.containers.base_image(target).interpreter
    except BuildError as error:
        raise LockError(
            f"bytecode for {target} needs Python {minor}: there is none on this "
            f"machine, and no container to take it from: {error.message}",
            remedy=f"Install it (pyenv install {minor}, or uv python install), or "
            "start Docker, or say bytecode = false.",
        ) from error


def add_bytecode(
    entries: Sequence[FileEntry],
    target: Target,
    version: str,
    room: int,
    tools: Tools,
) -> tuple[FileEntry, ...]:
    """Give the entries and, as far as they fit into ``room`` bytes, their bytecode.

    Which modules get theirs, where not all can, follows from the entries alone: the
    nearer to the top of a package, the sooner, and the larger before the smaller.
    """
    sources = [entry for entry in entries if _is_module(entry)]
    missing = [entry for entry in sources if not _present(entry, version, tools.store)]
    if missing:
        _compile(missing, target, version, tools)
    added: list[FileEntry] = []
    for entry in sorted(sources, key=_urgency):
        content = _present(entry, version, tools.store)
        if content is None or content.size == _NOT_PYTHON or content.size > room:
            continue
        room -= content.size
        place = _cached_path(entry.path, version)
        added.append(FileEntry(path=place, origin=entry.origin, content=content))
    return (*entries, *added)


def estimate_bytecode(entries: Iterable[FileEntry]) -> int:
    """Say about how many bytes bytecode would add: a third more than the sources."""
    return sum(entry.size for entry in entries if _is_module(entry)) * 4 // 3


def _urgency(entry: FileEntry) -> tuple[int, int, str]:
    return entry.path.count("/"), -entry.size, entry.path


def _is_module(entry: FileEntry) -> bool:
    return (
        entry.path.startswith(_ROOT)
        and entry.path.endswith(".py")
        and entry.content is not None
        and entry.size <= _LARGEST_SOURCE
    )


def _cached_path(path: str, version: str) -> str:
    """Say where the import system looks for a module's bytecode (PEP 3147)."""
    folder, _, name = path.rpartition("/")
    major, minor, _ = version.split(".")
    stem = name.removesuffix(".py")
    return f"{folder}/__pycache__/{stem}.cpython-{major}{minor}.pyc"


def _present(entry: FileEntry, version: str, store: Store) -> Content | None:
    return store.derived(_sha256(entry), _transform(entry, version))


def _sha256(entry: FileEntry) -> str:
    return entry.content.sha256 if entry.content else ""


def _transform(entry: FileEntry, version: str) -> str:
    return f"bytecode-2 {version} /opt/{entry.path}"


def _compile(
    entries: Sequence[FileEntry], target: Target, version: str, tools: Tools
) -> None:
    """Have all sources compiled by one process, and keep what it gives."""
    with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
        folder = Path(name)
        sources = folder / "sources"
        with sources.open("wb") as stream:
            for entry in entries:
                _write_source(entry, stream)
        compiled = _run_compiler(sources, folder, target, version, tools)
        with compiled.open("rb") as answers:
            for entry in entries:
                bytecode = _read_bytecode(answers, version)
                tools.store.derive(_sha256(entry), _transform(entry, version), bytecode)


def _run_compiler(
    sources: Path, folder: Path, target: Target, version: str, tools: Tools
) -> Path:
    """Compile with an interpreter of exactly this version, here or in the image."""
    here = find_interpreters(target.runtime.version)
    for interpreter in here:
        if interpreter.version == version:
            return _compile_here(interpreter, sources, folder)
    try:
        image = tools.containers.base_image(target)
    except BuildError as error:
        raise _no_interpreter(version, here, error.message) from error
    if image.interpreter != version:
        raise _no_interpreter(version, here, f"{image.name} has {image.interpreter}")
    task = Task(
        name=f"bytecode for {target}",
        doing="compiling",
        done="compiled",
        image=image.id,
        arch=target.arch,
        command=("sh", "-c", _IN_CONTAINER, f"python{target.runtime.version}"),
        files={"/work/compiler.py": _COMPILER, "/work/sources": sources},
        environment=CLEAN_ENVIRONMENT,
        output="/work/out",
    )
    (compiled,) = tools.containers.run(task, folder).files
    return compiled


def _compile_here(interpreter: Interpreter, sources: Path, folder: Path) -> Path:
    compiled, empty = folder / "compiled", folder / "empty"
    empty.mkdir()
    with sources.open("rb") as stdin, compiled.open("wb") as stdout:
        subprocess.run(
            [interpreter.path, "-s", "-S", "-c", _COMPILER.read_text(encoding="utf-8")],
            stdin=stdin,
            stdout=stdout,
            check=False,  # what it gave tells
            cwd=empty,  # what -c looks into first
            env=CLEAN_ENVIRONMENT,
        )
    return compiled


def _no_interpreter(
    version: str, here: Sequence[Interpreter], there: str
) -> BuildError:
    has = ", ".join(one.version for one in here) or "none of its minor version"
    return BuildError(
        f"the lock has bytecode compiled by Python {version}; this machine has {has}; "
        f"containers: {there}",
        remedy=f"Install {version}, or let the lock name another: layerforge lock; or "
        "say bytecode = false.",
    )


def _write_source(entry: FileEntry, sources: IO[bytes]) -> None:
    if entry.content is None:
        raise TypeError(entry.path)
    source = entry.content.inflated()
    asked = {"path": f"/opt/{entry.path}", "size": len(source)}
    sources.write(json.dumps(asked).encode() + b"\n" + source)


def _read_bytecode(answers: IO[bytes], version: str) -> bytes:
    size = answers.readline()
    bytecode = answers.read(int(size)) if size else b""
    if not size or len(bytecode) < int(size):
        raise BuildError(
            f"Python {version} ended while it compiled bytecode",
            remedy="See that it runs, or say bytecode = false.",
        )
    return bytecode
