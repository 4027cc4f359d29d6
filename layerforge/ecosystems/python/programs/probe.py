"""Has a layer's modules imported in a runtime, one by one, and says how that went.

Run by the runtime's interpreter with a JSON file: {"modules", "handler", "folders",
"entrypoint", "seconds"}. The modules are imported in their order in one process, as a
function would; where one takes the process with it, the others go on in the next.
Writes one JSON document between two marks. Only the standard library, and no later
than Python 3.9.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

_PORT = 8080
_PATH = "/2015-03-31/functions/function/invocations"
_STARTING = 60.0  # seconds until the emulator listens; it takes less than one
_LINES = 12  # of a log: where a process crashed, the first say where
_LONGEST_LOG = 64 << 10  # bytes
# What the emulator says of itself, and the import system's own part in a traceback.
_NOISE = re.compile(r"\(rapid\)|^(START|END|REPORT|INIT_\w+) |importlib")
_ALONE = 20  # failures that are tried again by themselves
_MARKS = ("<<<layerforge probe", "layerforge probe>>>")

Answer = dict[str, Any]


class Gone(Exception):  # noqa: N818 - what happened to the process
    """The process that imports ended, or answers no more."""


class Absent(Exception):  # noqa: N818 - what is not there
    """The image has no emulator, or one that doesn't start."""


class Runtime(Protocol):
    """A process that imports modules."""

    emulated: bool

    def ask(self, event: Answer) -> Answer:
        """Have an event handled; raises `Gone`."""

    def stop(self) -> None:
        """End the process; the next question starts another."""

    def log(self) -> list[str]:
        """Give the last lines that were printed since the last question."""


class Log:
    """What a process prints, read from where it was last forgotten."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._from = 0

    def forget(self) -> None:
        """Begin anew."""
        self._from = os.fstat(self.file.fileno()).st_size

    def lines(self) -> list[str]:
        """Give the first lines that tell something."""
        said = os.pread(self.file.fileno(), _LONGEST_LOG, self._from)
        lines = said.decode(errors="replace").splitlines()
        return [line for line in lines if line and not _NOISE.search(line)][:_LINES]


class Emulator:
    """The runtime interface client, under Lambda's emulator."""

    emulated = True

    def __init__(self, entrypoint: str, handler: str, seconds: int) -> None:
        self._command = [entrypoint, f"{Path(handler).stem}.handler"]
        self._seconds = seconds
        self._log = Log()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, event: Answer) -> Answer:
        """Invoke the function; raises `Absent` where there is no emulator."""
        self._start()
        self._log.forget()
        try:
            said = self._post(json.dumps(event))
            answer = json.loads(said)
        except (OSError, http.client.HTTPException) as error:
            raise Gone(f"{type(error).__name__}: {error}") from error
        except ValueError:
            told = said.decode(errors="replace").strip()
            raise Gone(told or "it ended without an answer") from None
        if not isinstance(answer, dict) or "peak" not in answer:
            raise Gone(_reason(answer))
        return answer

    def stop(self) -> None:
        """End the emulator, which ends its runtime."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def log(self) -> list[str]:
        """Give what the function printed, without what the emulator did."""
        return self._log.lines()

    def _start(self) -> None:
        if self._process is not None:
            return
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=self._log.file,
                stderr=self._log.file,
                env={**os.environ, "AWS_LAMBDA_FUNCTION_TIMEOUT": str(self._seconds)},
            )
        except OSError as error:
            raise Absent(str(error)) from error
        deadline = time.monotonic() + _STARTING
        while not _listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Absent("; ".join(self.log()))
            time.sleep(0.01)

    def _post(self, event: str) -> bytes:
        # The emulator keeps the time; this is for where it doesn't answer at all.
        connection = http.client.HTTPConnection(
            "127.0.0.1", _PORT, timeout=self._seconds + 30
        )
        try:
            connection.request("POST", _PATH, event)
            return connection.getresponse().read()
        finally:
            connection.close()


class Plain:
    """The handler as a program of its own, where there is no emulator."""

    emulated = False

    def __init__(self, handler: str, folders: list[str], seconds: int) -> None:
        flags = ["-I", "-B", *(["-S"] if sys.flags.no_site else [])]
        self._command = [sys.executable, *flags, handler, *folders]
        self._seconds = seconds
        self._log = Log()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, event: Answer) -> Answer:
        """Send a line, and wait for one."""
        process = self._started()
        self._log.forget()
        if process.stdin is None or process.stdout is None:
            raise TypeError(process)
        try:
            process.stdin.write(json.dumps(event).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise Gone(_status(process.wait())) from None
        if not select.select([process.stdout], [], [], self._seconds)[0]:
            raise Gone(f"timed out after {self._seconds} seconds")
        line = process.stdout.readline()
        if not line:
            raise Gone(_status(process.wait()))
        answer: Answer = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def log(self) -> list[str]:
        """Give what was printed."""
        return self._log.lines()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log.file,
            )
        return self._process


def main() -> None:
    """Probe, and print the document."""
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    document = probe(asked)
    print(_MARKS[0], json.dumps(document), _MARKS[1], sep="\n", flush=True)  # noqa: T201 - a program's answer


def probe(asked: Answer) -> Answer:
    """Start a runtime, import all modules, and try those again that failed."""
    start = time.perf_counter()
    runtime, first = started(asked)
    milliseconds = (time.perf_counter() - start) * 1000
    if "failure" in first:
        return {"emulated": runtime.emulated, **first}
    answers = [_tried(runtime, module) for module in asked["modules"]]
    peak = max([first["peak"], *(answer.get("peak", 0) for answer in answers)])
    for answer in [answer for answer in answers if _may_clash(answer)][:_ALONE]:
        runtime.stop()
        answer["alone"] = "error" not in _tried(runtime, answer["module"])
    runtime.stop()
    return {
        "emulated": runtime.emulated,
        "init": round(milliseconds, 3),
        "peak": peak,
        "modules": answers,
    }


def started(asked: Answer) -> tuple[Runtime, Answer]:
    """Give a runtime, and its answer to a question that imports nothing."""
    emulator = Emulator(asked["entrypoint"], asked["handler"], asked["seconds"])
    plain = Plain(asked["handler"], asked["folders"], asked["seconds"])
    for runtime in (emulator, plain):
        try:
            return runtime, runtime.ask({})
        except Absent:
            runtime.stop()
        except Gone as gone:
            return runtime, {"failure": str(gone), "log": runtime.log()}
    raise AssertionError  # a plain one is never absent


def _tried(runtime: Runtime, module: str) -> Answer:
    start = time.perf_counter()
    try:
        return runtime.ask({"module": module})
    except (Absent, Gone) as gone:
        runtime.stop()
        return {
            "module": module,
            "milliseconds": round((time.perf_counter() - start) * 1000, 3),
            "memory": 0,
            "error": "Crash",
            "message": str(gone),
            "missing": "",
            "trace": runtime.log(),
        }


def _may_clash(answer: Answer) -> bool:
    """Say whether a module that failed might do better by itself."""
    slow = "timed out" in answer.get("message", "")
    return "error" in answer and not answer["missing"] and not slow


def _reason(answer: object) -> str:
    """Find what the emulator says of a function that failed."""
    if isinstance(answer, dict) and "errorMessage" in answer:
        said = str(answer["errorMessage"])
        return said.rpartition("Error: ")[2] or said
    return json.dumps(answer)


def _status(status: int) -> str:
    if status < 0:
        return f"signal: {(signal.strsignal(-status) or str(-status)).lower()}"
    return f"exit status {status}"


def _listens() -> bool:
    try:
        socket.create_connection(("127.0.0.1", _PORT), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
