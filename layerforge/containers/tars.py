"""Tars on their way into containers and out of them: streams, never whole files.

What goes in has no times, owners or order of this machine's. What comes out was
written by a package's own code, so it is believed nothing.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

from layerforge.errors import ArchiveError, BuildError

_CHUNK: Final = 1 << 20  # bytes
# 2000-01-01: what tools write into zips can't be older than 1980.
_MTIME: Final = 946_684_800
_MAX_ENTRIES: Final = 100_000
_MAX_BYTES: Final = 4 << 30
_END: Final = bytes(2 * tarfile.BLOCKSIZE)


def pack(
    files: Mapping[str, bytes | Path], *folders: str, mode: int = 0o644
) -> Iterator[bytes]:
    """Write a tar of files by path, each as bytes, or a file or folder of this machine.

    ``folders`` are made where they aren't. Files have ``mode``, but what this machine
    may run is 755. The same contents give the same bytes. Raises `BuildError` where a
    file can't be read, or shrinks meanwhile.
    """
    for folder in sorted(folders):
        yield _folder(folder)
    for name, source in sorted(files.items()):
        if isinstance(source, bytes):
            yield _header(name, len(source), mode) + source + _padding(len(source))
        elif source.is_dir():
            yield from _tree(name, source, mode)
        else:
            yield from _file(name, source, mode)
    yield _END


def extract(
    chunks: Iterable[bytes],
    folder: Path,
    *,
    max_entries: int = _MAX_ENTRIES,
    max_bytes: int = _MAX_BYTES,
) -> tuple[Path, ...]:
    """Put what is in a tar's one top folder into ``folder``; give the files, sorted.

    Raises `ArchiveError` for anything but folders and regular files below it, for a
    name that comes twice, and beyond ``max_entries`` or ``max_bytes``.
    """
    files: list[Path] = []
    room = max_bytes
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", _Reader(chunks)), mode="r|") as tar:
            for number, member in enumerate(tar, start=1):
                if number > max_entries:
                    raise ArchiveError(f"a job left more than {max_entries:,} entries")
                path = folder.joinpath(*_inner(member))
                content = tar.extractfile(member)
                if content is None:
                    _make_folder(path)
                    continue
                room -= member.size
                if room < 0:
                    raise ArchiveError(f"a job left more than {max_bytes:,} bytes")
                _write(path, content)
                files.append(path)
    except tarfile.TarError as error:
        raise ArchiveError(f"the engine sent a damaged tar: {error}") from error
    return tuple(sorted(files))


def _tree(name: str, source: Path, mode: int) -> Iterator[bytes]:
    yield _folder(name)
    for path in sorted(source.rglob("*")):
        inner = f"{name}/{path.relative_to(source).as_posix()}"
        if path.is_dir():
            yield _folder(inner)
        else:
            yield from _file(inner, path, mode)


def _file(name: str, path: Path, mode: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            runs = status.st_mode & 0o100
            yield _header(name, status.st_size, 0o755 if runs else mode)
            left = status.st_size
            while left and (chunk := stream.read(min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise BuildError(f"cannot read {path}: {error.strerror}") from error
    if left:
        raise BuildError(f"{path} shrank while it was read")
    yield _padding(status.st_size)


def _folder(name: str) -> bytes:
    return _entry(name, tarfile.DIRTYPE, 0, 0o755)


def _header(name: str, size: int, mode: int) -> bytes:
    return _entry(name, tarfile.REGTYPE, size, mode)


def _entry(name: str, kind: bytes, size: int, mode: int) -> bytes:
    info = tarfile.TarInfo(name.strip("/"))
    info.type, info.size, info.mode, info.mtime = kind, size, mode, _MTIME
    return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _inner(member: tarfile.TarInfo) -> tuple[str, ...]:
    """Give the path below the top folder; raise `ArchiveError` for what is unsafe."""
    if not (member.isreg() or member.isdir()):
        raise ArchiveError(f"a job left {member.name!r}, which is no regular file")
    path = PurePosixPath(member.name)
    inner = path.parts[1:]
    if path.is_absolute() or ".." in path.parts or (member.isreg() and not inner):
        raise ArchiveError(f"a job left {member.name!r}, which is outside its folder")
    return inner


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _write(path: Path, content: IO[bytes]) -> None:
    _make_folder(path.parent)
    try:
        stream = path.open("xb")
    except FileExistsError as error:
        raise ArchiveError(f"a job left {path.name!r} twice") from error
    except OSError as error:
        raise _unwritable(path, error) from error
    with stream:
        # An error of reading is the engine's, and told as such.
        while chunk := content.read(_CHUNK):
            try:
                stream.write(chunk)
            except OSError as error:
                raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> BuildError:
    return BuildError(
        f"cannot write {path}: {error.strerror}", remedy="Make room, and try again."
    )


class _Reader:
    """A stream of chunks, as a file that `tarfile` reads in one direction."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")  # its slices are no copies

    def read(self, size: int) -> bytes:
        parts = []
        while size:
            self._rest = self._rest or memoryview(next(self._chunks, b""))
            part, self._rest = self._rest[:size], self._rest[size:]
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
