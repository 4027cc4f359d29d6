"""A small package index on 127.0.0.1, which misbehaves on demand.

    with Index(folder) as index:
        index.script("/files/a.whl", Fault(status=503), Fault(cut=1000))
        ... index.simple_url, index.file_url("a.whl"), index.requests

Serves the files of a folder with ranges (RFC 9110) below /files/, and their pages as
HTML and JSON (PEP 503, 691, with the metadata files of PEP 658) below /simple/.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import socket
import ssl
import struct
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.parser import Parser
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Self, cast
from urllib.parse import quote, unquote

JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one request is answered instead; what is not given stays as it would be.

    After ``cut`` bytes of the body the connection ends: in order, or by a ``reset``.
    ``gate`` is waited for there (before the body where there is no ``cut``).
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    announced: bool = True
    cut: int | None = None
    reset: bool = False
    gate: threading.Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asked for, with its headers' names in lower case; no query."""

    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client gets, where no fault comes between."""

    status: int = HTTPStatus.OK
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Index:
    """Serves ``folder`` while entered; takes new files and scripts at any time.

    ``credentials`` are asked of everyone; with a ``certificate`` (its key in the same
    file, as in tests/data/loopback.pem) it speaks TLS.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ranges: bool = True,
        credentials: tuple[str, str] | None = None,
        certificate: Path | None = None,
    ) -> None:
        self.folder = folder
        self.ranges = ranges
        self.credentials = credentials
        self.certificate = certificate
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._scripts: dict[str, list[Fault | None]] = {}
        self._lock = threading.Lock()
        self._server = _Server(self)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        ).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        """Host and port, as credentials are looked up by."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.host}"

    @property
    def simple_url(self) -> str:
        """What --index-url takes."""
        return f"{self.url}/simple/"

    def file_url(self, name: str) -> str:
        return f"{self.url}/files/{quote(name)}"

    def script(self, path: str, *faults: Fault | None) -> None:
        """Answer the next requests for ``path`` so, one each; ``None`` is: well."""
        self._scripts.setdefault(path, []).extend(faults)

    def asked(self, path: str) -> list[Request]:
        """List the requests for ``path``, in order."""
        return [request for request in self.requests if request.path == path]

    def note(self, request: Request) -> Fault | None:
        """Keep a request, and say what is to go wrong with it."""
        with self._lock:
            self.requests.append(request)
            faults = self._scripts.get(request.path)
            return faults.pop(0) if faults else None

    def answer(self, request: Request) -> Answer:
        """Answer as a good index does."""
        if self.credentials and not self._knows(request):
            challenge = {"WWW-Authenticate": 'Basic realm="index"'}
            return Answer(status=HTTPStatus.UNAUTHORIZED, headers=challenge)
        path = unquote(request.path)
        if path == "/simple/":
            return self._page(request, "", sorted(set(map(_project, self._names()))))
        if match := re.fullmatch("/simple/([^/]+)/", path):
            return self._project_page(request, match[1])
        if match := re.fullmatch("/files/([^/]+)", path):
            return self._file(request, match[1])
        return Answer(status=HTTPStatus.NOT_FOUND)

    def _knows(self, request: Request) -> bool:
        pair = ":".join(self.credentials or ()).encode()
        expected = f"Basic {base64.b64encode(pair).decode()}"
        return request.headers.get("authorization") == expected

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())

    def _project_page(self, request: Request, project: str) -> Answer:
        names = [name for name in self._names() if _project(name) == project]
        if not names:
            return Answer(status=HTTPStatus.NOT_FOUND)
        return self._page(request, project, names)

    def _page(self, request: Request, project: str, names: list[str]) -> Answer:
        files = [_described(self.folder / name) for name in names] if project else []
        if JSON_TYPE in request.headers.get("accept", ""):
            meta: dict[str, object] = {"meta": {"api-version": "1.1"}}
            listed: dict[str, object] = (
                {"name": project, "files": files, "versions": []}
                if project
                else {"projects": [{"name": name} for name in names]}
            )
            return Answer(
                body=json.dumps(meta | listed).encode(),
                headers={"Content-Type": JSON_TYPE},
            )
        links = (
            map(_link, files) if project else (f'<a href="{n}/">{n}</a>' for n in names)
        )
        page = "<!DOCTYPE html>\n" + "\n".join(links)
        return Answer(body=page.encode(), headers={"Content-Type": "text/html"})

    def _file(self, request: Request, name: str) -> Answer:
        path = self.folder / name
        if path.is_file():
            return self._part(request, path.read_bytes())
        wheel = path.with_suffix("")
        if path.suffix == ".metadata" and wheel.is_file():
            return Answer(body=_metadata(wheel))
        return Answer(status=HTTPStatus.NOT_FOUND)

    def _part(self, request: Request, whole: bytes) -> Answer:
        stated = request.headers.get("range", "")
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", stated)
        if not (match and self.ranges):
            return Answer(body=whole)
        first, last = match.groups()
        start = int(first) if first else max(0, len(whole) - int(last))
        stop = int(last) + 1 if first and last else len(whole)
        part = whole[start:stop]
        if not part:
            nothing = {"Content-Range": f"bytes */{len(whole)}"}
            return Answer(
                status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=nothing
            )
        extent = f"bytes {start}-{start + len(part) - 1}/{len(whole)}"
        return Answer(
            status=HTTPStatus.PARTIAL_CONTENT,
            body=part,
            headers={"Content-Range": extent},
        )


def _project(name: str) -> str:
    """Give the normalised project (PEP 503) that a wheel or sdist is of."""
    return re.sub("[-_.]+", "-", re.split(r"-\d", name, maxsplit=1)[0]).lower()


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".dist-info/METADATA"):
                return archive.read(name)
    return b""


def _described(path: Path) -> dict[str, object]:
    """Describe a file as PEP 691 does."""
    whole = path.read_bytes()
    described: dict[str, object] = {
        "filename": path.name,
        "url": f"/files/{quote(path.name)}",
        "hashes": {"sha256": hashlib.sha256(whole).hexdigest()},
        "size": len(whole),
        "yanked": False,
    }
    if zipfile.is_zipfile(path) and (metadata := _metadata(path)):
        requires = Parser().parsestr(metadata.decode()).get("Requires-Python")
        described["core-metadata"] = {"sha256": hashlib.sha256(metadata).hexdigest()}
        described |= {"requires-python": requires} if requires else {}
    return described


def _link(described: dict[str, object]) -> str:
    """Describe a file as PEP 503 does."""
    hashes = cast("dict[str, str]", described["hashes"])
    attributes = f'href="{described["url"]}#sha256={hashes["sha256"]}"'
    if "core-metadata" in described:
        metadata = cast("dict[str, str]", described["core-metadata"])
        attributes += f' data-core-metadata="sha256={metadata["sha256"]}"'
    if "requires-python" in described:
        requires = html.escape(str(described["requires-python"]))
        attributes += f' data-requires-python="{requires}"'
    return f"<a {attributes}>{described['filename']}</a>"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, index: Index) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.index = index

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up: tests make them do so."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        index = cast("_Server", self.server).index
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(path=self.path.partition("?")[0], headers=headers)
        fault = index.note(request) or Fault()
        answer = index.answer(request)
        status = fault.status or answer.status
        body = answer.body if fault.body is None else fault.body
        self.send_response(status)
        sent = {**answer.headers, **fault.headers}
        if fault.announced:
            sent = {"Content-Length": str(len(body)), **sent}
        else:
            self.close_connection = True
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self._send(body, fault, index.stopping)

    def _send(self, body: bytes, fault: Fault, stopping: threading.Event) -> None:
        if fault.gate is not None and fault.cut is None:
            _wait(fault.gate, stopping)
        self.wfile.write(body[: fault.cut])
        if fault.cut is None:
            return
        if fault.gate is not None:
            _wait(fault.gate, stopping)
        self.close_connection = True
        if fault.reset:
            at_once = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            os.close(self.connection.detach())

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: tests look at `Index.requests`."""


def _wait(gate: threading.Event, stopping: threading.Event) -> None:
    while not (gate.wait(0.02) or stopping.is_set()):
        pass
