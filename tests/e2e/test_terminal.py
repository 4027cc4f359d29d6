"""What a person sees who sits at a terminal of 80 columns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.aws.zips import write_built
from tests.e2e.program import TARGET, Program
from tests.servers import Fault
from tests.wheels import make_wheel

WEB = ("build", "-r", "requirements.in", "--name", "web", *TARGET)
HALF = 100_000  # bytes
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Give both ends of one: what is written to the second is read from the first."""
    ends = os.openpty()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def shown_until(screen: int, pattern: str) -> str:
    shown = ""
    while not re.search(pattern, CONTROLS.sub("", shown)):
        shown += os.read(screen, 1 << 16).decode(errors="replace")
    return CONTROLS.sub("", shown)


def test_a_download_has_a_bar_with_bytes(web: Program) -> None:
    make_wheel(web.index.folder, "large", "1.0", {"large.bin": os.urandom(2 * HALF)})
    web.write("requirements.in", "large\n")
    rest = threading.Event()
    # Its directory and its metadata are read before the whole.
    half = Fault(cut=HALF, gate=rest)
    web.index.script("/files/large-1.0-py3-none-any.whl", None, None, half)

    with terminal() as (screen, stderr):
        process = web.start(*WEB, stderr=stderr)
        bar = shown_until(screen, r"/200\.\d kB")
        rest.set()
        shown_until(screen, r"zipped +200,\d+ bytes")
        stdout, _ = process.communicate()

    assert re.search(r"large-1\.0 +[━╸╺]+ +[0-9.]+/200\.\d kB", bar)
    assert (process.returncode, stdout) == (0, "dist/web-python3.12-x86_64.zip\n")


def test_long_messages_are_broken_between_words(web: Program) -> None:
    with terminal() as (screen, stderr):
        process = web.start("build", stderr=stderr)
        shown = shown_until(screen, r"LAYER\)\.\r\n")
        process.communicate()

    assert shown.replace("\r\n", "\n") == (
        "error: there is no layerforge.toml here or in a folder above\n"
        "try: Make one: layerforge init. Or name a recipe (layerforge build "
        "pandas), or a\n"
        "  file (-r FILE, --package-json FILE, with --name LAYER).\n"
    )


def test_a_layer_does_not_become_public_where_the_answer_is_no(web: Program) -> None:
    path, _ = write_built(web.folder)
    web.write("layerforge.toml", '[publish]\ngrants = ["public"]\n')
    words = ("publish", str(path), "--region", "eu-west-1")

    with terminal() as (screen, keyboard):
        process = subprocess.Popen(
            [sys.executable, "-m", "layerforge", *words],
            cwd=web.folder,
            env=web.environment,
            stdin=keyboard,
            stdout=subprocess.PIPE,
            stderr=keyboard,
            text=True,
        )
        asked = shown_until(screen, r"\[y/N\]: ")
        os.write(screen, b"n\n")
        shown = shown_until(screen, r"untouched\r\n")
        stdout, _ = process.communicate()

    assert asked.replace("\r\n", "\n") == (
        "Every AWS account will be able to use:\n"
        "web-python313-arm64 in eu-west-1\n"
        "Make them public? [y/N]: "
    )
    assert "interrupted: what was there before is untouched" in shown
    assert (process.returncode, stdout) == (130, "")
