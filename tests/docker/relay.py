"""What stands between a client and an engine's socket, and can fail."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

_CHUNK: Final = 1 << 16


class Relay:
    """Passes bytes between a socket of its own and another, until it is cut."""

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self.connections = 0
        self._target = target
        self._flowing = threading.Event()
        self._flowing.set()
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self.mend()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.cut()

    def mend(self) -> None:
        """Take connections (again)."""
        self._flowing.set()
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(
            target=self._serve, args=(self._listener,), daemon=True
        ).start()

    def cut(self) -> None:
        """End every connection, and take no new ones."""
        _end(self._listener)
        while self._open:
            _end(self._open.pop())
        self._flowing.set()

    def freeze(self) -> None:
        """Let connections stand, and pass nothing."""
        self._flowing.clear()

    def _serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.connections += 1
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(self._target)
                self._open += [client, engine]
                for ends in ((client, engine), (engine, client)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self._flowing.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def tls_relay(target: str, certificate: Path) -> Iterator[str]:
    """Give the address of a server that passes what comes by TLS to a socket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop = asyncio.new_event_loop()

    async def passing(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_engine, to_engine = await asyncio.open_unix_connection(target)
        await asyncio.gather(passing(reader, to_engine), passing(from_engine, writer))

    begun = asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    server = loop.run_until_complete(begun)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        _wind_up(loop, server)


def _wind_up(loop: asyncio.AbstractEventLoop, server: asyncio.Server) -> None:
    server.close()
    # Clients have closed their ends by now, so each ends by itself.
    left = asyncio.all_tasks(loop)
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=10))
    loop.close()


def _end(end: socket.socket) -> None:
    # Closing alone would leave another thread in its system call.
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
