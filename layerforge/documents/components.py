"""What a layer is made of: packages, what these bring inside of them, its own files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from posixpath import dirname
from typing import Final

from layerforge.documents.metadata import Statement, place_of, read_statement
from layerforge.include import ORIGIN
from layerforge.lock import Lock, Pin
from layerforge.tree import FileEntry, Tree

_OWN_FILES: Final = "include:files"  # no package's name has a colon


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One thing that a layer has, with what it says of itself.

    Its ``id`` is its pin's, or tells it from all pins. A package without a ``pin`` came
    inside of the component ``holder`` (npm's bundled packages, vendored distributions),
    and its files count as the holder's. All of the user's own files are one component.
    ``folder`` is where a package's metadata is in /opt, '' where the layer has none.
    ``size`` is in bytes.
    """

    id: str
    name: str
    version: str = ""
    pin: Pin | None = None
    holder: str = ""
    folder: str = ""
    statement: Statement = field(default_factory=Statement)
    files: int = 0
    size: int = 0
    dependencies: tuple[str, ...] = ()

    @property
    def is_package(self) -> bool:
        """Say whether it isn't the user's own files."""
        return self.id != _OWN_FILES


def components_of(locks: Sequence[Lock], tree: Tree) -> tuple[Component, ...]:
    """Give all that is in a layer, by `Component.id`, and pins that nothing is left of.

    Where ``locks`` are several, for the runtimes of one zip, the first to have a pin
    tells of it. A package that no lock knows is named by its own metadata.
    """
    pins = {pin.id: pin for lock in reversed(locks) for pin in lock.pins}
    described = {
        entry.path: entry for entry in tree if place_of(entry.path) is not None
    }
    own = {
        entry.origin: entry
        for entry in described.values()
        if entry.origin in pins and _describes(entry, pins[entry.origin])
    }
    found = [
        *_pinned(locks, pins, own, tree),
        *_own_files(pins, tree),
        *_held(
            [entry for entry in described.values() if own.get(entry.origin) != entry],
            pins,
        ),
    ]
    return tuple(sorted(found, key=lambda component: component.id))


def graph_of(
    locks: Sequence[Lock], components: Sequence[Component]
) -> dict[str, tuple[str, ...]]:
    """Say what each component asks for, by id; '' is the layer itself.

    A component asks for what came inside of it. The layer asks for its roots, and for
    whatever these don't lead to.
    """
    graph = {one.id: {*one.dependencies} - {one.id} for one in components}
    for one in components:
        if one.holder:
            graph[one.holder].add(one.id)
    roots = {root for lock in locks for root in lock.roots} & {*graph}
    asked = {name for names in graph.values() for name in names}
    direct, reached = set(roots), _reached(roots, graph)
    for identifier in sorted(graph, key=lambda name: (name in asked, name)):
        if identifier not in reached:
            direct.add(identifier)
            reached |= _reached({identifier}, graph)
    graph[""] = direct
    return {
        identifier: tuple(sorted(graph[identifier])) for identifier in sorted(graph)
    }


def _reached(start: Iterable[str], graph: Mapping[str, Iterable[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [*start]
    while waiting:
        identifier = waiting.pop()
        if identifier not in reached:
            reached.add(identifier)
            waiting += graph[identifier]
    return reached


def _describes(entry: FileEntry, pin: Pin) -> bool:
    """Say whether a file of a pin is the package's own metadata."""
    return place_of(entry.path) in {"", pin.location or f"node_modules/{pin.name}"}


def _pinned(
    locks: Sequence[Lock],
    pins: Mapping[str, Pin],
    own: Mapping[str, FileEntry],
    tree: Tree,
) -> Iterator[Component]:
    sizes, files = Counter[str](), Counter[str]()
    for entry in tree:
        sizes[entry.origin] += entry.size
        files[entry.origin] += 1
    asked: dict[str, set[str]] = {identifier: set() for identifier in pins}
    for pin in chain.from_iterable(lock.pins for lock in locks):
        asked[pin.id].update(name for name in pin.dependencies if name in pins)
    for identifier, pin in pins.items():
        statement = _statement(own.get(identifier))
        yield Component(
            id=identifier,
            name=pin.name,
            version=pin.version or statement.version,
            pin=pin,
            folder=dirname(own[identifier].path) if identifier in own else "",
            statement=statement,
            files=files[identifier],
            size=sizes[identifier],
            dependencies=tuple(sorted(asked[identifier])),
        )


def _own_files(pins: Mapping[str, Pin], tree: Tree) -> Iterator[Component]:
    if ORIGIN in pins:  # a package of that name
        return
    entries = [entry for entry in tree if entry.origin == ORIGIN]
    if entries:
        yield Component(
            id=_OWN_FILES,
            name=ORIGIN,
            files=len(entries),
            size=sum(entry.size for entry in entries),
        )


def _held(
    described: Sequence[FileEntry], pins: Mapping[str, Pin]
) -> Iterator[Component]:
    """Give the packages that came with others, where they say which they are."""
    for entry in described:
        statement = _statement(entry)
        if statement.name and statement.version:
            yield Component(
                id=dirname(entry.path),
                name=statement.name,
                version=statement.version,
                holder=_holder(entry, pins),
                folder=dirname(entry.path),
                statement=statement,
            )


def _holder(entry: FileEntry, pins: Mapping[str, Pin]) -> str:
    if entry.origin in pins:
        return entry.origin
    return _OWN_FILES if entry.origin == ORIGIN else ""


def _statement(entry: FileEntry | None) -> Statement:
    if entry is None or entry.content is None:
        return Statement()
    return read_statement(entry.path, entry.content.inflated())
