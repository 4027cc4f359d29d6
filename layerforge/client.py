"""Asking servers: documents, ranges of them, and what to say when they fail.

Speaks HTTP as RFC 9110 has it (ranges, Retry-After), and file: addresses too. The
only module that imports requests, and only once something is really asked for: a
build that finds everything in the store does not pay for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

from layerforge import __version__
from layerforge.address import local_path, shown, split_userinfo
from layerforge.errors import FetchError
from layerforge.headers import Extent, asked, extent, retry_after
from layerforge.retries import LONGEST_WAIT, TransientError, persist

if TYPE_CHECKING:
    import requests

T = TypeVar("T")
_Kinds = type[BaseException] | tuple[type[BaseException], ...]
_Request: TypeAlias = "requests.PreparedRequest"

CHUNK: Final = 1 << 16
LARGEST_DOCUMENT: Final = 64 << 20
_SIGN_IN: Final = (
    "Give a user and password for {host} that may read this: in ~/.netrc (machine "
    "{name} login USER password SECRET), or in the index's address "
    "(https://USER:SECRET@{host}/...)."
)


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

    @property
    def total(self) -> int | None:
        """Bytes that the whole must have, where that is known."""

    def expect(self, total: int | None) -> None:
        """Hear that bytes follow, how many the whole has; raise to refuse it."""

    def append(self, chunk: bytes) -> None:
        """Take the next bytes."""

    def restart(self) -> None:
        """Forget all bytes."""


class Client:
    """Asks servers, patiently; safe to share between threads.

    ``credentials`` are (user, password) by host (``example.org:8080`` where there is
    a port) and go to that host only; ~/.netrc, proxies and CA bundles of the
    environment are honoured. ``authorize`` gives the Authorization header for an
    address, or '', and ``proxies`` its proxies by scheme; a redirect to another host
    goes without the header. ``sign_in`` is the advice where ``{host}`` refuses.
    ``timeout`` is in seconds without a byte. A request is repeated up to ``retries``
    times in a row, after waiting with ``sleep``.
    """

    def __init__(  # noqa: PLR0913 - each is one of the world's differences
        self,
        *,
        credentials: Mapping[str, tuple[str, str]] | None = None,
        authorize: Callable[[str], str] = lambda _url: "",
        proxies: Callable[[str], dict[str, str]] = lambda _url: {},
        ca_bundle: Path | None = None,
        sign_in: str = _SIGN_IN,
        timeout: float = 20.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._credentials = {
            host.lower(): pair for host, pair in (credentials or {}).items()
        }
        self._authorize = authorize
        self._proxies = proxies
        self._ca_bundle = ca_bundle
        self._sign_in = sign_in
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
        path = local_path(url)
        if path is not None:
            return _local_document(url, path)
        return self._persist(lambda: self._get(url, accept or "*/*"))

    def read_range(self, url: str, start: int, stop: int) -> bytes:
        """Read the bytes from ``start`` up to, not including, ``stop``.

        Raises `RangeUnsupported` where the server does not give just these.
        """
        path = local_path(url)
        if path is not None:
            return _local_range(url, path, start, stop)
        return self._persist(lambda: self._read_range(url, start, stop))

    def size(self, url: str) -> int:
        """Say how many bytes a remote document has; 0 where its server doesn't."""
        return self._persist(lambda: self._size(url))

    def receive(self, url: str, sink: Sink) -> None:
        """Bring ``sink`` what it lacks of the document, from where it stands."""
        self._persist(lambda: self._receive(url, sink), reached=lambda: sink.size)

    def _persist(
        self, attempt: Callable[[], T], *, reached: Callable[[], int] = lambda: 0
    ) -> T:
        return persist(
            attempt, retries=self._retries, sleep=self._sleep, reached=reached
        )

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
        with self._answer(url, asked(start, stop)) as answer:
            given = _given(answer)
            if given is None or (given.start, given.stop) != (start, stop):
                raise _no_range(url)
            body = b"".join(answer.raw.stream(CHUNK, decode_content=False))
            if len(body) != stop - start:
                raise TransientError(_broken_off(url, len(body), stop - start))
            return body

    def _size(self, url: str) -> int:
        # Of one byte, as not every index answers HEAD.
        with self._answer(url, asked(0, 1)) as answer:
            given = _given(answer)
            return (given.total if given else None) or 0

    def _receive(self, url: str, sink: Sink) -> None:
        try:
            with self._answer(url, asked(sink.size)) as answer:
                _pour(answer, sink, url)
        except RangeUnsupported as error:
            sink.restart()
            raise TransientError(error, wait=0) from error

    @contextmanager
    def _answer(
        self, url: str, headers: Mapping[str, str]
    ) -> Iterator[requests.Response]:
        """Open a good answer, not read yet; what fails inside is explained."""
        import requests  # noqa: PLC0415 - start-up time
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - the same

        try:
            with self._open(url, headers) as answer:
                _refuse_failures(answer, url, self._sign_in)
                yield answer
        except (requests.RequestException, HTTPError) as error:
            raise _explained(error, url, self._timeout) from error

    def _open(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        import requests  # noqa: PLC0415 - start-up time

        try:
            return self._session().get(
                split_userinfo(url)[0],
                headers=headers,
                auth=self._auth(url),
                timeout=self._timeout,
                stream=True,
                proxies=self._proxies(url),
                verify=str(self._ca_bundle) if self._ca_bundle else True,
            )
        except requests.RequestException:
            raise
        except OSError as error:  # how requests says that there is no such bundle
            raise FetchError(
                f"{shown(url)}: {error}",
                remedy="Is the path of the CA bundle right, in REQUESTS_CA_BUNDLE?",
            ) from error

    def _auth(self, url: str) -> Callable[[_Request], _Request] | None:
        from requests.auth import HTTPBasicAuth  # noqa: PLC0415 - start-up time

        address, userinfo = split_userinfo(url)
        header = "" if userinfo else self._authorize(address)
        if header:
            return partial(_with_authorization, header)
        pair = userinfo or self._credentials.get(urlsplit(address).netloc.lower())
        # As UTF-8 (RFC 7617); requests itself would have Latin-1 or nothing.
        return HTTPBasicAuth(*(part.encode() for part in pair)) if pair else None

    def _session(self) -> requests.Session:
        import requests  # noqa: PLC0415 - start-up time

        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.headers["User-Agent"] = f"layerforge/{__version__}"
            self._local.session = session
            self._sessions.append(session)
        return self._local.session  # type: ignore[no-any-return]  # set just above


def _with_authorization(header: str, request: _Request) -> _Request:
    request.headers["Authorization"] = header
    return request


def _pour(answer: requests.Response, sink: Sink, url: str) -> None:
    given = _given(answer)
    if given is not None and given.start == 0 and sink.size:
        sink.restart()  # the server gives the whole again
    if given is None or given.start != sink.size:
        raise _no_range(url)
    sink.expect(given.total)
    for chunk in answer.raw.stream(CHUNK, decode_content=False):
        sink.append(chunk)
    stop = sink.total if given.stop is None else given.stop
    if stop is not None and sink.size < stop:
        raise TransientError(_broken_off(url, sink.size, stop))


def _given(answer: requests.Response) -> Extent | None:
    return extent(answer.status_code, answer.headers)


def _refuse_failures(answer: requests.Response, url: str, sign_in: str) -> None:
    status, host = answer.status_code, urlsplit(shown(answer.url)).netloc
    said = f"{shown(url)}: {host} answered {status} {answer.reason or ''}".rstrip()
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise NotFound(said, remedy="Is the address right, and the file still there?")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        name = urlsplit(answer.url).hostname
        raise FetchError(said, remedy=sign_in.format(host=host, name=name))
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise _no_range(url)
    error = FetchError(said, remedy=f"Ask again later, or who runs {host}.")
    if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS) or (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        stated = answer.headers.get("Retry-After", "")
        wait = retry_after(stated, now=datetime.now(UTC))
        raise TransientError(error, None if wait is None else min(LONGEST_WAIT, wait))
    raise error


def _explained(error: Exception, url: str, timeout: float) -> Exception:
    """Say in plain words what went wrong, and whether another try may help."""
    import socket  # noqa: PLC0415 - start-up time
    import ssl  # noqa: PLC0415 - the same

    from requests import exceptions  # noqa: PLC0415 - the same

    host = urlsplit(shown(url)).netloc
    causes = _causes(error)

    def failed(words: str, remedy: str) -> FetchError:
        return FetchError(f"{shown(url)}: {words}", remedy=remedy)

    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return failed(
                f"the certificate of {host} is not trusted: {cause.verify_message}",
                "Where a proxy or an index of your own signs with its own authority, "
                "name its certificates: REQUESTS_CA_BUNDLE=/path/to/ca.pem.",
            )
    proxy = (exceptions.ProxyError, exceptions.InvalidProxyURL)
    # How requests marks what it never sent.
    if isinstance(error, ValueError) and not isinstance(error, proxy):
        return failed("not an address that can be fetched", "Use https: or file:.")
    if isinstance(error, exceptions.TooManyRedirects):
        return failed(f"{host} redirects in a circle", "Is the address right?")
    known: Sequence[tuple[_Kinds, str]] = (
        (proxy, f"the proxy does not let it through to {host}"),
        (socket.gaierror, f"the name {host} is not known"),
        (ConnectionRefusedError, f"{host} refused the connection"),
        (TimeoutError, f"{host} was silent for {timeout:g} seconds"),
        (Exception, f"the connection to {host} broke off"),
    )
    words = next(w for kind, w in known if any(isinstance(c, kind) for c in causes))
    network = "Check the address and the network; is HTTPS_PROXY set as it should be?"
    return TransientError(failed(words, network))


def _causes(error: BaseException) -> list[BaseException]:
    """List what led to ``error``; libraries hide it in three different places."""
    found: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        cause = pending.pop()
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            reason = getattr(cause, "reason", None)
            pending += [cause.__cause__, cause.__context__, reason, *cause.args]
    return found


def _no_range(url: str) -> RangeUnsupported:
    return RangeUnsupported(
        f"{shown(url)}: the server does not give the part that was asked for",
        remedy="Use an index that answers Range requests.",
    )


def _broken_off(url: str, size: int, whole: int) -> FetchError:
    return FetchError(
        f"{shown(url)}: ended after {size} of {whole} bytes",
        remedy="Check the network, and run it again: it goes on from there.",
    )


def usual_bundle() -> Path:
    """Name the file of certificates that are trusted where nobody names another."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # noqa: PLC0415 - start-up time

    return Path(DEFAULT_CA_BUNDLE_PATH)


def existing(path: Path) -> Path:
    """Refuse a path where no file is."""
    if not path.is_file():
        raise NotFound(f"{path}: no such file", remedy="Is the path right?")
    return path


def _local_document(url: str, path: Path) -> Response:
    import mimetypes  # noqa: PLC0415 - start-up time

    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Response(
        url=url, content_type=content_type, body=existing(path).read_bytes()
    )


def _local_range(url: str, path: Path, start: int, stop: int) -> bytes:
    with existing(path).open("rb") as stream:
        stream.seek(start)
        body = stream.read(stop - start)
    if len(body) != stop - start:
        raise _no_range(url)
    return body
