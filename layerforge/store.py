"""The content-addressed cache: verified archives, their indexes, derived bytes.

Many processes may use one store at once. A file appears under its final name only
when it is whole, so there is nothing to repair, and all of it may be deleted at any
time: what is gone is fetched or made again.

    artifacts/ab/DIGEST       an archive, exactly as the index served it
    indexes/ab/KEY            what was read out of an archive, as JSON
    derived/ab/KEY            one file's new bytes, behind a header that describes them
    partial/DIGEST            a download under way, locked by who downloads it
    contents/ab/KEY           the files of an archive that has no directory, deflated
    compiled/ab/KEY           which artifact a source was made into
    records/ab/KEY            what the last build of a zip was made from, or which
                              request to publish one nobody heard the end of
    nodejs/NAME-VERSION/node  a Node.js of the npm registry's
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from layerforge.compressor import COMPRESSOR, compress
from layerforge.errors import BuildError
from layerforge.hashes import hasher_for, title_of
from layerforge.tree import Content

_READ_ONLY: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
# magic, method, crc32, sizes inflated and as it lies, SHA-256
_DERIVED: Final = struct.Struct("<8sHxxI2Q32s")
_DERIVED_MAGIC: Final = b"LFDERIV2"
_FRESH: Final = ".new-"  # what the names of files that are being written begin with
_PARTS: Final = (
    "artifacts",
    "compiled",
    "contents",
    "derived",
    "indexes",
    "nodejs",
    "partial",
    "records",
    "uv",
)
_ABSENT: Final = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a part of the store holds: how many files, and their bytes."""

    files: int
    size: int


class Store:
    """A folder of the user's, made when something is first put into it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # -- artifacts ---------------------------------------------------------------

    def artifact(self, digest: str) -> Path:
        """Say where the archive of this hash is, or will be."""
        return self._path("artifacts", digest)

    def holds(self, digest: str) -> bool:
        """Say whether the archive is here, and mark it as used."""
        return _touch(self.artifact(digest))

    @contextmanager
    def partial(self, digest: str) -> Iterator[IO[bytes]]:
        """Open a download's file, positioned at its end, this process its only writer.

        What an earlier, interrupted process left is there to be continued. Waits
        while another process downloads the same archive: look again whether it is
        there, once inside.
        """
        path = self.root / "partial" / digest
        with _explaining(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            while True:
                stream = path.open("ab+")
                fcntl.flock(stream, fcntl.LOCK_EX)
                # Who held the lock before may have moved or deleted the file.
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                        break
                stream.close()
        with stream:
            yield stream

    def admit(self, digest: str) -> Path:
        """Make a finished, checked download the artifact; call it inside `partial`."""
        final = self.artifact(digest)
        with _explaining(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            (self.root / "partial" / digest).replace(final)
        return final

    def discard(self, digest: str) -> None:
        """Forget a download that turned out wrong; call it inside `partial`."""
        (self.root / "partial" / digest).unlink(missing_ok=True)

    def adopt(self, source: Path, digest: str) -> Path:
        """Copy a local archive in; `BuildError` where its bytes are others by now."""
        try:
            original = source.open("rb")
        except OSError as error:
            raise BuildError(
                f"cannot read {source}: {error.strerror}",
                remedy="Put it back where it was when it was locked.",
            ) from error
        with (
            original,
            self.partial(digest) as stream,
            _explaining(self.artifact(digest)),
        ):
            stream.truncate(0)
            found = hasher_for(digest)
            while chunk := original.read(1 << 20):
                found.update(chunk)
                stream.write(chunk)
            stream.flush()
            if found.hexdigest() != digest:
                self.discard(digest)
                raise BuildError(
                    f"{source} has {title_of(digest)} {found.hexdigest()}, not "
                    f"{digest}, which was locked",
                    remedy="If the new file is the right one: layerforge lock.",
                )
            return self.admit(digest)

    # -- small documents -----------------------------------------------------------

    def load(self, kind: str, key: str) -> bytes | None:
        """Read a document that was saved, or nothing, and mark it as used."""
        path = self._path(kind, key)
        with _explaining(path, "read"), suppress(*_ABSENT):
            document = path.read_bytes()
            _touch(path)
            return document
        return None

    def save(self, kind: str, key: str, document: bytes) -> None:
        """Keep a document; the last of several writers wins."""
        self._write(self._path(kind, key), document)

    def compiled(self, key: str) -> str:
        """Give the digest of the archive that was made by ``key``; '' if it is gone."""
        digest = (self.load("compiled", key) or b"").decode(errors="replace")
        return digest if digest and self.holds(digest) else ""

    def remember_compiled(self, key: str, digest: str) -> None:
        """Note which archive was made, by all that decides what it is."""
        self.save("compiled", key, digest.encode())

    # -- contents of archives ------------------------------------------------------

    def contents(self, digest: str) -> Path:
        """Say where the deflated files of an archive are, or will be.

        Another release of the compressor has another place for them.
        """
        return self._path("contents", _derived_key(digest, "contents"))

    def has_contents(self, digest: str, size: int) -> bool:
        """Say whether the files of the archive are here, and mark them as used.

        They have ``size`` bytes: a file that was cut short counts as not there.
        """
        path = self.contents(digest)
        return _touch(path) and path.stat().st_size == size

    @contextmanager
    def filling(self, digest: str) -> Iterator[IO[bytes]]:
        """Write the deflated files of an archive; they are there once it is left."""
        with self._writing(self.contents(digest)) as stream:
            yield stream

    # -- derived bytes ---------------------------------------------------------------

    def derived(self, sha256: str, transform: str) -> Content | None:
        """Find what ``transform`` made of the content with this hash.

        A file that is cut short, as by a loss of power, counts as not there.
        """
        path = self._path("derived", _derived_key(sha256, transform))
        head, length = b"", 0
        with _explaining(path, "read"), suppress(*_ABSENT), path.open("rb") as stream:
            head = stream.read(_DERIVED.size)
            length = os.fstat(stream.fileno()).st_size - _DERIVED.size
        if len(head) < _DERIVED.size:
            return None
        magic, method, crc32, size, packed, digest = _DERIVED.unpack(head)
        if (magic, packed) != (_DERIVED_MAGIC, length):
            return None
        _touch(path)
        return Content(
            file=str(path),
            offset=_DERIVED.size,
            length=length,
            method=method,
            size=size,
            crc32=crc32,
            sha256=digest.hex(),
        )

    def derive(self, sha256: str, transform: str, data: bytes | bytearray) -> Content:
        """Compress and keep ``data``, made by ``transform`` from that content."""
        digest = hashlib.sha256(data)
        method, packed = compress(data)
        crc32 = zlib.crc32(data)
        sizes = (len(data), len(packed))
        header = _DERIVED.pack(_DERIVED_MAGIC, method, crc32, *sizes, digest.digest())
        path = self._path("derived", _derived_key(sha256, transform))
        self._write(path, header, packed)
        return Content(
            file=str(path),
            offset=_DERIVED.size,
            length=len(packed),
            method=method,
            size=len(data),
            crc32=crc32,
            sha256=digest.hexdigest(),
        )

    def keep(self, data: bytes, transform: str) -> Content:
        """Compress and keep ``data`` by its own hash, unless it is here already."""
        sha256 = hashlib.sha256(data).hexdigest()
        return self.derived(sha256, transform) or self.derive(sha256, transform, data)

    # -- housekeeping ------------------------------------------------------------------

    def usage(self) -> dict[str, Usage]:
        """Say what each part holds, by name."""
        return {
            part.name: Usage(
                files=len(files), size=sum(status.st_size for _, status in files)
            )
            for part in sorted(self._parts())
            for files in [list(_files(part))]
        }

    def prune(
        self, *, max_bytes: int | None = None, unused_seconds: float | None = None
    ) -> Usage:
        """Delete the least recently used files, and say what went.

        First all that were last used longer than ``unused_seconds`` ago, then, the
        oldest first, as many as it takes to hold no more than ``max_bytes``. A
        download under way, or another file that is being written, is never touched.
        """
        found = [item for part in self._parts() for item in _files(part)]
        found.sort(key=lambda item: _last_used(item[1]))
        held = sum(status.st_size for _, status in found)
        oldest = time.time() - (unused_seconds or 0)
        gone = freed = 0
        for path, status in found:
            expired = unused_seconds is not None and _last_used(status) < oldest
            crowded = max_bytes is not None and held - freed > max_bytes
            if (expired or crowded) and _delete(path):
                gone += 1
                freed += status.st_size
        return Usage(files=gone, size=freed)

    def _parts(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        return [self.root / name for name in _PARTS if (self.root / name).is_dir()]

    def _path(self, kind: str, key: str) -> Path:
        return self.root / kind / key[:2] / key

    def _write(self, path: Path, *parts: bytes | bytearray) -> None:
        with self._writing(path) as stream:
            for part in parts:
                stream.write(part)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[IO[bytes]]:
        import tempfile  # noqa: PLC0415 - takes long to import, and few runs write

        with _explaining(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=_FRESH)
            try:
                with os.fdopen(handle, "wb") as stream:
                    fcntl.flock(stream, fcntl.LOCK_EX)  # see _delete
                    yield stream
                    stream.flush()
                    Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise


def _derived_key(sha256: str, transform: str) -> str:
    return hashlib.sha256(f"{sha256} {transform} {COMPRESSOR}".encode()).hexdigest()


def _touch(path: Path) -> bool:
    # The time of access: that of the change tells who reads it that it is the same.
    try:
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
    except _ABSENT:
        return False
    except OSError as error:
        if error.errno in _READ_ONLY:  # a store that is shared is still good
            return path.exists()
        raise
    return True


def _last_used(status: os.stat_result) -> float:
    return max(status.st_atime, status.st_mtime)


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                yield path, path.stat()


def _delete(path: Path) -> bool:
    if path.parent.name != "partial" and not path.name.startswith(_FRESH):
        path.unlink(missing_ok=True)
        return True
    # Who writes it holds a lock on it.
    with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return True
    return False


@contextmanager
def _explaining(path: Path, verb: str = "write") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BuildError(
            f"cannot {verb} {path}: {error.strerror}",
            remedy="Make room or give another folder with --cache-dir; "
            "`layerforge cache prune` frees what was not used lately.",
        ) from error


def default_folder() -> Path:
    """Give the platform's place for caches (XDG on Linux, ~/Library on macOS)."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "layerforge"
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    return (
        Path(base) if base.startswith("/") else Path.home() / ".cache"
    ) / "layerforge"
