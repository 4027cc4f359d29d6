"""What doing needs besides values, handed from the command line down."""

from __future__ import annotations

from dataclasses import dataclass, field

from layerforge.containers.service import Containers
from layerforge.events import Listener, silent
from layerforge.indexes import IndexSettings
from layerforge.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The store, the settings of indexes, container engines, and whom to tell."""

    store: Store
    indexes: IndexSettings = field(default_factory=IndexSettings)
    containers: Containers = field(default_factory=Containers)
    listen: Listener = silent
