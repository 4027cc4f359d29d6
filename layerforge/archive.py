"""Write a tree as the zip that Lambda is given: bytes are copied, never compressed.

The output follows from the tree alone: entries in path order, one date, fixed flags,
versions and modes, no extra fields. Follows PKWARE's APPNOTE.TXT 6.3; zip64 records
are written only where there are too many entries to do without.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import tempfile
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from layerforge.archives.zipformat import (
    DIRECTORY_HEADER,
    DIRECTORY_SIGNATURE,
    END,
    END_SIGNATURE,
    FLAG_UTF8,
    LOCAL_HEADER,
    LOCAL_SIGNATURE,
    MAX_16,
    MAX_32,
    UNIX,
    ZIP64_END,
    ZIP64_END_SIGNATURE,
    ZIP64_LOCATOR,
    ZIP64_LOCATOR_SIGNATURE,
)
from layerforge.errors import BuildError
from layerforge.files import umask
from layerforge.limits import ZIP64_ENTRIES
from layerforge.tree import STORED, FileEntry, Tree

_TIME: Final = 0
_DATE: Final = 1 << 5 | 1  # 1980-01-01, the first day that the format knows
_VERSION: Final = 20  # deflate
_ZIP64_VERSION: Final = 45
_CHUNK: Final = 1 << 20  # bytes
_OPEN_FILES: Final = 32  # well below what macOS allows a process


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerArchive:
    """A zip that was written: sizes in bytes, and AWS's name for its contents.

    ``code_sha256`` is the base64 of the zip's SHA-256, as Lambda reports it.
    """

    path: Path
    zipped: int
    unzipped: int
    files: int
    code_sha256: str
    tree_digest: str


def write_archive(tree: Tree, path: Path) -> LayerArchive:
    """Write the zip beside ``path``, then put it in its place: whole or not at all.

    Raises `BuildError` where it can't be written.
    """
    with fresh_archive(tree, path) as archive:
        return archive


@contextmanager
def fresh_archive(tree: Tree, path: Path) -> Iterator[LayerArchive]:
    """Write the zip beside ``path``; at the end, if nothing fails, it takes its place.

    What lay there before stays until then. Raises `BuildError`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _cannot_write(path, error) from error
    fresh = Path(name)
    try:
        with _refusing(path):
            with os.fdopen(handle, "wb", buffering=_CHUNK) as stream:
                digest, zipped = _write(tree, stream)
            fresh.chmod(0o666 & ~umask())  # mkstemp gives it to the user alone
        yield LayerArchive(
            path=path,
            zipped=zipped,
            unzipped=tree.size,
            files=len(tree),
            code_sha256=base64.b64encode(digest).decode(),
            tree_digest=tree.digest,
        )
        with _refusing(path):
            fresh.replace(path)
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, error) from error


def zipped_size(entries: Iterable[FileEntry]) -> int:
    """Say how many bytes a zip of just these entries would have."""
    return END.size + sum(
        LOCAL_HEADER.size
        + DIRECTORY_HEADER.size
        + 2 * len(entry.path.encode())
        + (entry.content.length if entry.content else entry.size)
        for entry in entries
    )


def _cannot_write(path: Path, error: OSError) -> BuildError:
    # Of the file that is written beside it nobody has heard.
    other = error.filename and Path(error.filename).parent != path.parent
    where = f" ({error.filename})" if other else ""
    return BuildError(
        f"cannot write {path}: {error.strerror}{where}",
        remedy="What was there before is untouched.",
    )


def _write(tree: Tree, stream: IO[bytes]) -> tuple[bytes, int]:
    digest = hashlib.sha256()
    offset = 0
    directory: list[bytes] = []

    def put(data: bytes) -> None:
        nonlocal offset
        digest.update(data)
        stream.write(data)
        offset += len(data)

    with _Sources() as sources:
        for entry in tree:
            local, central = _headers(entry, offset)
            directory.append(central)
            put(local)
            for chunk in sources.read(entry):
                put(chunk)
    for record in _closing(directory, offset):
        put(record)
    return digest.digest(), offset


class _Sources:
    """The archives that bytes are copied out of, a bounded number of them open."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, IO[bytes]] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for stream in self._open.values():
            stream.close()

    def read(self, entry: FileEntry) -> Iterator[bytes]:
        """Give an entry's bytes as they lie, in chunks."""
        if entry.content is None:
            yield entry.link.encode()
            return
        descriptor = self._descriptor(entry.content.file)
        at, end = entry.content.offset, entry.content.offset + entry.content.length
        while at < end:
            chunk = os.pread(descriptor, min(_CHUNK, end - at), at)
            if not chunk:
                raise BuildError(
                    f"{entry.content.file} is shorter than it was when it was read",
                    remedy="Run it again; if that doesn't help, delete the store.",
                )
            at += len(chunk)
            yield chunk

    def _descriptor(self, file: str) -> int:
        if file not in self._open:
            if len(self._open) == _OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            stream = Path(file).open("rb", buffering=0)  # noqa: SIM115 - see __exit__
            self._open[file] = stream
        self._open.move_to_end(file)
        return self._open[file].fileno()


def _headers(entry: FileEntry, offset: int) -> tuple[bytes, bytes]:
    name = entry.path.encode()
    flags = 0 if entry.path.isascii() else FLAG_UTF8
    if entry.content:
        content = entry.content
        method, crc32, length, size = (
            content.method,
            content.crc32,
            content.length,
            content.size,
        )
        mode = stat.S_IFREG | (0o755 if entry.executable else 0o644)
    else:
        target = entry.link.encode()
        method, crc32 = STORED, zlib.crc32(target)
        length = size = len(target)
        mode = stat.S_IFLNK | 0o777
    common = (flags, method, _TIME, _DATE, crc32, length, size, len(name), 0)
    local = LOCAL_HEADER.pack(LOCAL_SIGNATURE, _VERSION, *common) + name
    central = DIRECTORY_HEADER.pack(
        DIRECTORY_SIGNATURE,
        UNIX << 8 | _VERSION,
        _VERSION,
        *common,
        0,  # length of the comment
        0,  # disk
        0,  # internal attributes
        mode << 16,
        offset,
    )
    return local, central + name


def _closing(directory: list[bytes], start: int) -> Iterable[bytes]:
    size = sum(map(len, directory))
    count = len(directory)
    yield from directory
    if count >= ZIP64_ENTRIES or start + size > MAX_32:
        versions = (UNIX << 8 | _ZIP64_VERSION, _ZIP64_VERSION)
        yield ZIP64_END.pack(
            ZIP64_END_SIGNATURE,
            ZIP64_END.size - 12,  # what follows this field
            *versions,
            0,
            0,
            count,
            count,
            size,
            start,
        )
        yield ZIP64_LOCATOR.pack(ZIP64_LOCATOR_SIGNATURE, 0, start + size, 1)
    shown = min(count, MAX_16)
    ends = (min(size, MAX_32), min(start, MAX_32))
    yield END.pack(END_SIGNATURE, 0, 0, shown, shown, *ends, 0)
