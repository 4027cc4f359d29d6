"""What a Node.js layer would weigh, with nothing written beside its package.json."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from layerforge.ecosystems.node.packs import obtain_packs
from layerforge.errors import ConfigError
from layerforge.events import Noted
from layerforge.lock import Lock
from layerforge.pack import Pack, load_pack
from layerforge.spec import LayerSpec
from layerforge.target import Target
from layerforge.tools import Tools

WHOLE: Final = Noted(
    message="npm's tarballs can't be read in parts: what isn't in the store is fetched"
)

_NAME: Final = "layer"  # a name that npm takes, whatever the layer is called
_INSTALLED: Final = "node_modules"


def learn_packs(
    lock: Lock, spec: LayerSpec, target: Target, base: str, tools: Tools
) -> Mapping[str, Pack]:
    """Give every pin's pack, by its id: tarballs are fetched whole, which is said."""
    missing = [pin for pin in lock.pins if not load_pack(tools.store, pin.digest)]
    if missing:
        tools.listen(WHOLE)
    packs = obtain_packs(lock, spec, target, base, tools)
    return {pack.name: pack for pack in packs}


@contextmanager
def set_aside(spec: LayerSpec) -> Iterator[LayerSpec]:
    """Give a layer as it would be elsewhere, where its lock may be written.

    That folder has links to all that npm may read of the real one, beside the lock that
    there may be. Raises `ConfigError` where that can't be read.
    """
    asked = spec.requirements
    home = (asked.file.parent if asked.file else asked.folder).resolve()
    name = spec.name if asked.file else _NAME
    unread = {_INSTALLED} if asked.file else {_INSTALLED, f"package-lock.{name}.json"}
    with tempfile.TemporaryDirectory(prefix="layerforge-") as place:
        folder = Path(place)
        try:
            for path in home.iterdir():
                if path.name not in unread:
                    (folder / path.name).symlink_to(path)
        except OSError as error:
            raise ConfigError(f"cannot read {home}: {error.strerror}") from error
        file = folder / asked.file.name if asked.file else None
        yield replace(
            spec,
            name=name,
            requirements=replace(asked, file=file, folder=folder),
        )
