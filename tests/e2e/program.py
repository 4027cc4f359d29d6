"""The real program as its users run it: a process, in a folder, with an index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import layerforge
from tests.servers import Index

_PATIENCE: Final = 60  # seconds, for what takes one at the most
_INDEXED: Final = {"build", "lock"}
TARGET: Final = ("--runtime", "python3.12", "--arch", "x86_64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON's values
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Runs layerforge in ``folder``; nothing of this machine's settings reaches it."""

    folder: Path
    home: Path
    cache: Path
    index: Index
    index_url: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None

    def __call__(self, *words: str) -> Outcome:
        """Run a command to its end; that it did not break down is always expected."""
        return finish(self.start(*words))

    def start(
        self, *words: str, stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "layerforge", *words, *self._index_options(words)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
            preexec_fn=self.before,  # noqa: PLW1509 - no test starts threads of locks
        )

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def elsewhere(self, **changes: Any) -> Program:  # noqa: ANN401 - of any field
        """Give the same program under other circumstances."""
        return replace(self, **changes)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": str(Path(layerforge.__file__).parents[1]),
            "PIP_CONFIG_FILE": os.devnull,
            "LAYERFORGE_CACHE_DIR": str(self.cache),
            "COLUMNS": "80",
            # No engine, whatever this machine has: what needs one says so.
            "DOCKER_HOST": "unix:///nonexistent/docker.sock",
            **self.variables,
        }

    def _index_options(self, words: tuple[str, ...]) -> list[str]:
        own = {"--index-url", "--no-index", "--help"}
        if words[:1] and words[0] in _INDEXED and not own & {*words}:
            return ["--index-url", self.index_url or self.index.simple_url]
        return []


def finish(process: subprocess.Popen[str]) -> Outcome:
    with process:
        stdout, stderr = process.communicate(timeout=_PATIENCE)
    assert "Traceback" not in stderr, stderr
    assert "This is a bug in layerforge" not in stderr, stderr
    return Outcome(status=process.returncode, stdout=stdout, stderr=stderr)


def files_below(folder: Path) -> dict[str, bytes]:
    """Take every file's contents by its path, to be compared with later ones."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
