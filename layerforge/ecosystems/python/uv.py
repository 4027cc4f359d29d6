"""Ask uv: the one place that starts it, and knows its options and its words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from layerforge.ecosystems.python.requirements import Asked
from layerforge.ecosystems.python.tags import uv_platform
from layerforge.errors import LockError
from layerforge.events import Listener, Noted, silent
from layerforge.indexes import IndexSettings, hide_credentials
from layerforge.lock import Pin
from layerforge.target import Target

_WIDTH: Final = "10000"  # columns: uv's sentences are to come unbroken

# It asks sysconfig, which in Python 3.11 gives threads a table that is half filled.
_FINDING: Final = threading.Lock()


class Unresolved(LockError):  # noqa: N818 - an answer of uv's, which is explained
    """No versions satisfy the requirements.

    ``wheelless`` names have no wheels; ``closed`` are indexes that want to know who
    asks, with their answers: ``https://example.org/simple (401 Unauthorized)``.
    """

    def __init__(
        self, reason: str, wheelless: tuple[str, ...], closed: tuple[str, ...]
    ) -> None:
        super().__init__(reason)
        self.wheelless = wheelless
        self.closed = closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Uv:
    """How uv is to be run: where it looks for packages, and where it keeps them.

    ``listen`` hears of extras that are asked for and don't exist.
    """

    indexes: IndexSettings
    cache: Path
    folder: Path
    listen: Listener = silent

    def compile(
        self,
        asked: Asked,
        target: Target,
        *,
        excluded: Sequence[str] = (),
        unusable: Sequence[str] = (),
        preferred: Sequence[Pin] = (),
    ) -> dict[str, Any]:
        """Resolve for a target, and give the pylock document that uv writes.

        ``excluded`` packages are left out with all that only they need, ``unusable``
        are constraints that rule versions out, ``preferred`` pins stay where they
        can. Raises `Unresolved`, or `LockError` where uv fails otherwise.
        """
        with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
            work = Path(name)
            output = work / "pylock.toml"
            arguments = [
                "pip",
                "compile",
                _write(work / "requirements.in", asked.requirements),
                *("--constraints", _write(work / "c.txt", asked.constraints)),
                *("--constraints", _write(work / "unusable.txt", unusable)),
                *("--excludes", _write(work / "excludes.txt", excluded)),
                *("--format", "pylock.toml", "--output-file", str(output)),
                *("--python", sys.executable),
                *("--python-version", target.runtime.full_version),
                *("--python-platform", uv_platform(target)),
                *("--only-binary", ":all:"),
                *(("--prerelease", "allow") if asked.prereleases else ()),
                *self.indexes.uv_arguments(),
            ]
            if preferred:
                # What stands in the output file is what uv would rather not change.
                output.write_text(dump_preferences(preferred), encoding="utf-8")
            self._run(arguments, partial(_explain, str(target)))
            return tomllib.loads(output.read_text(encoding="utf-8"))

    def export(
        self, lock: Path, extras: Sequence[str], groups: Sequence[str]
    ) -> dict[str, Any]:
        """Give a uv.lock as a pylock document, without the project itself."""
        with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
            output = Path(name) / "pylock.toml"
            arguments = [
                *("export", "--frozen", "--no-emit-workspace", "--no-default-groups"),
                *("--format", "pylock.toml", "--output-file", str(output)),
                *("--project", str(lock.parent), "--python", sys.executable),
            ]
            for extra in extras:
                arguments += ["--extra", extra]
            for group in groups:
                arguments += ["--group", group]
            self._run(arguments, partial(_not_exported, lock))
            return tomllib.loads(output.read_text(encoding="utf-8"))

    def _run(
        self, arguments: Sequence[str], explain: Callable[[str], LockError]
    ) -> None:
        import uv  # noqa: PLC0415 - a build from a lock has no use for it

        environment = os.environ | self.indexes.uv_environment()
        environment |= {
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "COLUMNS": _WIDTH,
            "NO_COLOR": "1",
        }
        environment.setdefault("UV_CACHE_DIR", str(self.cache))
        if self.indexes.ca_bundle:
            environment.setdefault("SSL_CERT_FILE", self.indexes.ca_bundle)
        with _FINDING:
            program = uv.find_uv_bin()
        answer = subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
        )
        if answer.returncode:
            raise explain(hide_credentials(answer.stderr))
        for package, version, extra in _NO_EXTRA.findall(answer.stderr):
            message = f"{package} {version} has no extra {extra}, which is asked for"
            self.listen(Noted(message=message, warning=True))


def dump_preferences(pins: Sequence[Pin]) -> str:
    """Write pins as the little of a pylock file that uv takes preferences from."""
    lines = ['lock-version = "1.0"', 'created-by = "layerforge"']
    for pin in pins:
        lines += ["[[packages]]", f'name = "{pin.name}"', f'version = "{pin.version}"']
    return "\n".join(lines) + "\n"


def _write(path: Path, lines: Sequence[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


_CLOSED: Final = re.compile(r"An index URL \(([^)]+)\) [^(]*\((40[13] [^)]+)\)")
_NO_EXTRA: Final = re.compile(
    r"The package `([^`=]+)==([^`]+)` does not have an extra named `([^`]+)`"
)
_CAUSE: Final = re.compile(r"cause: (.*?)(?:\n\s*\n|\Z)", re.DOTALL)
_WHEELLESS: Final = re.compile(
    r"(?<=Wheels are required for `)[^`]+"
    r"|[^\s=]+(?===\S+ has no wheels with a matching)"
)


_SHORTER: Final = (
    (r"^Because ", ""),
    (r"\. And because ", "; "),
    (r", we can conclude that your requirements are unsatisfiable\.$", "."),
    (r",? we can conclude that", ", so"),
    (r"all versions of (\S+) depend on", r"\1 depends on"),
    (r"all versions of ", ""),
    (r"was not found in the package registry", "is not in the index"),
    (r"\byou require ", "the requirements ask for "),
    (r"\byour requirements\b", "the requirements"),
)


def _not_exported(lock: Path, stderr: str) -> LockError:
    return LockError(
        f"{lock}: uv could not export it:\n  {_told(stderr)}",
        remedy="See that this works in its folder: uv export --frozen",
    )


def _told(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return "\n  ".join([line.removeprefix("error: ") for line in lines][-6:])


def _explain(subject: str, stderr: str) -> LockError:
    """Put uv's explanation, without its ceremony, into an error."""
    cause = _CAUSE.search(stderr)
    if "No solution found" in stderr and cause:
        reason = re.sub(r"\s+", " ", cause[1]).strip()
        for long, short in _SHORTER:
            reason = re.sub(long, short, reason)
        return Unresolved(
            f"{subject}: {reason}",
            wheelless=tuple(_WHEELLESS.findall(stderr)),
            closed=tuple(f"{url} ({why})" for url, why in _CLOSED.findall(stderr)),
        )
    return LockError(
        f"{subject}: uv could not resolve:\n  {_told(stderr)}",
        remedy="See that the index can be reached: --index-url, proxy, CA bundle.",
    )
