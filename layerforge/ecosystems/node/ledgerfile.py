"""The size ledger: what each package of a package-lock.json weighs in a layer.

npm's lock has no room for it, so layerforge-ledger.LAYER-TARGET.toml lies beside, to be
committed as well. It is for people, reviews and checks; a build works without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import tomli

from layerforge.ecosystems.node.packagelock import MODULES
from layerforge.errors import DamagedLockError
from layerforge.files import replace_file
from layerforge.lock import Lock, Weight, read_weight

if TYPE_CHECKING:
    from layerforge.weighed import Weighed

FORMAT: Final = 1


def with_ledger(lock: Lock, path: Path) -> Lock:
    """Give a lock with the weights that a ledger has for the very same packages.

    A ledger that is absent or can't be read says nothing: it is then written anew.
    """
    try:
        document = tomli.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT or document["target"] != lock.target:
            return lock
        rows = {(row["id"], row["version"]): row for row in document["packages"]}
        pins = tuple(
            replace(pin, weight=_weight(rows.get((pin.id, pin.version))))
            for pin in lock.pins
        )
        return replace(lock, pins=pins, stripping=str(document["stripping"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return lock


def parse_ledger(data: bytes, path: Path) -> Weighed | None:
    """Read a whole ledger's bytes; raises `LockError` where they can't be read."""
    from layerforge.inventory import Package  # noqa: PLC0415 - start-up time
    from layerforge.weighed import Weighed  # noqa: PLC0415 - as above

    try:
        document = tomli.loads(data.decode())
        if document["format"] != FORMAT:
            return None
        packages = tuple(
            Package(
                name=name.rpartition(MODULES)[2],
                version=row["version"],
                size=row["kept"],
                location=name if MODULES in name else "",
            )
            for row in document["packages"]
            for name in [row["id"]]
        )
        return Weighed(
            layer=document["layer"], target=document["target"], packages=packages
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedLockError(f"{path} can't be read: {error}") from error


def write_ledger(lock: Lock, path: Path) -> None:
    """Write what packages weigh, if that is known of all; equal weights, equal text."""
    import tomli_w  # noqa: PLC0415 - a build that changes nothing writes none

    weights = {pin.id: pin.weight for pin in lock.pins if pin.weight}
    if len(weights) < len(lock.pins):
        return
    document = {
        "format": FORMAT,
        "layer": lock.layer,
        "target": lock.target,
        "stripping": lock.stripping,
        "unzipped": sum(weight.unzipped for weight in weights.values()),
        "kept": sum(weight.kept for weight in weights.values()),
        "packages": [
            {
                "id": pin.id,
                "version": pin.version,
                "unzipped": weights[pin.id].unzipped,
                "kept": weights[pin.id].kept,
            }
            for pin in lock.pins
        ],
    }
    text = tomli_w.dumps(document)
    if not _holds(path, text):
        replace_file(path, text)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def _weight(row: Mapping[str, Any] | None) -> Weight | None:
    return None if row is None else read_weight(row)
