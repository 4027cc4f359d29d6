"""What the packages of a layer weigh, as its lock or the ledger beside it tells."""

from __future__ import annotations

from dataclasses import dataclass

from layerforge.inventory import Package
from layerforge.lock import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A layer's packages for a target, with the bytes that are kept of each.

    ``predicted`` are the keys of those whose archive was not read, ``stripping`` is the
    digest of the rules by which all were weighed; a ledger tells neither.
    """

    layer: str
    target: str
    packages: tuple[Package, ...]
    predicted: frozenset[str] = frozenset()
    stripping: str = ""

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
            digest=pin.digest,
        )
        for pin in lock.pins
        if pin.weight
    )
    if len(packages) < len(lock.pins):
        return None
    return Weighed(
        layer=lock.layer,
        target=lock.target,
        packages=packages,
        predicted=frozenset(
            pin.id for pin in lock.pins if pin.weight and pin.weight.predicted
        ),
        stripping=lock.stripping,
    )
