"""Replace a text file: whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from layerforge.errors import BuildError

# The mask can only be read by setting it: two threads at once could leave none.
_ASKING: Final = threading.Lock()


def replace_file(path: Path, text: str) -> None:
    """Write ``text`` beside ``path``, then put it there; raises `BuildError`."""
    with fresh_file(path, text):
        pass


@contextmanager
def fresh_file(path: Path, text: str) -> Iterator[None]:
    """Write ``text`` beside ``path``; at the end, if nothing fails, it takes its place.

    Raises `BuildError`.
    """
    import tempfile  # noqa: PLC0415 - takes long to import, and few runs write

    with _refusing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with _refusing(path):
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
            fresh.chmod(0o666 & ~umask())  # mkstemp gives it to the user alone
        yield
        with _refusing(path):
            fresh.replace(path)
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BuildError(
            f"cannot write {path}: {error.strerror}",
            remedy="What was there before is untouched.",
        ) from error


def umask() -> int:
    """Give the process's file mode creation mask."""
    with _ASKING:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask
