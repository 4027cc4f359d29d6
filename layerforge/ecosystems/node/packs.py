"""Every package's files: fetched, packed or built, and put where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from layerforge.ecosystems.node.bins import link_bins
from layerforge.ecosystems.node.install_scripts import judge_scripts
from layerforge.ecosystems.node.installation import (
    Installation,
    identify,
    read_installation,
    to_lock,
)
from layerforge.ecosystems.node.integrity import is_weak
from layerforge.ecosystems.node.lockfiles import lock_path
from layerforge.ecosystems.node.npmrc import NpmSettings, read_npmrc
from layerforge.ecosystems.node.packagelock import Package, Source
from layerforge.ecosystems.node.placing import place
from layerforge.events import Noted
from layerforge.lock import Lock, Pin
from layerforge.pack import Pack, load_pack
from layerforge.spec import LayerSpec
from layerforge.target import Target
from layerforge.tools import Tools


def obtain_packs(
    lock: Lock, spec: LayerSpec, target: Target, base: str, tools: Tools
) -> tuple[Pack, ...]:
    """Have every package in the store, and give their packs in the lock's order.

    ``base`` is the folder below /opt that holds node_modules, with a slash. What is not
    in the lock, as a base has it, is needed all the same: scripts may use it.
    """
    path = lock_path(spec)
    installation = read_installation(path, spec, target)
    whole = to_lock(installation, path, spec, target)
    settings = read_npmrc(installation.folder)
    places = {identify(one): where for where, one in installation.packages.items()}
    _warn_of_weak(lock.pins, tools)
    pins = {places[pin.id]: pin for pin in whole.pins}
    workshop = _Workshop(
        installation=installation,
        settings=settings,
        spec=spec,
        target=target,
        tools=tools,
    )
    packs = workshop.packs(pins)
    placed = {
        where: place(
            packs[where], name=pin.id, version=pin.version, folder=f"{base}{where}"
        )
        for where, pin in pins.items()
    }
    linked = link_bins(placed, installation.packages, base, tools.store)
    return tuple(linked[places[pin.id]] for pin in lock.pins)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workshop:
    """What gets the packages of one layer, wherever they are from."""

    installation: Installation
    settings: NpmSettings
    spec: LayerSpec
    target: Target
    tools: Tools

    def packs(self, pins: Mapping[str, Pin]) -> dict[str, Pack]:
        """Give every package's pack by place, as its install scripts would leave it."""
        packs = {}
        for where in pins:
            package = self.installation.packages[where]
            if package.source is Source.FOLDER:
                packs[where] = self._folder(package)
            elif package.source is Source.GIT:
                packs[where] = self._commit(package)
        tarballs = {where: pins[where] for where in pins if where not in packs}
        by_digest = self._fetched(list(tarballs.values()))
        packs |= {where: by_digest[pin.digest] for where, pin in tarballs.items()}
        return packs | self._built(packs)

    def _fetched(self, pins: Sequence[Pin]) -> dict[str, Pack]:
        store = self.tools.store
        packs: dict[str, Pack] = {}
        for pin in pins:
            pack = load_pack(store, pin.digest)
            if pack:
                packs[pin.digest] = pack
        missing = [pin for pin in pins if pin.digest not in packs]
        if missing:
            from layerforge.ecosystems.node.tarballs import (  # noqa: PLC0415 - for once
                fetch_tarballs,
            )

            packs |= fetch_tarballs(missing, self.settings, self.tools)
        return packs

    def _folder(self, package: Package) -> Pack:
        from layerforge.ecosystems.node.packlist import (  # noqa: PLC0415 - seldom needed
            pack_folder,
        )

        project = self.installation.folder
        inside = project / package.resolved
        return pack_folder(inside, self.tools.store, project=project)

    def _commit(self, package: Package) -> Pack:
        from layerforge.ecosystems.node.commits import (  # noqa: PLC0415 - seldom needed
            pack_commit,
        )

        packages = self.spec.system_packages
        return pack_commit(package, self.target, packages, self.settings, self.tools)

    def _built(self, packs: Mapping[str, Pack]) -> dict[str, Pack]:
        """Run the install scripts that matter; say of the others why they don't."""
        packages = self.installation.packages
        entries = {where: pack.entries for where, pack in packs.items()}
        verdicts = judge_scripts(
            list(packages.values()), entries, self.spec.install_scripts, self.target
        )
        for verdict in verdicts:
            if not verdict.run:
                self.tools.listen(Noted(message=str(verdict)))
        running = [verdict.package.path for verdict in verdicts if verdict.run]
        if not running:
            return {}
        from layerforge.ecosystems.node.rebuild import (  # noqa: PLC0415 - seldom needed
            Rebuilder,
        )

        rebuilder = Rebuilder(
            target=self.target,
            packages=self.spec.system_packages,
            npm=self.settings,
            tools=self.tools,
        )
        return rebuilder.packs(running, packages, packs)


def _warn_of_weak(pins: Iterable[Pin], tools: Tools) -> None:
    weak = [pin.name for pin in pins if is_weak(pin.digest)]
    if weak:
        message = (
            f"the lock knows {', '.join(weak)} by SHA-1 alone, for which files can be "
            "forged: npm install puts stronger ones in"
        )
        tools.listen(Noted(message=message, warning=True))
