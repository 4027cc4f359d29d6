"""A container's process, attended from its start to its exit status."""

from __future__ import annotations

import codecs
import re
import shlex
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from layerforge.containers.settings import ContainerSettings
from layerforge.containers.task import LAST_LINES, Task, TaskError
from layerforge.events import Listener, Said

if TYPE_CHECKING:
    from docker.api.client import APIClient

_T = TypeVar("_T")

KEPT_LINES: Final = 200  # what tells the reason often stands far from the end
MAX_STDOUT: Final = 64 << 20  # bytes
_HEARTBEAT: Final = 30.0  # seconds of silence, then the engine is asked how it is
_ENDING: Final = 10  # seconds from the end of the output to the exit status
_STDOUT, _STDERR = 1, 2
_CHUNK: Final = 1 << 16  # bytes
_HEADER: Final = struct.Struct(">BxxxL")
_LONGEST_LINE: Final = 2_000  # characters
_LONGEST_COMMAND: Final = 300
_KILLED: Final = 137  # 128 + SIGKILL, as shells count
_CONTROLS: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and the like (ECMA-48)
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def attend(  # noqa: PLR0913 - the job, what it is given, and who hears of it
    api: APIClient,
    container: str,
    task: Task,
    settings: ContainerSettings,
    *,
    secrets: bytes,
    listen: Listener,
) -> bytes:
    """Start a container that was created, and give what it wrote to stdout.

    ``secrets`` go to its standard input; each line of stderr is told as it comes.
    Raises `TaskError`, and what docker and sockets raise where the engine goes away.
    """
    seconds = settings.timeout
    output = _Output(task, listen)
    with _starting(task):
        attached = _Attached(api, container, stdin=bool(secrets), seconds=seconds)
    with closing(attached):
        with _starting(task):  # now, so that not a byte is lost
            api.start(container)
        try:
            attached.send(secrets)
            for stream, data in attached.frames():
                output.take(stream, data)
        except _OverTimeError:
            raise TaskError(
                f"{task} took longer than {seconds:,} s",
                remedy="Allow more: `timeout` in `[containers]` of layerforge.toml.",
                lines=output.last_lines,
            ) from None
    api.wait(container, timeout=_ENDING)
    # Podman's answer to that is 0 for a container that was removed meanwhile.
    state = api.inspect_container(container)["State"]
    if state["ExitCode"]:
        raise _failure(task, settings, state, output.last_lines)
    if attached.broken:
        raise ConnectionResetError("the connection broke")
    return output.stdout


def plain(line: str) -> str:
    """Give a line of a program's for people to read, without what moves cursors."""
    return _CONTROLS.sub("", line).expandtabs().rstrip()[:_LONGEST_LINE]


@contextmanager
def _starting(task: Task) -> Iterator[None]:
    from docker.errors import APIError  # noqa: PLC0415 - docker is slow to import

    try:
        yield
    except APIError as error:
        raise TaskError(
            f"{task} could not start: {error.explanation}",
            remedy="The image lacks what the job needs, or the engine can't give it.",
        ) from error


def _failure(
    task: Task,
    settings: ContainerSettings,
    state: dict[str, Any],
    lines: tuple[str, ...],
) -> TaskError:
    status = state["ExitCode"]
    told = "".join(f"\n  {line}" for line in lines[-LAST_LINES:])
    if state.get("OOMKilled") or status == _KILLED:
        limit = f" ({settings.memory / (1 << 20):,.0f} MiB)" if settings.memory else ""
        return TaskError(
            f"{task} was killed: it wanted more memory than there is{limit}{told}",
            remedy="Allow more: `memory` in `[containers]` of layerforge.toml."
            if settings.memory
            else "Give the engine more memory, or set `memory` in `[containers]` of "
            "layerforge.toml.",
            lines=lines,
        )
    command = shlex.join(task.command)
    if len(command) > _LONGEST_COMMAND:
        command = f"{command[:_LONGEST_COMMAND]}…"
    foreign = lines and "exec format error" in lines[-1].lower()
    return TaskError(
        f"{task} failed with exit status {status}: {command}{told}",
        remedy=f"The engine can't run programs for {task.arch}: install "
        "qemu-user-static and binfmt-support beside it, or name a native one in "
        "`[docker.hosts]` of layerforge.toml."
        if foreign
        else "",
        lines=lines,
        status=status,
    )


class _OverTimeError(Exception):
    """The process took longer than it may."""


class _Attached:
    """The streams of a container's process, over one connection.

    ``broken`` says whether it ended otherwise than by a last whole frame.
    """

    def __init__(
        self, api: APIClient, container: str, *, stdin: bool, seconds: float
    ) -> None:
        self.broken = False
        self._api = api
        self._container = container
        self._deadline = time.monotonic() + seconds if seconds else None
        streams = {"stdin": int(stdin), "stdout": 1, "stderr": 1, "stream": 1}
        # Kept, since what it belongs to closes when it goes.
        self._stream: Any = api.attach_socket(container, streams)
        # A socket in a file's clothing; under TLS and SSH it comes bare.
        self._socket: Any = getattr(self._stream, "_sock", self._stream)

    def close(self) -> None:
        """Let go of the connection."""
        # The answer is hung on what docker gives, and holds the socket open as well.
        answer = getattr(self._stream, "_response", self._stream)
        for part in (answer, self._stream, self._socket):
            part.close()

    def send(self, data: bytes) -> None:
        """Write to the standard input, as long as somebody reads."""
        rest = memoryview(data)
        try:
            while rest:
                part = rest[:_CHUNK]
                rest = rest[self._patiently(self._socket.send, part, ended=len(rest)) :]
        except (BrokenPipeError, ConnectionResetError):
            pass  # its exit status will say why it ended so early

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Give the number of a stream and what was written to it, until both end."""
        while len(header := self._exactly(_HEADER.size)) == _HEADER.size:
            stream, size = _HEADER.unpack(header)
            while size and (data := self._receive(size)):
                size -= len(data)
                yield stream, data
            if size:
                self.broken = True
                return
        self.broken = self.broken or bool(header)

    def _exactly(self, size: int) -> bytes:
        """Read so many bytes, or what is left."""
        parts = b""
        while len(parts) < size and (part := self._receive(size - len(parts))):
            parts += part
        return parts

    def _receive(self, size: int) -> bytes:
        try:
            return self._patiently(self._socket.recv, min(size, _CHUNK), ended=b"")
        except ConnectionResetError:
            self.broken = True
            return b""

    def _patiently(self, act: Callable[[Any], _T], argument: object, ended: _T) -> _T:
        """Wait for a socket, but neither for a dead engine nor beyond the time."""
        over = False
        while True:
            # What was said last may still be on its way when a process has ended.
            self._socket.settimeout(_ENDING if over else self._patience())
            try:
                return act(argument)
            except TimeoutError:
                if over:
                    return ended
                # Raises where the engine doesn't answer.
                state = self._api.inspect_container(self._container)["State"]
                over = not state["Running"]

    def _patience(self) -> float:
        if self._deadline is None:
            return _HEARTBEAT
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _OverTimeError
        return min(left, _HEARTBEAT)


class _Output:
    """What a process says: stdout is kept, lines of stderr are told, both end in tails.

    Its lines are for people to read, so they come without what moves cursors.
    """

    def __init__(self, task: Task, listen: Listener) -> None:
        self._task = task
        self._listen = listen
        self._stdout = bytearray()
        self._last = deque[str](maxlen=KEPT_LINES)
        self._begun = {_STDOUT: "", _STDERR: ""}
        self._decoders = {
            stream: codecs.getincrementaldecoder("utf-8")("replace")
            for stream in self._begun
        }

    @property
    def stdout(self) -> bytes:
        return bytes(self._stdout)

    @property
    def last_lines(self) -> tuple[str, ...]:
        """Give the last lines of both, without what is empty."""
        for stream in self._begun:
            self._tell(stream, self._begun[stream])
            self._begun[stream] = ""
        return tuple(self._last)

    def take(self, stream: int, data: bytes) -> None:
        if stream == _STDOUT:
            self._stdout += data
            if len(self._stdout) > MAX_STDOUT:
                raise TaskError(
                    f"{self._task} printed more than {MAX_STDOUT:,} bytes",
                    lines=self.last_lines,
                )
        text = self._begun[stream] + self._decoders[stream].decode(data)
        # A carriage return begins a line anew: a progress bar moves.
        *lines, rest = re.split("[\r\n]+", text)
        self._begun[stream] = rest[-_LONGEST_LINE:]
        for line in lines if stream == _STDERR else lines[-KEPT_LINES:]:
            self._tell(stream, line)

    def _tell(self, stream: int, line: str) -> None:
        line = plain(line)
        if not line:
            return
        self._last.append(line)
        if stream == _STDERR:
            self._listen(Said(task=self._task.name, line=line))
