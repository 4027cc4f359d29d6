"""A way to a server on which things go wrong, as a test says.

    with FaultProxy(server.port) as proxy:
        proxy.fail("POST", "/versions$", Fault.CUT_AFTER)
        ... proxy.url

Each connection has one request, so that a fault hits the one that it was meant for.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self, cast

SLOW: Final = 0.4  # seconds; more than the patience that tests have with an answer


class Fault(Enum):
    """What goes wrong with one request, and whether the server heard of it."""

    CUT_BEFORE = auto()
    """The connection is reset before the request reaches the server."""

    CUT_REQUEST = auto()
    """It is reset when half of the request has come: the server hears nothing."""

    CUT_AFTER = auto()
    """It is reset when the server has done it, before an answer."""

    CUT_ANSWER = auto()
    """It ends half-way through the answer's body."""

    THROTTLED = auto()
    """429 with Retry-After; the server hears nothing."""

    FAILED_BEFORE = auto()
    """500, and the server heard nothing."""

    FAILED_AFTER = auto()
    """500, though the server did it."""

    SLOW_ANSWER = auto()
    """Done at once, and answered when the client waits no longer."""

    SLOW_REQUEST = auto()
    """Done only when the client waits no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    method: str
    pattern: str
    faults: deque[Fault | None] = field(default_factory=deque)

    def fits(self, method: str, path: str) -> bool:
        return method == self.method and re.search(self.pattern, path) is not None


class FaultProxy:
    """Passes requests on to a port of this machine, but for those that are to fail."""

    def __init__(self, upstream: int, *, retry_after: str = "0") -> None:
        self.upstream = upstream
        self.retry_after = retry_after
        self.suffered: list[Fault] = []
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._server = _Listener(self)

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        ).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, method: str, pattern: str, *faults: Fault | None) -> None:
        """Let the next requests whose path has ``pattern`` in it fail so, one each.

        ``None`` stands for one that doesn't.
        """
        self._rules.append(_Rule(method=method, pattern=pattern, faults=deque(faults)))

    def fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for rule in self._rules:
                if rule.faults and rule.fits(method, path):
                    fault = rule.faults.popleft()
                    self.suffered += [fault] if fault else []
                    return fault
        return None


class _Listener(ThreadingHTTPServer):
    # Whoever closes it waits for requests that are under way: they count as well.
    daemon_threads = False

    def __init__(self, proxy: FaultProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up: tests make them do so."""


class _Handler(BaseHTTPRequestHandler):
    def _pass_on(self) -> None:
        proxy = cast("_Listener", self.server).proxy
        length = int(self.headers.get("Content-Length") or 0)
        fault = proxy.fault(self.command, self.path)
        if fault is Fault.CUT_BEFORE:
            self._reset()
            return
        if fault is Fault.CUT_REQUEST:
            self.rfile.read(length // 2)
            self._reset()
            return
        body = self.rfile.read(length)
        if fault is Fault.THROTTLED:
            self._refuse(429, "TooManyRequestsException", "Rate exceeded")
            return
        if fault is Fault.FAILED_BEFORE:
            self._refuse(500, "ServiceException", "Internal error")
            return
        if fault is Fault.SLOW_REQUEST:
            time.sleep(SLOW)
        status, headers, answer = self._ask(proxy.upstream, body)
        if fault is Fault.CUT_AFTER:
            self._reset()
        elif fault is Fault.FAILED_AFTER:
            self._refuse(500, "ServiceException", "Internal error")
        else:
            if fault is Fault.SLOW_ANSWER:
                time.sleep(SLOW)
            half = fault is Fault.CUT_ANSWER
            self._send(status, headers, answer, len(answer) // 2 if half else None)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - http.server's names

    def _ask(self, port: int, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = f'{{"Type": "User", "Message": "{message}"}}'.encode()
        headers = {"x-amzn-ErrorType": code, "Content-Type": "application/json"}
        if status == 429:
            headers["Retry-After"] = cast("_Listener", self.server).proxy.retry_after
        self._send(status, headers, body, None)

    def _send(
        self, status: int, headers: Mapping[str, str], body: bytes, cut: int | None
    ) -> None:
        self.send_response(status)
        for name, text in headers.items():
            if name.lower() not in {"connection", "transfer-encoding", "date"}:
                self.send_header(name, text)
        if "content-length" not in {name.lower() for name in headers}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])

    def _reset(self) -> None:
        """End the connection at once, in the middle of whatever it was."""
        self.close_connection = True
        at_once = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        os.close(self.connection.detach())

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: tests look at `FaultProxy.suffered`."""
