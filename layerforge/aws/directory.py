"""What a zip on AWS holds, by its central directory alone.

Lambda tells no unzipped size: it follows from the last bytes of the zip, which the
presigned address that GetLayerVersion and GetFunction give answers ranges of.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Final, cast

from layerforge.address import shown
from layerforge.aws.functions import Function, locate_code
from layerforge.aws.session import Session
from layerforge.aws.versions import get_version
from layerforge.client import Client, RangeUnsupported
from layerforge.errors import ArchiveError
from layerforge.store import Store

_BLOCK: Final = 64 << 10  # bytes; holds the whole directory of most layers


def unzipped_size(session: Session, arn: str, store: Store, client: Client) -> int:
    """Say how many bytes a layer version has unzipped; it is asked for once.

    Raises `AwsError`, `FetchError`, and `ArchiveError` where it is no zip.
    """

    def locate() -> str:
        return get_version(session, arn)[1]

    return _kept(arn, locate, store, client)


def code_size(
    session: Session, function: Function, store: Store, client: Client
) -> int:
    """Say the same of a function's code, which its hash stands for."""

    def locate() -> str:
        return locate_code(session, function)

    return _kept(f"code {function.code_sha256}", locate, store, client)


def read_members(url: str, client: Client) -> tuple[zipfile.ZipInfo, ...]:
    """Read what a zip holds, by two or three ranges of it.

    As leniently as Lambda, which took it: zips of others need not be as ours are.
    """
    with _naming(url):
        try:
            return _members(_Ranges(url, client))
        except RangeUnsupported:  # what stands in for AWS may give whole files only
            return _members(io.BytesIO(client.get(url).body))


def _members(stream: IO[bytes] | io.RawIOBase) -> tuple[zipfile.ZipInfo, ...]:
    with zipfile.ZipFile(cast("IO[bytes]", stream)) as archive:
        return tuple(archive.infolist())


def _kept(title: str, locate: Callable[[], str], store: Store, client: Client) -> int:
    key = hashlib.sha256(f"unzipped {title}".encode()).hexdigest()
    known = store.load("indexes", key)
    if known is not None and known.isdigit():
        return int(known)
    size = sum(member.file_size for member in read_members(locate(), client))
    store.save("indexes", key, str(size).encode())
    return size


@contextmanager
def _naming(url: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ArchiveError(
            f"{shown(url)}: {error}", remedy="Is this the zip that was published?"
        ) from error


class _Ranges(io.RawIOBase):
    """A remote file, read where it is wanted; what its end holds is asked for once."""

    def __init__(self, url: str, client: Client) -> None:
        self._url = url
        self._client = client
        self._size = client.size(url)
        self._at = 0
        self._start = self._size
        self._tail = b""

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}
        self._at = origin[whence] + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        stop = self._size if size < 0 else min(self._size, self._at + size)
        self._reach(self._at)
        part = self._tail[self._at - self._start : stop - self._start]
        self._at = max(self._at, stop)
        return part

    def _reach(self, start: int) -> None:
        """Have all bytes from ``start`` to the end."""
        if start >= self._start:
            return
        start = max(0, min(start, self._start - _BLOCK))
        more = self._client.read_range(self._url, start, self._start)
        self._tail = more + self._tail
        self._start = start
