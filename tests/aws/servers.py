"""Servers that answer as AWS does, on 127.0.0.1: moto, MiniStack, and what a test says.

    with moto() as server:
        ... server.url, server.port

Both are processes of their own, and end with the process that started them, however
that one ends. `Recorded` answers as it is told to: with what only AWS itself says.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self, cast
from urllib.parse import unquote, urlsplit

from layerforge.aws.pace import Pace
from layerforge.aws.session import Access, Session
from layerforge.events import Listener, silent

CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What makes boto3 speak without looking at the machine's own settings."""

_START: Final = 60.0  # seconds
# Reads until its starter is gone; what it is to run follows.
_WATCH: Final = (
    "import os, sys, threading; "
    "watch = lambda: (sys.stdin.buffer.read(), os._exit(0)); "
    "threading.Thread(target=watch, daemon=True).start(); "
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that runs; ``reset_path`` makes it forget everything."""

    name: str
    port: int
    account: str
    reset_path: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=_START)
        connection.request("POST", self.reset_path)
        connection.getresponse().read()
        connection.close()


def session(url: str, listen: Listener = silent, *, attempts: int = 2) -> Session:
    """Speak to a server at once: nothing is paced."""
    access = Access(endpoint_url=url, region="eu-west-1")
    unhurried: Callable[[], Pace] = lambda: Pace(1000.0)  # noqa: E731 - a factory
    return Session(access, listen, attempts=attempts, pace=unhurried)


@contextmanager
def moto() -> Iterator[Server]:
    """Start moto_server."""
    port = free_port()
    words = f"sys.argv[1:] = ['-H', '127.0.0.1', '-p', '{port}']; "
    server = Server(
        name="moto", port=port, account="123456789012", reset_path="/moto-api/reset"
    )
    with _running(words + "from moto.server import main; main()", port):
        yield server


@contextmanager
def ministack() -> Iterator[Server]:
    """Start MiniStack, with no services that have ports of their own."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ministack-") as folder:
        settings = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "TMPDIR": folder,
        }
        server = Server(
            name="ministack",
            port=port,
            account="000000000000",
            reset_path="/_ministack/reset",
        )
        with _running("from ministack.app import main; main()", port, settings):
            yield server


def free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _running(
    program: str, port: int, settings: Mapping[str, str] | None = None
) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="aws-server-") as folder:
        log = Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", f"{_WATCH}sys.argv = ['server']; {program}"],
                cwd=folder,
                env={**os.environ, **CREDENTIALS, **(settings or {})},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_for(port, process, log)
            yield
        finally:
            process.kill()
            process.communicate()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"the server did not start:\n{log.read_text()[-2000:]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client asked for; ``path`` is decoded, and without its query."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a client is answered: ``body`` as JSON, or its bytes as they are."""

    body: object = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> bytes:
        return (
            self.body
            if isinstance(self.body, bytes)
            else json.dumps(self.body).encode()
        )


def failure(status: int, code: str, message: str, **headers: str) -> Reply:
    """Answer with an error as Lambda words them (REST JSON)."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(
        status=status,
        body={"Type": "User", "Message": message},
        headers={"x-amzn-ErrorType": code, **named},
    )


class Recorded:
    """Answers as it was told to, over HTTP, and keeps what it was asked.

    A rule is a method and a pattern of the path; the last one that was given and fits
    decides. Its replies are used up one by one, but for the last, which stays; one may
    be a function of `Asked`. STS knows everybody. All else is 404.
    """

    def __init__(self, *, account: str = "123456789012") -> None:
        self.account = account
        self.asked: list[Asked] = []
        self._rules: list[tuple[str, str, list[Any]]] = []
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

    def when(
        self,
        method: str,
        pattern: str,
        *replies: Reply | Callable[[Asked], Reply],
    ) -> None:
        """Answer so from now on: ``when("GET", "/2018-10-31/layers", Reply(...))``."""
        self._rules.append((method, pattern, list(replies)))

    def requests(self, method: str, pattern: str = ".*") -> list[Asked]:
        """List what was asked, in order."""
        return [
            one
            for one in self.asked
            if one.method == method and re.fullmatch(pattern, one.path)
        ]

    def reply(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            for method, pattern, replies in reversed(self._rules):
                if method == asked.method and re.fullmatch(pattern, asked.path):
                    chosen = replies.pop(0) if len(replies) > 1 else replies[0]
                    break
            else:
                chosen = self._usual
        return chosen if isinstance(chosen, Reply) else cast("Reply", chosen(asked))

    def _usual(self, asked: Asked) -> Reply:
        if b"GetCallerIdentity" in asked.body:
            body = (
                "<GetCallerIdentityResponse><GetCallerIdentityResult>"
                f"<Arn>arn:aws:iam::{self.account}:user/ci</Arn><UserId>U</UserId>"
                f"<Account>{self.account}</Account>"
                "</GetCallerIdentityResult></GetCallerIdentityResponse>"
            )
            return Reply(body=body.encode())
        missing = "The resource you requested does not exist."
        return failure(404, "ResourceNotFoundException", missing)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, recorded: Recorded) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.recorded = recorded

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        asked = Asked(
            method=self.command,
            path=unquote(parts.path),
            query=parts.query,
            headers={name.lower(): text for name, text in self.headers.items()},
            body=self.rfile.read(length),
        )
        reply = cast("_Listener", self.server).recorded.reply(asked)
        self.send_response(reply.status)
        for name, text in reply.headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(reply.bytes)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.bytes)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815 - http.server's names

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: tests look at `Recorded.asked`."""
