"""Downloads: in parallel, continued where they stopped, checked while they stream.

Speaks HTTP as RFC 9110 has it (ranges, Retry-After), and file: addresses too. The
only module that imports requests, and only once something is really asked for: a
build that finds everything in the store does not pay for it.
"""

from __future__ import annotations

import hashlib
import queue
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol, Self, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from layerforge import __version__
from layerforge.errors import ArchiveError, BuildError, FetchError
from layerforge.events import Failed, Finished, Listener, Progress, Started, silent
from layerforge.store import Store

if TYPE_CHECKING:
    import requests

T = TypeVar("T")

CHUNK: Final = 1 << 16
LARGEST_DOCUMENT: Final = 64 << 20
LONGEST_WAIT: Final = 60.0
_PROGRESS_SECONDS: Final = 0.1
_GRACE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """An archive to have: ``name`` is for people, ``size`` in bytes where known."""

    name: str
    url: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A small document, and where it was found after redirects (no credentials)."""

    url: str
    content_type: str
    body: bytes


class NotFound(FetchError):  # noqa: N818 - reads as what it says where it is caught
    """The server answered, and has nothing at this address."""


class RangeUnsupported(FetchError):  # noqa: N818 - the same
    """The server gives whole files only, or not the range that was asked for."""


class Sink(Protocol):
    """Takes a document piece by piece, and may have its beginning already."""

    @property
    def size(self) -> int:
        """Bytes taken so far."""

    def expect(self, total: int) -> None:
        """Hear how many bytes the whole has; raise to refuse it."""

    def append(self, chunk: bytes) -> None:
        """Take the next bytes."""

    def restart(self) -> None:
        """Forget all bytes."""


class _TransientError(Exception):
    """An attempt failed in a way that another may not; ``wait`` is in seconds."""

    def __init__(self, error: FetchError, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait


class _StoppedError(Exception):
    """Another download failed, or the user interrupted."""


class Client:
    """Asks servers, patiently; safe to share between threads.

    ``credentials`` are (user, password) by host (``example.org:8080`` where there is
    a port) and go to that host only; ~/.netrc, proxies and CA bundles of the
    environment are honoured. ``timeout`` is in seconds without a byte. A request is
    repeated up to ``retries`` times in a row, after waiting with ``sleep``.
    """

    def __init__(
        self,
        *,
        credentials: Mapping[str, tuple[str, str]] | None = None,
        ca_bundle: Path | None = None,
        timeout: float = 20.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._credentials = dict(credentials or {})
        self._ca_bundle = ca_bundle
        self._timeout = timeout
        self._retries = retries
        self._sleep = sleep
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for session in self._sessions:
            session.close()

    def get(self, url: str, *, accept: str = "") -> Response:
        """Read a document of at most 64 MiB.

        Raises `NotFound`, or `FetchError` for all else that goes wrong for good.
        """
        path = _local_path(url)
        if path is not None:
            return _local_document(url, path)
        return self._persist(lambda: self._get(url, accept or "*/*"))

    def read_range(self, url: str, start: int, stop: int) -> bytes:
        """Read the bytes from ``start`` up to, not including, ``stop``.

        Raises `RangeUnsupported` where the server does not give just these.
        """
        path = _local_path(url)
        if path is not None:
            return _local_range(url, path, start, stop)
        return self._persist(lambda: self._read_range(url, start, stop))

    def receive(self, url: str, sink: Sink) -> None:
        """Bring ``sink`` what it lacks of the document, from where it stands."""
        self._persist(lambda: self._receive(url, sink), reached=lambda: sink.size)

    def _persist(
        self, attempt: Callable[[], T], *, reached: Callable[[], int] = lambda: 0
    ) -> T:
        """Try until it works; failures only add up while nothing new is reached."""
        furthest, failures = reached(), 0
        while True:
            try:
                return attempt()
            except _TransientError as failure:
                if reached() > furthest:
                    furthest, failures = reached(), 0
                if failures >= self._retries:
                    raise FetchError(
                        f"{failure.error.message} (after {failures + 1} tries)",
                        remedy=failure.error.remedy,
                    ) from failure
                wait = failure.wait
                self._sleep(_backoff(failures) if wait is None else wait)
                failures += 1

    def _get(self, url: str, accept: str) -> Response:
        with self._answer(url, {"Accept": accept}) as answer:
            body = bytearray()
            for chunk in answer.iter_content(CHUNK):
                body += chunk
                if len(body) > LARGEST_DOCUMENT:
                    raise FetchError(
                        f"{shown(url)}: longer than {LARGEST_DOCUMENT} bytes",
                        remedy="Is this the address of a package index?",
                    )
            return Response(
                url=split_userinfo(answer.url)[0],
                content_type=answer.headers.get("Content-Type", ""),
                body=bytes(body),
            )

    def _read_range(self, url: str, start: int, stop: int) -> bytes:
        with self._answer(url, _range(start, stop)) as answer:
            if _extent(answer)[:2] != (start, stop):
                raise _no_range(url)
            body = b"".join(answer.raw.stream(CHUNK, decode_content=False))
            if len(body) != stop - start:
                raise _TransientError(_broken_off(url, len(body), stop - start))
            return body

    def _receive(self, url: str, sink: Sink) -> None:
        try:
            with self._answer(url, _range(sink.size)) as answer:
                _pour(answer, sink, url)
        except RangeUnsupported as error:
            sink.restart()
            raise _TransientError(error, wait=0) from error

    @contextmanager
    def _answer(
        self, url: str, headers: Mapping[str, str]
    ) -> Iterator[requests.Response]:
        """Open a good answer, not read yet; what fails inside is explained."""
        import requests  # noqa: PLC0415 - start-up time
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - the same

        address, userinfo = split_userinfo(url)
        try:
            with self._session().get(
                address,
                headers=headers,
                auth=userinfo or self._credentials.get(urlsplit(address).netloc),
                timeout=self._timeout,
                stream=True,
                verify=str(self._ca_bundle) if self._ca_bundle else True,
            ) as answer:
                _refuse_failures(answer, url)
                yield answer
        except (requests.RequestException, HTTPError) as error:
            raise _explained(error, url, self._timeout) from error

    def _session(self) -> requests.Session:
        import requests  # noqa: PLC0415 - start-up time

        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.headers["User-Agent"] = f"layerforge/{__version__}"
            self._local.session = session
            self._sessions.append(session)
        return self._local.session  # type: ignore[no-any-return]  # set just above


def split_userinfo(url: str) -> tuple[str, tuple[str, str] | None]:
    """Part an address from the user and password that may stand in it."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(user), unquote(password))


def shown(url: str) -> str:
    """Give an address as messages may show it: no password, token or signature."""
    parts = urlsplit(split_userinfo(url)[0])
    return urlunsplit(parts._replace(query="", fragment=""))


def fetch(
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
    waiting: queue.SimpleQueue[Download] = queue.SimpleQueue()
    outcomes: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    wanted = {download.sha256: download for download in downloads}
    for download in wanted.values():
        waiting.put(download)

    def work() -> None:
        while not stop.is_set():
            try:
                download = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                path = _bring(download, store, client, listen, stop)
                if after is not None and not stop.is_set():
                    after(download, path)
            except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
                outcomes.put(error)
            else:
                outcomes.put(None)

    # Daemons, not an executor: who presses Ctrl-C does not wait for a server that
    # has gone quiet, nor for the process that another download belongs to.
    threads = [
        threading.Thread(target=work, name=f"fetch-{number}", daemon=True)
        for number in range(min(jobs, len(wanted)))
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in wanted:
            if error := outcomes.get():
                raise error
    finally:
        stop.set()
        deadline = time.monotonic() + _GRACE_SECONDS
        for thread in threads:
            if thread.ident is not None:
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
        self.continued = False
        self._stream = stream
        self._download = download
        self._listen = listen
        self._stop = stop
        self._digest = hashlib.sha256()
        self._reported = -_PROGRESS_SECONDS

    def recall(self) -> None:
        """Hash what an earlier process left."""
        self._stream.seek(0)
        while chunk := self._stream.read(CHUNK):
            self._count(chunk)
        self.continued = self.size > 0
        if self._download.size is not None and self.size > self._download.size:
            self.restart()

    def expect(self, total: int) -> None:
        """Refuse a document that can't be the one that was locked."""
        if self._download.size not in (None, total):
            raise self._refused(f"are {total}, not {self._download.size}")

    def append(self, chunk: bytes) -> None:
        """Take the next bytes, never more than were locked."""
        limit = self._download.size
        if limit is not None and self.size + len(chunk) > limit:
            raise self._refused(f"are more than {limit}")
        self._stream.write(chunk)
        self._count(chunk)

    def restart(self) -> None:
        """Forget all bytes."""
        self._stream.seek(0)
        self._stream.truncate()
        self._digest = hashlib.sha256()
        self.size = 0
        self.continued = False

    def complete(self, client: Client) -> None:
        """Take what is missing; `ArchiveError` where it is not what was locked."""
        if not self._right:
            self.continued = self.size > 0
            client.receive(self._download.url, self)
        if not self._right:
            raise self._refused(
                f"have SHA-256 {self._digest.hexdigest()}, not {self._download.sha256}"
            )
        self._stream.flush()

    @property
    def _right(self) -> bool:
        return self._digest.hexdigest() == self._download.sha256

    def _count(self, chunk: bytes) -> None:
        if self._stop.is_set():
            raise _StoppedError
        self._digest.update(chunk)
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


def _bring(
    download: Download,
    store: Store,
    client: Client,
    listen: Listener,
    stop: threading.Event,
) -> Path:
    """Have one archive in the store, and tell of it unless it was there."""
    if store.holds(download.sha256):
        return store.artifact(download.sha256)
    listen(Started(task=download.name, total=download.size))
    try:
        local = _local_path(download.url)
        if local is not None:
            store.adopt(_existing(local, download.url), download.sha256)
        else:
            _download(download, store, client, listen, stop)
    except Exception as error:
        if not stop.is_set():
            listen(Failed(task=download.name, reason=str(error)))
        raise
    listen(Finished(task=download.name))
    return store.artifact(download.sha256)


def _download(
    download: Download,
    store: Store,
    client: Client,
    listen: Listener,
    stop: threading.Event,
) -> None:
    sha256 = download.sha256
    try:
        with store.partial(sha256) as stream:
            if store.holds(sha256):  # by now, from another process
                store.discard(sha256)
                return
            partial = _Partial(stream, download, listen, stop)
            partial.recall()
            try:
                _complete(partial, client)
            except ArchiveError:
                store.discard(sha256)
                raise
            store.admit(sha256)
    except OSError as error:
        raise BuildError(
            f"cannot write {store.root}: {error.strerror}",
            remedy="Make room, or give another folder with --cache-dir.",
        ) from error


def _complete(partial: _Partial, client: Client) -> None:
    try:
        partial.complete(client)
    except ArchiveError:
        if not partial.continued:
            raise
        # Two halves of different files, perhaps: judge one whole file.
        partial.restart()
        partial.complete(client)


def _pour(answer: requests.Response, sink: Sink, url: str) -> None:
    start, end, total = _extent(answer)
    if start == 0 and sink.size:  # the server gives the whole again
        sink.restart()
    if start != sink.size:
        raise _no_range(url)
    if total is not None:
        sink.expect(total)
    for chunk in answer.raw.stream(CHUNK, decode_content=False):
        sink.append(chunk)
    if end is not None and sink.size < end:
        raise _TransientError(_broken_off(url, sink.size, end))


def _range(start: int, stop: int | None = None) -> dict[str, str]:
    """Ask for bytes as they lie there, from ``start`` on."""
    headers = {"Accept-Encoding": "identity"}
    if start or stop is not None:
        last = "" if stop is None else stop - 1
        headers["Range"] = f"bytes={start}-{last}"
    return headers


def _extent(answer: requests.Response) -> tuple[int | None, int | None, int | None]:
    """Say where the answer's bytes begin and end in the whole, and the whole's size."""
    if answer.status_code == HTTPStatus.PARTIAL_CONTENT:
        stated = answer.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", stated)
        if match is None:
            return None, None, None
        first, last, total = match.groups()
        return int(first), int(last) + 1, None if total == "*" else int(total)
    length = answer.headers.get("Content-Length", "")
    size = int(length) if length.isdecimal() else None
    return 0, size, size


def _backoff(failures: int) -> float:
    """Seconds to wait: twice as long each time, never two clients in step."""
    jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing
    return min(LONGEST_WAIT, 2.0**failures) * jitter


def _retry_after(stated: str) -> float | None:
    """Read a Retry-After header (RFC 9110, 10.2.3) as seconds, at most a minute."""
    if stated.isdecimal():
        return min(LONGEST_WAIT, float(stated))
    try:
        when = parsedate_to_datetime(stated)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    seconds = (when - datetime.now(UTC)).total_seconds()
    return min(LONGEST_WAIT, max(0.0, seconds))


def _refuse_failures(answer: requests.Response, url: str) -> None:
    status, host = answer.status_code, urlsplit(shown(answer.url)).netloc
    said = f"{shown(url)}: {host} answered {status} {answer.reason or ''}".rstrip()
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise NotFound(said, remedy="Is the address of the index right?")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise FetchError(
            said,
            remedy=f"Give a user and password for {host} that may read this: in "
            f"~/.netrc (machine {urlsplit(answer.url).hostname} login USER password "
            f"SECRET), or in the index's address (https://USER:SECRET@{host}/...).",
        )
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise _no_range(url)
    error = FetchError(said, remedy=f"Ask again later, or who runs {host}.")
    if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS) or (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        raise _TransientError(
            error, _retry_after(answer.headers.get("Retry-After", ""))
        )
    raise error


def _explained(error: Exception, url: str, timeout: float) -> Exception:
    """Say in plain words what kept a server from answering, and whether to go on."""
    import socket  # noqa: PLC0415 - start-up time
    import ssl  # noqa: PLC0415 - the same

    from requests import exceptions  # noqa: PLC0415 - the same

    host = urlsplit(shown(url)).netloc
    causes = list(_causes(error))
    proxy = f"Behind a proxy, set HTTPS_PROXY; is {host} the right host?"
    for kind, words, remedy in (
        (exceptions.ProxyError, "the proxy does not let it through", "Are HTTPS_PROXY and NO_PROXY right?"),
        (socket.gaierror, f"the name {host} is not known", proxy),
        (ConnectionRefusedError, f"{host} refuses connections", proxy),
    ):
        ...
    return error
