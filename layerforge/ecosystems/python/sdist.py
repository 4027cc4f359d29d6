"""Sources made into wheels: in the build container, once, and held to the target.

First what building needs is gathered, with a network and the machine's settings; then
the wheel is built with neither. What comes out is an artifact like any other.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from layerforge.client import Client
from layerforge.containers.hints import hint
from layerforge.containers.image import Image
from layerforge.containers.secrets import index_secrets, local_links
from layerforge.containers.settings import SystemPackages
from layerforge.containers.task import EngineError, Task, TaskError
from layerforge.ecosystems.python.agreement import loads
from layerforge.ecosystems.python.toolchain import TOOLS_FOLDER, have_build_image
from layerforge.ecosystems.python.wheel import index_wheel
from layerforge.errors import BuildError
from layerforge.fetch import Download, fetch
from layerforge.indexes import IndexSettings
from layerforge.lock import Pin
from layerforge.pack import Pack, load_pack, save_pack
from layerforge.target import Target
from layerforge.tools import Tools
from layerforge.tree import Tree
from layerforge.verify import verify

_PROGRAM: Final = Path(__file__).with_name("programs") / "build_wheel.py"
_UNLOADABLE: Final = ("machine", "format", "libc", "symbol-version")

_TOO_NEW: Final = "too-recent versioned symbols"  # as auditwheel says it
_OLDER_IMAGE: Final = (
    "Compile it in an image whose C library is not newer than the runtime's: --image, "
    "for {}."
)

# Nothing of a build's time or order is to get into a wheel.
_ENVIRONMENT: Final = {"SOURCE_DATE_EPOCH": "315532800", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """What makes wheels for a target, and where it gets all that it needs."""

    target: Target
    packages: SystemPackages
    indexes: IndexSettings
    client: Client
    tools: Tools

    def packs(self, pins: Sequence[Pin]) -> dict[str, Pack]:
        """Have a wheel of each source in the store, and give their packs by name.

        Raises `EngineError` where no container can be had, and `BuildError` where a
        source can't be compiled, or its wheel would not load on the target.
        """
        if not pins:
            return {}
        image = self._image(pins)
        packs = {}
        for pin in pins:
            key = _key(pin, image, self.tools)
            pack = _present(key, pin, self.tools)
            if pack is None:
                pack = self._compiled(pin, image)
                self.tools.store.remember_compiled(key, pack.digest)
            packs[pin.name] = pack
        return packs

    def _image(self, pins: Sequence[Pin]) -> Image:
        try:
            return have_build_image(self.target, self.packages, self.tools)
        except EngineError as error:
            raise EngineError(
                f"{', '.join(map(str, pins))} must be compiled for {self.target}, and "
                f"{error.message}",
                remedy=error.remedy,
            ) from error

    def _compiled(self, pin: Pin, image: Image) -> Pack:
        with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
            gathered, built = Path(name, "gathered"), Path(name, "built")
            gathered.mkdir()
            built.mkdir()
            self._run(self._gathering(pin, image), gathered)
            self._run(self._building(pin, image, gathered), built)
            wheels = list(built.glob("*.whl"))
            if len(wheels) != 1:
                raise BuildError(f"{pin.archive}: building gave {len(wheels)} wheels")
            return _admit(wheels[0], pin, self.target, self.tools)

    def _gathering(self, pin: Pin, image: Image) -> Task:
        links, _ = local_links(self.indexes)
        files: dict[str, bytes | Path] = {"/work/build_wheel.py": _PROGRAM, **links}
        source = pin.url
        if pin.filename:
            source = f"/work/{pin.filename}"
            files[source] = self._fetched(pin)
        return Task(
            name=f"what {pin.name} is built with",
            doing="fetching",
            done="fetched",
            image=image.id,
            arch=image.arch,
            command=_program("gather", source),
            files=files,
            secrets=index_secrets(self.indexes),
            environment=_ENVIRONMENT,
            network=True,
            output="/work/out",
        )

    def _fetched(self, pin: Pin) -> Path:
        store = self.tools.store
        download = Download(
            name=pin.filename, url=pin.url, digest=pin.digest, size=pin.size or None
        )
        fetch([download], store, self.client, listen=self.tools.listen)
        return store.artifact(pin.digest)

    def _building(self, pin: Pin, image: Image, gathered: Path) -> Task:
        network = self.tools.containers.settings.compile_network
        major, minor = min(self.target.runtime.glibc, image.glibc)
        return Task(
            name=str(pin),
            doing="compiling",
            done="compiled",
            image=image.id,
            arch=image.arch,
            command=_program(
                "build", f"manylinux_{major}_{minor}_{self.target.arch.machine}"
            ),
            files={"/work/build_wheel.py": _PROGRAM, "/work/in": gathered},
            environment=_ENVIRONMENT,
            secrets=self._ways_out() if network else {},
            network=network,
            output="/work/out",
        )

    def _ways_out(self) -> dict[str, bytes]:
        """Give the proxies and certificates of this machine, and no credentials."""
        secrets = index_secrets(IndexSettings(ca_bundle=self.indexes.ca_bundle))
        return {name: secrets[name] for name in secrets if name != "pip.conf"}

    def _run(self, task: Task, folder: Path) -> None:
        try:
            self.tools.containers.run(task, folder)
        except TaskError as error:
            found = hint(error.lines, network=task.network)
            if found:
                error.remedy = found.remedy
            elif any(_TOO_NEW in line for line in error.lines):
                error.remedy = _OLDER_IMAGE.format(self.target.runtime.os)
            raise


def _key(pin: Pin, image: Image, tools: Tools) -> str:
    network = tools.containers.settings.compile_network
    # The image's name has the digest of all that it is made from.
    decisive = [pin.digest, image.name, network, _PROGRAM.read_text(encoding="utf-8")]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def _present(key: str, pin: Pin, tools: Tools) -> Pack | None:
    digest = tools.store.compiled(key)
    pack = load_pack(tools.store, digest) if digest else None
    return pack if pack and pack.name == pin.name else None


def _program(*arguments: str) -> tuple[str, ...]:
    return (f"{TOOLS_FOLDER}/bin/python", "/work/build_wheel.py", *arguments)


def _admit(wheel: Path, pin: Pin, target: Target, tools: Tools) -> Pack:
    """Take a wheel into the store, if it is the package and loads on the target."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    path = tools.store.adopt(wheel, digest)
    pack = index_wheel(path, wheel.name, digest)
    if pack.name != pin.name or (pin.version and pack.version != pin.version):
        raise BuildError(
            f"{pin.archive} was to give {pin}, and gave {pack.name} {pack.version}",
            remedy="Its sdist is not what its name says: take another version.",
        )
    findings = verify(Tree(pack.entries), target)
    unloadable = [finding for finding in findings if finding.check in _UNLOADABLE]
    if unloadable or not loads(wheel.name, target):
        told = [f"{finding.path} {finding.message}" for finding in unloadable]
        raise BuildError(
            f"{pin} was compiled, but not for {target}:\n  "
            + "\n  ".join(told or [f"its wheel is {wheel.name}"]),
            remedy=_OLDER_IMAGE.format(target.runtime.os),
        )
    save_pack(tools.store, pack)
    return pack
