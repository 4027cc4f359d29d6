"""Is a resolution true for its target? Asked of every one, whoever resolved.

Each pin's wheel must load there (its tags), each must admit the target's Python, each
dependency that the target's markers call for must be met by a pin, and each pin must
be reachable from what was asked for. Walking the dependencies also tells who requires
whom, which resolvers keep to themselves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

from layerforge.ecosystems.python.tags import environment, wheel_tags
from layerforge.errors import LockError
from layerforge.lock import Pin
from layerforge.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Of a wheel's METADATA, what a resolution depends on."""

    requires_python: str = ""
    requires: tuple[Requirement, ...] = ()


def parse_metadata(text: str, filename: str) -> Metadata:
    """Read a METADATA document (core metadata 1.2 and later).

    Raises `LockError` for requirements that no standard reads.
    """
    headers = HeaderParser().parsestr(text)
    try:
        return Metadata(
            requires_python=headers.get("Requires-Python", ""),
            requires=tuple(
                Requirement(line) for line in headers.get_all("Requires-Dist", [])
            ),
        )
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise LockError(
            f"{filename}: its metadata can't be read: {reason}",
            remedy="Take another version of the package.",
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What a resolution's dependencies are, by name, and what is wrong with it."""

    dependencies: Mapping[str, tuple[str, ...]]
    problems: tuple[str, ...]


def audit(
    pins: Sequence[Pin],
    metadata: Mapping[str, Metadata],
    roots: Iterable[Requirement],
    target: Target,
    provided: Iterable[str] = (),
) -> Audit:
    """Hold ``pins`` to their own metadata; ``provided`` is there without a pin."""
    walk = _Walk(pins, metadata, target, frozenset(provided))
    for root in roots:
        walk.require(root, "the layer", "")
    walk.follow()
    walk.finish()
    return Audit(
        dependencies={
            name: tuple(sorted(names)) for name, names in walk.dependencies.items()
        },
        problems=tuple(walk.problems),
    )


def reached(
    pins: Sequence[Pin],
    metadata: Mapping[str, Metadata],
    roots: Iterable[Requirement],
    target: Target,
    provided: Iterable[str],
) -> tuple[Pin, ...]:
    """Give the pins that the roots lead to, but by way of what is ``provided``."""
    walk = _Walk(pins, metadata, target, frozenset(provided))
    for root in roots:
        walk.require(root, "the layer", "")
    walk.follow()
    return tuple(pin for pin in pins if walk.reached(pin.name))


class _Walk:
    def __init__(
        self,
        pins: Sequence[Pin],
        metadata: Mapping[str, Metadata],
        target: Target,
        provided: frozenset[str],
    ) -> None:
        self.dependencies: dict[str, set[str]] = {pin.name: set() for pin in pins}
        self.problems: list[str] = []
        self._pins = {pin.name: pin for pin in pins}
        self._metadata = metadata
        self._target = target
        self._environment = cast("dict[str, str]", environment(target))
        self._provided = provided
        self._seen: set[tuple[str, str]] = set()
        self._pending: deque[tuple[str, str]] = deque()

    def require(self, asked: Requirement, by: str, extra: str) -> None:
        """Note one requirement of ``by``, with one of its extras or '' for none."""
        name = canonicalize_name(asked.name)
        if not self._holds(asked, extra) or name in self._provided:
            return
        pin = self._pins.get(name)
        if pin is None:
            self._problem(f"{by} needs {asked}, which is not among the pins")
            return
        if not asked.url and not asked.specifier.contains(pin.version, True):
            self._problem(f"{by} needs {asked}, but {pin} is pinned")
        if by in self._pins and by != name:
            self.dependencies[by].add(name)
        wanted = ("", *sorted(map(canonicalize_name, asked.extras)))
        self._pending += [(name, extra) for extra in wanted]

    def follow(self) -> None:
        """Note the requirements of what was required, until there are no more."""
        while self._pending:
            name, extra = self._pending.popleft()
            if (name, extra) in self._seen:
                continue
            self._seen.add((name, extra))
            for requirement in self._metadata[name].requires:
                self.require(requirement, name, extra)

    def reached(self, name: str) -> bool:
        """Say whether something that was followed requires a pin."""
        return (name, "") in self._seen

    def finish(self) -> None:
        """Look at each pin by itself, and for those that nothing led to."""
        for name, pin in self._pins.items():
            if not self.reached(name):
                self._problem(f"{pin} is pinned, but nothing requires it")
            if not pin.source and not loads(pin.filename, self._target):
                self._problem(f"{pin.filename} does not load on {self._target}")
            self._check_python(pin)

    def _holds(self, asked: Requirement, extra: str) -> bool:
        return asked.marker is None or asked.marker.evaluate(
            self._environment | {"extra": extra}
        )

    def _check_python(self, pin: Pin) -> None:
        stated = self._metadata[pin.name].requires_python
        try:
            admitted = SpecifierSet(stated)
        except InvalidSpecifier:
            return  # pip takes it too: there are old packages with a malformed one
        version = self._target.runtime.full_version
        if not admitted.contains(version, True):
            self._problem(f"{pin} is for Python {stated}, not {version}")

    def _problem(self, line: str) -> None:
        if line not in self.problems:
            self.problems.append(line)


def loads(filename: str, target: Target) -> bool:
    """Say whether a wheel of this name can load on the target at all."""
    return not parse_wheel_filename(filename)[3].isdisjoint(wheel_tags(target))
