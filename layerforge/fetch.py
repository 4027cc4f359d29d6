"""Downloads into the store: in parallel, continued, checked while they stream."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from layerforge.address import local_path, shown
from layerforge.client import (
    CHUNK,
    Client,
    NotFound,
    RangeUnsupported,
    Response,
    existing,
)
from layerforge.errors import ArchiveError, BuildError
from layerforge.events import Failed, Finished, Listener, Progress, Started, silent
from layerforge.hashes import hasher_for, title_of
from layerforge.store import Store

__all__ = [
    "Client",
    "Download",
    "NotFound",
    "RangeUnsupported",
    "Response",
    "fetch",
]

_PROGRESS_SECONDS: Final = 0.1
_GRACE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """An archive to have: ``name`` is for people, ``size`` in bytes where known."""

    name: str
    url: str
    digest: str
    size: int | None = None


class _StoppedError(Exception):
    """Another download failed, or the user interrupted."""


def fetch(  # noqa: PLR0913 - options by name
    downloads: Sequence[Download],
    store: Store,
    client: Client,
    *,
    listen: Listener = silent,
    jobs: int = 8,
    after: Callable[[Download, Path], None] | None = None,
) -> None:
    """Have every archive in ``store``; call ``after`` with each, wherever it was from.

    ``after`` runs in the thread that fetched. The first failure ends the rest and is
    raised: `FetchError` where a server failed, `ArchiveError` where the bytes are not
    those that were locked, `BuildError` where the store can't be written. What is half
    there then, or after Ctrl-C, is continued next time.
    """
    stop = threading.Event()
    carrier = _Carrier(store=store, client=client, listen=listen, stop=stop)

    def work(download: Download) -> None:
        path = carrier.bring(download)
        if after is not None and not stop.is_set():
            after(download, path)

    wanted = {download.digest: download for download in downloads}
    _in_parallel(work, list(wanted.values()), jobs=jobs, stop=stop)


def _in_parallel(
    work: Callable[[Download], None],
    downloads: Sequence[Download],
    *,
    jobs: int,
    stop: threading.Event,
) -> None:
    """Do ``work`` on each; the first error sets ``stop`` and is raised."""
    waiting = iter(downloads)
    taking = threading.Lock()
    outcomes: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def serve() -> None:
        while not stop.is_set():
            with taking:
                download = next(waiting, None)
            if download is None:
                return
            try:
                work(download)
            except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                outcomes.put(error)
                stop.set()
            else:
                outcomes.put(None)

    # Daemons, not an executor: who presses Ctrl-C does not wait for a server that
    # has gone quiet, nor for the process that another download belongs to.
    threads = [
        threading.Thread(target=serve, daemon=True)
        for _ in range(min(jobs, len(downloads)))
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in downloads:
            if error := outcomes.get():
                raise error
    finally:
        stop.set()
        _join(threads, seconds=_GRACE_SECONDS)


def _join(threads: Sequence[threading.Thread], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for thread in threads:
        if thread.is_alive():
            thread.join(max(0.0, deadline - time.monotonic()))


class _Partial:
    """An archive under way: a `Sink` that hashes, bounds and reports what it takes."""

    def __init__(
        self,
        stream: IO[bytes],
        download: Download,
        listen: Listener,
        stop: threading.Event,
    ) -> None:
        self.size = 0
        self.total = download.size
        self.continued = False  # whether these may be halves of two files
        self._stream = stream
        self._download = download
        self._listen = listen
        self._stop = stop
        self._hash = hasher_for(self._download.digest)
        self._reported = -_PROGRESS_SECONDS

    def recall(self) -> None:
        """Hash what an earlier process left."""
        self._stream.seek(0)
        while chunk := self._stream.read(CHUNK):
            self._count(chunk)
        if self.total is not None and self.size >= self.total and not self._right:
            self.restart()

    def expect(self, total: int | None) -> None:
        """Refuse a document that can't be the one that was locked."""
        self.continued = self.size > 0
        if None not in (total, self.total) and total != self.total:
            raise self._refused(f"are {total}, not {self.total}")

    def append(self, chunk: bytes) -> None:
        """Take the next bytes, never more than were locked."""
        if self.total is not None and self.size + len(chunk) > self.total:
            raise self._refused(f"are more than {self.total}")
        self._stream.write(chunk)
        self._count(chunk)

    def restart(self) -> None:
        """Forget all bytes."""
        self._stream.seek(0)
        self._stream.truncate()
        self._hash = hasher_for(self._download.digest)
        self.size = 0

    def complete(self, client: Client) -> None:
        """Take what is missing; `ArchiveError` where it is not what was locked."""
        if not self._right:
            client.receive(self._download.url, self)
        if not self._right:
            raise self._refused(
                f"have {title_of(self._download.digest)} {self._hash.hexdigest()}, "
                f"not {self._download.digest}"
            )
        self._stream.flush()

    @property
    def _right(self) -> bool:
        return self._hash.hexdigest() == self._download.digest

    def _count(self, chunk: bytes) -> None:
        if self._stop.is_set():
            raise _StoppedError
        self._hash.update(chunk)
        self.size += len(chunk)
        now = time.monotonic()
        if now - self._reported >= _PROGRESS_SECONDS:
            self._reported = now
            self._listen(Progress(task=self._download.name, done=self.size))

    def _refused(self, how: str) -> ArchiveError:
        return ArchiveError(
            f"{self._download.name}: the bytes from {shown(self._download.url)} "
            f"{how}, which was locked",
            remedy="Either the file was replaced on the index, or something on the "
            "way changes it. Find out which before you lock it anew: layerforge lock.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carrier:
    """What every worker needs."""

    store: Store
    client: Client
    listen: Listener
    stop: threading.Event

    def bring(self, download: Download) -> Path:
        """Have one archive in the store, and tell of it unless it was there."""
        if not self.store.holds(download.digest):
            self.listen(Started(task=download.name, total=download.size))
            try:
                self._obtain(download)
            except Exception as error:
                if not self.stop.is_set():
                    self.listen(Failed(task=download.name, reason=str(error)))
                raise
            size = self.store.artifact(download.digest).stat().st_size
            self.listen(Finished(task=download.name, size=size))
        return self.store.artifact(download.digest)

    def _obtain(self, download: Download) -> None:
        local = local_path(download.url)
        try:
            if local is not None:
                self.store.adopt(existing(local), download.digest)
            else:
                self._continue(download)
        except OSError as error:
            raise BuildError(
                f"cannot write {self.store.root}: {error.strerror}",
                remedy="Make room, or give another folder with --cache-dir.",
            ) from error

    def _continue(self, download: Download) -> None:
        digest = download.digest
        with self.store.partial(digest) as stream:
            if self.store.holds(digest):  # by now, from another process
                self.store.discard(digest)
                return
            partial = _Partial(stream, download, self.listen, self.stop)
            try:
                _complete(partial, self.client)
            except ArchiveError:
                self.store.discard(digest)
                raise
            self.store.admit(digest)


def _complete(partial: _Partial, client: Client) -> None:
    partial.recall()
    try:
        partial.complete(client)
    except ArchiveError:
        if not partial.continued:
            raise
        # Two halves of different files, perhaps: judge one whole file.
        partial.restart()
        partial.complete(client)
