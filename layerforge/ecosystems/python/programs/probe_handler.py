"""The function that proves a layer: it imports what its event names, and measures.

The runtime interface client calls `handler`. Run as a program, with the folders to
import from, it answers lines of JSON with lines of JSON instead.
Only the standard library, and no later than Python 3.9.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import site
import sys
import time
import traceback
from typing import Any

_PAGE = resource.getpagesize()
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
_LINES = 8  # of a traceback: the last say what went wrong
_LONGEST = 2000  # characters of a message


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Import ``event["module"]``, if it names one, and say how that went."""
    module = event.get("module")
    answer = load(module) if module else {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    return {"module": module, "peak": peak, **answer}


def load(module: str) -> dict[str, Any]:
    """Import a module; give milliseconds, growth in bytes, and what was raised."""
    before = resident()
    start = time.perf_counter()
    failure: dict[str, Any] = {}
    try:
        importlib.import_module(module)
    except BaseException as error:  # noqa: BLE001 - SystemExit is a failure as well
        failure = described(error)
    milliseconds = (time.perf_counter() - start) * 1000
    return {
        "milliseconds": round(milliseconds, 3),
        "memory": max(0, resident() - before),
        **failure,
    }


def described(error: BaseException) -> dict[str, Any]:
    """Say what an exception is, and where it comes from."""
    cause = first(error)
    lines = "".join(
        traceback.format_exception(type(error), error, error.__traceback__)
    ).splitlines()
    told = [line[:_LONGEST] for line in lines if "<frozen importlib" not in line]
    return {
        "error": type(error).__name__,
        "message": str(error)[:_LONGEST],
        "missing": missing(error),
        "cause": ""
        if cause is error
        else f"{type(cause).__name__}: {cause}"[:_LONGEST],
        "cause_missing": missing(cause),
        "trace": told[-_LINES:],
    }


def first(error: BaseException) -> BaseException:
    """Find the exception that others were raised after; advice often hides it."""
    seen = [error]
    while True:
        last = seen[-1]
        before = last.__cause__ or (not last.__suppress_context__ and last.__context__)
        if not before or before in seen:
            return last
        seen.append(before)


def missing(error: BaseException) -> str:
    """Name the module that wasn't found, if that is what an exception says."""
    return (isinstance(error, ModuleNotFoundError) and error.name) or ""


def resident() -> int:
    """Give the bytes that the process has in memory now, or 0 where none tells."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:  # noqa: PTH123 - pathlib would count as the module's own
            return int(stream.read().split()[1]) * _PAGE
    except OSError:
        return 0


def main() -> None:
    """Serve on standard input and output, of which modules get nothing to see."""
    questions = os.fdopen(os.dup(0))
    answers = os.fdopen(os.dup(1), "w")
    with open(os.devnull) as nothing:  # noqa: PTH123 - as above
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    for folder in reversed(sys.argv[1:]):
        sys.path.insert(0, folder)
        site.addsitedir(folder)
    for line in questions:
        answers.write(json.dumps(handler(json.loads(line), None)) + "\n")
        answers.flush()


faulthandler.enable()
if __name__ == "__main__":
    main()
