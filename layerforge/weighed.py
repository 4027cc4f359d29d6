"""What the packages of a layer weigh, as its lock or the ledger beside it tells."""

from __future__ import annotations

from dataclasses import dataclass

from layerforge.inventory import Package
from layerforge.lock import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A layer's packages for a target, with the bytes that are kept of each."""

    layer: str
    target: str
    packages: tuple[Package, ...]

    @property
    def size(self) -> int:
        """Bytes unzipped of all of them."""
        return sum(package.size for package in self.packages)


def weighed_of(lock: Lock) -> Weighed | None:
    """Give what a lock's packages weigh, if it says that of all."""
    packages = tuple(
        Package(
            name=pin.name,
            version=pin.version,
            size=pin.weight.kept,
            location=pin.location,
        )
        for pin in lock.pins
        if pin.weight
    )
    if len(packages) < len(lock.pins):
        return None
    return Weighed(layer=lock.layer, target=lock.target, packages=packages)
