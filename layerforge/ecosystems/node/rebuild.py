"""Install scripts run in the build container, once, and held to the target.

A package is built among all that its dependencies lead to, and nothing else: what it
can see is what its result is kept by. The result is a tarball like any other.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from layerforge.containers.hints import hint
from layerforge.containers.image import Image
from layerforge.containers.secrets import index_secrets
from layerforge.containers.settings import SystemPackages
from layerforge.containers.task import (
    SECRETS_FOLDER,
    EngineError,
    ImageError,
    Task,
    TaskError,
)
from layerforge.ecosystems.node.installation import needed
from layerforge.ecosystems.node.npmrc import NpmSettings, dump_npmrc
from layerforge.ecosystems.node.packagelock import Package
from layerforge.ecosystems.node.tarballs import admit_tarball
from layerforge.ecosystems.node.toolchain import NODE, have_build_image
from layerforge.errors import BuildError
from layerforge.indexes import (
    IndexSettings,
    environments_bundle,
    hide_credentials,
)
from layerforge.pack import Pack, load_pack
from layerforge.store import Store
from layerforge.target import Target
from layerforge.tools import Tools
from layerforge.tree import Tree
from layerforge.verify import verify

_PROGRAM: Final = Path(__file__).with_name("programs") / "rebuild.cjs"
_LAYER: Final = "/work/layer"
_UNLOADABLE: Final = ("machine", "format", "libc", "symbol-version")

# Where scripts fetch from, and how; nothing that only this machine has, and no
# credentials, since whoever wrote a script would have them.
_TOLD: Final = re.compile(
    r"((https?-)?proxy|noproxy|registry|strict-ssl|disturl|[a-z0-9_-]+[-_](host|mirror|site))"
)
_SKIP: Final = 'install-scripts = {{"{}" = "skip"}}'
_OLDER: Final = (
    "Build it in an image whose C library is not newer than that of {} (--image), or, "
    "where its script fetched the file, take an older version of the package."
)
# Nothing of a build's time is to get into what it makes.
_ENVIRONMENT: Final = {"SOURCE_DATE_EPOCH": "946684800"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilder:
    """What runs install scripts for a target, and by which settings."""

    target: Target
    packages: SystemPackages
    npm: NpmSettings
    tools: Tools

    def packs(
        self,
        places: Sequence[str],
        packages: Mapping[str, Package],
        packs: Mapping[str, Pack],
    ) -> dict[str, Pack]:
        """Run the scripts of the packages at ``places``; give the new packs by place.

        All are by their place in the layer, and entries lie below their package. What
        is bundled has no pack: its files are those of the package that it came with.

        A package is built after those that it depends on. Raises `EngineError` where
        no container can be had, `TaskError` where a script fails, and `BuildError`
        where what it made would not load on the target.
        """
        if not places:
            return {}
        image = self._image([packages[place] for place in places])
        built = dict(packs)
        # What a package depends on reaches fewer than it does itself.
        reached = {place: sorted(needed([place], packages)) for place in places}
        for place in sorted(places, key=lambda place: (len(reached[place]), place)):
            visible = {each: built[each] for each in reached[place] if each in built}
            built[place] = self._rebuilt(place, packages[place], visible, image)
        return {place: built[place] for place in places}

    def _image(self, packages: Sequence[Package]) -> Image:
        try:
            return have_build_image(self.target, self.packages, self.tools)
        except (EngineError, ImageError) as error:
            skips = "{" + ", ".join(f'"{one.name}" = "skip"' for one in packages) + "}"
            raise type(error)(
                f"the install scripts of {', '.join(map(str, packages))} must be run "
                f"for {self.target}, and {error.message}",
                remedy=f"{error.remedy} Or take versions that bring binaries for the "
                "target, or, if the layer can do without, skip them: "
                f"install-scripts = {skips}.".lstrip(),
            ) from error

    def _rebuilt(
        self, place: str, package: Package, visible: Mapping[str, Pack], image: Image
    ) -> Pack:
        store = self.tools.store
        key = _key(place, visible, image)
        digest = store.compiled(key)
        if digest:
            return load_pack(store, digest) or _read(digest, package, store)
        pack = self._run(place, package, visible, image)
        store.remember_compiled(key, pack.digest)
        return pack

    def _run(
        self, place: str, package: Package, visible: Mapping[str, Pack], image: Image
    ) -> Pack:
        with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
            layer, output = Path(name, "layer"), Path(name, "out")
            output.mkdir()
            _install(visible, layer)
            task = Task(
                name=str(package),
                doing="building",
                done="built",
                image=image.id,
                arch=image.arch,
                command=(NODE, "/work/rebuild.cjs", place, *_nested(place, visible)),
                files={"/work/rebuild.cjs": _PROGRAM, _LAYER: layer},
                secrets=_ways_out(self.npm),
                environment=_ENVIRONMENT,
                network=True,
                output="/work/out",
            )
            try:
                self.tools.containers.run(task, output)
            except TaskError as error:
                error.remedy = _remedy(error, package)
                raise
            return self._admitted(output / "package.tgz", package, visible[place])

    def _admitted(self, tarball: Path, package: Package, before: Pack) -> Pack:
        """Take a package into the store, if what was made loads on the target."""
        digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
        self.tools.store.adopt(tarball, digest)
        pack = _read(digest, package, self.tools.store)
        present = {entry.identity for entry in before.entries}
        made = tuple(entry for entry in pack.entries if entry.identity not in present)
        wrong = [
            f"{finding.path} {finding.message}"
            for finding in verify(Tree(made), self.target)
            if finding.check in _UNLOADABLE
        ]
        if wrong:
            raise BuildError(
                f"{package} was built, but not for {self.target}:\n  "
                + "\n  ".join(wrong),
                remedy=_OLDER.format(self.target.runtime.os),
            )
        return pack


def _read(digest: str, package: Package, store: Store) -> Pack:
    return admit_tarball(
        store.artifact(digest),
        name=package.name,
        version=package.version,
        digest=digest,
        store=store,
    )


def _key(place: str, visible: Mapping[str, Pack], image: Image) -> str:
    seen = sorted((each, pack.digest) for each, pack in visible.items())
    # The image's name has the digest of all that it is made from.
    decisive = [place, seen, image.name, _PROGRAM.read_text(encoding="utf-8")]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def _install(packs: Mapping[str, Pack], folder: Path) -> None:
    """Write packages to where they stand, and a package.json that makes it npm's."""
    for place, pack in packs.items():
        for entry in pack.entries:
            path = folder / place / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(entry.content.inflated() if entry.content else b"")
            path.chmod(0o755 if entry.executable else 0o644)
    (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")


def _nested(place: str, packs: Mapping[str, Pack]) -> list[str]:
    return sorted(each for each in packs if each.startswith(f"{place}/"))


def _ways_out(npm: NpmSettings) -> dict[str, bytes]:
    """Give proxies, mirrors and certificates of this machine, and no credentials."""
    bundle = npm.text("cafile") or npm.extra_ca or environments_bundle()
    known = index_secrets(IndexSettings(ca_bundle=bundle))
    secrets = {name: known[name] for name in known if name != "pip.conf"}
    variables = {"npm_config_userconfig": f"{SECRETS_FOLDER}/npmrc"}
    if "ca.pem" in secrets:
        place = f"{SECRETS_FOLDER}/ca.pem"
        variables |= {"NODE_EXTRA_CA_CERTS": place, "npm_config_cafile": place}
    lines = (f"export {name}={value}\n" for name, value in variables.items())
    secrets["environment"] += "".join(lines).encode()
    # Only a proxy's address may have a password: without it nothing is reached.
    told = {
        key: value if "proxy" in key else hide_credentials(npm.text(key))
        for key, value in npm.values.items()
        if _TOLD.fullmatch(key)
    }
    return secrets | {"npmrc": dump_npmrc(NpmSettings(values=told)).encode()}


def _remedy(error: TaskError, package: Package) -> str:
    found = hint(error.lines, network=True)
    if found:
        return found.remedy
    return (
        "If the layer can do without what its install scripts make: "
        f"{_SKIP.format(package.name)}."
    )
