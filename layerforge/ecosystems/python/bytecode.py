"""Bytecode that is never stale: compiled before, kept by the hash of its source.

/opt can't be written at run time, and the fixed dates of a zip make a .pyc with a time
stamp stale. An unchecked-hash .pyc (PEP 552) is used as it is. It must come from an
interpreter of the very version that the lock names, so that it is the same everywhere.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from layerforge.ecosystems.python.interpreters import (
    CLEAN_ENVIRONMENT,
    Interpreter,
    find_interpreters,
)
from layerforge.errors import BuildError, LockError
from layerforge.store import Store
from layerforge.target import Target
from layerforge.tree import Content, FileEntry

_ROOT: Final = "python/"
_COMPILER: Final = Path(__file__).with_name("compiler.py")
_LARGEST_SOURCE: Final = 16 << 20  # bytes; larger modules are data in disguise
_NOT_PYTHON: Final = 0


def choose_interpreter(target: Target, present: str = "") -> str:
    """Give the version to compile with: ``present``, if it is here, or the newest."""
    versions = [found.version for found in find_interpreters(target.runtime.version)]
    if not versions:
        raise LockError(
            f"bytecode for {target} needs Python {target.runtime.version}, and there "
            "is none on this machine",
            remedy=f"Install it (pyenv install {target.runtime.version}, or uv python "
            "install), or say bytecode = false.",
        )
    return present if present in versions else versions[0]


def add_bytecode(
    entries: Sequence[FileEntry], version: str, room: int, store: Store
) -> tuple[FileEntry, ...]:
    """Give the entries and, as far as they fit into ``room`` bytes, their bytecode.

    Which modules get theirs, where not all can, follows from the entries alone: the
    nearer to the top of a package, the sooner, and the larger before the smaller.
    """
    interpreter = _exactly(version)
    sources = [entry for entry in entries if _is_module(entry)]
    compiled = dict(_compiled(sources, interpreter, store))
    added: list[FileEntry] = []
    for entry in sorted(sources, key=_urgency):
        content = compiled.get(entry.path)
        if content is None or content.size > room:
            continue
        room -= content.size
        place = _cached_path(entry.path, interpreter)
        added.append(FileEntry(path=place, origin=entry.origin, content=content))
    return (*entries, *added)


def estimate_bytecode(entries: Iterable[FileEntry]) -> int:
    """Say about how many bytes bytecode would add: a third more than the sources."""
    return sum(entry.size for entry in entries if _is_module(entry)) * 4 // 3


def _exactly(version: str) -> Interpreter:
    minor = version.rpartition(".")[0]
    found = find_interpreters(minor)
    for interpreter in found:
        if interpreter.version == version:
            return interpreter
    has = ", ".join(one.version for one in found) or f"no Python {minor}"
    raise BuildError(
        f"the lock has bytecode compiled by Python {version}; this machine has {has}",
        remedy=f"Install {version}, or let the lock name another: layerforge lock; or "
        "say bytecode = false.",
    )


def _urgency(entry: FileEntry) -> tuple[int, int, str]:
    return entry.path.count("/"), -entry.size, entry.path


def _is_module(entry: FileEntry) -> bool:
    return (
        entry.path.startswith(_ROOT)
        and entry.path.endswith(".py")
        and entry.content is not None
        and entry.size <= _LARGEST_SOURCE
    )


def _cached_path(path: str, interpreter: Interpreter) -> str:
    """Say where the import system looks for a module's bytecode (PEP 3147)."""
    folder, _, name = path.rpartition("/")
    major, minor, _ = interpreter.version.split(".")
    stem = name.removesuffix(".py")
    return f"{folder}/__pycache__/{stem}.cpython-{major}{minor}.pyc"


def _compiled(
    sources: Sequence[FileEntry], interpreter: Interpreter, store: Store
) -> Iterator[tuple[str, Content]]:
    missing = [entry for entry in sources if not _present(entry, interpreter, store)]
    if missing:
        _compile(missing, interpreter, store)
    for entry in sources:
        content = _present(entry, interpreter, store)
        if content and content.size != _NOT_PYTHON:
            yield entry.path, content


def _present(
    entry: FileEntry, interpreter: Interpreter, store: Store
) -> Content | None:
    return store.derived(_sha256(entry), _transform(entry, interpreter))


def _sha256(entry: FileEntry) -> str:
    return entry.content.sha256 if entry.content else ""


def _transform(entry: FileEntry, interpreter: Interpreter) -> str:
    return f"bytecode-2 {interpreter.version} /opt/{entry.path}"


def _compile(
    entries: Sequence[FileEntry], interpreter: Interpreter, store: Store
) -> None:
    """Have all sources compiled by one process, and keep what it gives."""
    with (
        tempfile.TemporaryDirectory(prefix="layerforge-") as folder,
        tempfile.TemporaryFile() as sources,
    ):
        for entry in entries:
            _write_source(entry, sources)
        sources.seek(0)
        with subprocess.Popen(
            [interpreter.path, "-s", "-S", "-c", _COMPILER.read_text(encoding="utf-8")],
            stdin=sources,
            stdout=subprocess.PIPE,
            cwd=folder,  # what -c looks into first: it is empty
            env=CLEAN_ENVIRONMENT,
        ) as process:
            if process.stdout is None:
                raise TypeError(process)
            for entry in entries:
                bytecode = _read_bytecode(process.stdout, interpreter)
                transform = _transform(entry, interpreter)
                store.derive(_sha256(entry), transform, bytecode)


def _write_source(entry: FileEntry, sources: IO[bytes]) -> None:
    if entry.content is None:
        raise TypeError(entry.path)
    source = entry.content.inflated()
    asked = {"path": f"/opt/{entry.path}", "size": len(source)}
    sources.write(json.dumps(asked).encode() + b"\n" + source)


def _read_bytecode(answers: IO[bytes], interpreter: Interpreter) -> bytes:
    size = answers.readline()
    bytecode = answers.read(int(size)) if size else b""
    if not size or len(bytecode) < int(size):
        raise BuildError(
            f"{interpreter.path} ended while it compiled bytecode",
            remedy="See that it runs, or say bytecode = false.",
        )
    return bytecode
