"""What a lock of another tool than npm says, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from layerforge.errors import LockError

# Name and version, as the registry has them, whatever an alias is.
Identity = tuple[str, str]

GROUPS: Final = ("dependencies", "optionalDependencies", "devDependencies")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignPackage:
    """A package from a registry, with what it leads to, by the names it uses.

    ``integrity`` is as in npm's locks, '' where the lock has none of the tarball.
    """

    identity: Identity
    dependencies: Mapping[str, Identity]
    integrity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignLock:
    """All packages of a lock; ``where`` is what messages call it.

    ``direct`` is what each package.json leads to, by its path and the name it uses.
    ``peers`` where the tool installs what peers ask for by itself.
    """

    where: str
    packages: tuple[ForeignPackage, ...]
    direct: Mapping[str, Mapping[str, Identity]]
    peers: bool


def inconvertible(where: str, why: str) -> LockError:
    """Say why a lock can't be converted, and what helps."""
    return LockError(
        f"{where} can't be converted to a package-lock.json: {why}",
        remedy="Make one yourself, and see what it has: "
        "npm install --package-lock-only --ignore-scripts",
    )
