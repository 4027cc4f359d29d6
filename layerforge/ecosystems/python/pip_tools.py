"""Resolve in the target's own runtime: pip-tools, in its build container.

pip-compile finds the versions, by the interpreter and markers of the container and the
tags of the target; `pip lock` then names each one's file, with its hash, without going
through what else there is of it. What comes out is a PEP 751 document, as from uv.
"""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import Any, Final

from layerforge.address import local_path
from layerforge.containers.hints import hint
from layerforge.containers.image import Image
from layerforge.containers.secrets import index_secrets, local_links
from layerforge.containers.task import LAST_LINES, Task, TaskError
from layerforge.ecosystems.python.requirements import Asked
from layerforge.ecosystems.python.toolchain import TOOLS_FOLDER
from layerforge.errors import LockError
from layerforge.indexes import IndexSettings
from layerforge.lock import Pin
from layerforge.target import Target
from layerforge.tools import Tools

_PROGRAM: Final = Path(__file__).with_name("programs") / "resolve.py"
_WHEELLESS: Final = re.compile(
    r"(?:No matching distribution found for|that (?:satisfies the requirement|matches))"
    r" ([A-Za-z0-9][A-Za-z0-9._-]*)"
)
_ROUNDS: Final = 8
_OUTPUT: Final = "/work/out"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipTools:
    """pip-tools in a build image, looking for packages where ``indexes`` say."""

    image: Image
    target: Target
    indexes: IndexSettings
    tools: Tools

    def compile(
        self,
        asked: Asked,
        *,
        preferred: Sequence[Pin] = (),
        sources: frozenset[str] = frozenset(),
    ) -> dict[str, Any]:
        """Resolve requirements, and give a pylock document.

        ``preferred`` pins stay where they can. Of ``sources``, packages by name, the
        sdist is taken, and of all others a wheel, but where there is none. Raises
        `LockError`.
        """
        for _ in range(_ROUNDS):
            task = self._task(asked, preferred, sources)
            try:
                with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
                    (written,) = self.tools.containers.run(task, Path(name)).files
                    document = tomllib.loads(written.read_text(encoding="utf-8"))
                    return self._outside(document)
            except TaskError as error:
                told = _WHEELLESS.findall("\n".join(error.lines))
                missing = {re.sub(r"[-_.]+", "-", found).lower() for found in told}
                if not missing - sources:
                    raise _unresolved(self.target, error) from error
                sources |= missing
        raise LockError(
            f"{self.target}: no versions were found in {_ROUNDS} rounds; compiled "
            f"would have to be {', '.join(sorted(sources))}",
            remedy="Name versions in the requirements.",
        )

    def _outside(self, document: dict[str, Any]) -> dict[str, Any]:
        """Name files of this machine as they are called here, not in the container."""
        links, _ = local_links(self.indexes)
        for package in document["packages"]:
            sources = (package.get("sdist"), package.get("archive"))
            for archive in (*package.get("wheels", ()), *filter(None, sources)):
                inside = local_path(archive.get("url", ""))
                if "path" in archive:
                    inside = Path(normpath(Path(_OUTPUT, archive["path"])))
                if inside:
                    archive.pop("path", None)
                    archive["url"] = links.get(str(inside), inside).as_uri()
        return document

    def _task(
        self, asked: Asked, preferred: Sequence[Pin], sources: frozenset[str]
    ) -> Task:
        links, _ = local_links(self.indexes)
        paths = (local_path(url) for url in self.indexes.archives)
        kept = [f"{pin.name}=={pin.version}" for pin in preferred if pin.filename]
        files = {
            "/work/requirements.txt": _lines(kept),
            "/work/resolve.py": _PROGRAM.read_bytes(),
        }
        # Among the secrets, since the URL of an archive may have credentials.
        secrets = {
            "requirements.in": _lines(asked.requirements),
            "constraints.txt": _lines(asked.constraints),
            **index_secrets(self.indexes),
        }
        options = ["--only-binary", ":all:"]
        if sources:
            options += ["--no-binary", ",".join(sorted(sources))]
        if asked.prereleases:
            options.append("--pre")
        return Task(
            name=f"requirements for {self.target}",
            doing="resolving",
            done="resolved",
            image=self.image.id,
            arch=self.target.arch,
            command=(
                *(f"{TOOLS_FOLDER}/bin/python", "/work/resolve.py"),
                ".".join(map(str, self.target.runtime.glibc)),
                *options,
            ),
            files={**files, **links, **{str(path): path for path in paths if path}},
            secrets=secrets,
            network=True,
            output=_OUTPUT,
        )


def _lines(lines: Sequence[str]) -> bytes:
    # Hashes are held to afterwards: with one, pip would ask for all.
    return "".join(f"{line.partition(' --hash=')[0]}\n" for line in lines).encode()


def _unresolved(target: Target, error: TaskError) -> LockError:
    lines = "\n  ".join(error.lines[-LAST_LINES:])
    found = hint(error.lines, network=True)
    return LockError(
        f"{target}: pip-compile could not resolve:\n  {lines}",
        remedy=found.remedy
        if found
        else "Loosen one of these requirements, or see that the index can be reached "
        "from a container: proxy, CA bundle.",
    )
