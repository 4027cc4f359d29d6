"""Ctrl-C and SIGTERM, while a wheel is on its way."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.program import TARGET, Program, files_below, finish
from tests.servers import Fault
from tests.wheels import make_wheel

WEB = ("build", "-r", "requirements.in", "--name", "web", *TARGET)
WHEEL = "/files/large-1.0-py3-none-any.whl"
HALF = 100_000  # bytes
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def large(web: Program, shelf: Path) -> Program:
    """A project with a good zip, whose new requirement is large."""
    web(*WEB)
    make_wheel(shelf, "large", "1.0", {"large.bin": os.urandom(2 * HALF)})
    web.write("requirements.in", "demo\nlarge\n")
    web("lock", *WEB[1:])
    return web


def when(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def interrupted(program: Program, number: int) -> subprocess.Popen[str]:
    """Start a build, and send a signal once half of the wheel is in the store."""
    program.index.script(WHEEL, Fault(cut=HALF, gate=threading.Event()))
    process = program.start(*WEB)
    partial = program.cache / "partial"
    when(lambda: any(file.stat().st_size > 0 for file in partial.glob("*")))
    os.killpg(process.pid, number)
    return process


@pytest.mark.parametrize("number", SIGNALS)
def test_mid_download_ends_at_once_and_keeps_the_last_zip(
    large: Program, number: int
) -> None:
    before = files_below(large.folder)

    ran = finish(interrupted(large, number))

    assert (ran.status, ran.stdout) == (130, "")
    assert ran.stderr.splitlines()[-1] == (
        "interrupted: what was there before is untouched"
    )
    assert files_below(large.folder) == before


def test_the_next_build_takes_up_what_is_there(large: Program) -> None:
    finish(interrupted(large, signal.SIGINT))
    large.index.requests.clear()

    ran = large(*WEB)

    assert ran.status == 0, ran.stderr
    [request] = large.index.asked(WHEEL)
    assert request.headers["range"].startswith("bytes=")
    assert request.headers["range"] != "bytes=0-"


@pytest.mark.parametrize("number", SIGNALS)
def test_while_resolving_leaves_no_lock(web: Program, number: int) -> None:
    web.index.script("/simple/demo/", Fault(gate=threading.Event()))
    process = web.start("lock", *WEB[1:])
    when(lambda: bool(web.index.asked("/simple/demo/")))

    os.killpg(process.pid, number)
    ran = finish(process)

    assert (ran.status, ran.stdout) == (130, "")
    assert files_below(web.folder) == {"requirements.in": b"demo\n"}
