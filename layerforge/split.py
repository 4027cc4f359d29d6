"""A layer divided into several zips, none of which has to go by way of S3.

What has to be of one build stays together: packages that share a folder (a namespace),
that load each other's libraries, or that were compiled against another's C API, which
shows as one with native code requiring another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from layerforge.archive import zipped_size
from layerforge.errors import VerifyError
from layerforge.findings import Finding, Severity
from layerforge.limits import DIRECT_UPLOAD_LIMIT, MOST_LAYERS, UNZIPPED_LIMIT, shown
from layerforge.lock import Lock
from layerforge.tree import FileEntry, Tree

# Folders that packages share without being of one kind.
_COMMON: Final = frozenset({"bin", ".bin", "etc", "share"})
_EMPTY: Final = zipped_size(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Packages that stay together, and their entries.

    ``zipped`` are the bytes that these add to a zip, ``unzipped`` those in /opt.
    """

    origins: tuple[str, ...]
    entries: tuple[FileEntry, ...]
    zipped: int
    unzipped: int


def divide(tree: Tree, lock: Lock, root: str, most: int) -> tuple[Tree, ...]:
    """Divide a tree into as few parts as can be, at most as many as a function takes.

    A part can be uploaded directly, unless one group alone can't, or there would be too
    many. ``root`` is the folder that packages lie in, ``most`` are the bytes that each
    part may have unzipped. Raises `VerifyError` where that can't be.
    """
    groups = group(tree, lock, root)
    parts = _parts(groups, most)
    for part in parts:
        _refuse_oversize(part, most)
    paths = [{entry.path for one in part for entry in one.entries} for part in parts]
    return tuple(
        Tree(tuple(entry for entry in tree if entry.path in chosen)) for chosen in paths
    )


def group(tree: Tree, lock: Lock, root: str) -> tuple[Group, ...]:
    """Put packages together that have to be of one build, the largest groups first."""
    ties = _Ties()
    for entry in tree:
        ties.tie(entry.origin, entry.origin)
    for origins in (*_sharing(tree, root), *_linked(tree), *_compiled(tree, lock)):
        ties.tie(*origins)
    entries: dict[str, list[FileEntry]] = defaultdict(list)
    for entry in tree:
        entries[ties.first_of(entry.origin)].append(entry)
    groups = [
        Group(
            origins=tuple(sorted({entry.origin for entry in each})),
            entries=tuple(each),
            zipped=zipped_size(each) - _EMPTY,
            unzipped=sum(entry.size for entry in each),
        )
        for each in entries.values()
    ]
    return tuple(sorted(groups, key=lambda one: (-one.zipped, one.origins)))


class _Ties:
    """Names that belong together, however they were tied."""

    def __init__(self) -> None:
        self._next: dict[str, str] = {}

    def first_of(self, name: str) -> str:
        """Give the one name that stands for all that a name is tied to."""
        while self._next[name] != name:
            name = self._next[name]
        return name

    def tie(self, *names: str) -> None:
        for name in names:
            self._next.setdefault(name, name)
        firsts = sorted({self.first_of(name) for name in names})
        for name in firsts:
            self._next[name] = firsts[0]


def _sharing(tree: Tree, root: str) -> Iterable[Iterable[str]]:
    """Give the packages that have files in one folder of the top level."""
    folders: dict[str, set[str]] = defaultdict(set)
    for entry in tree:
        path = entry.path.removeprefix(root)
        parts = path.split("/")
        # A scope of npm's is no package, but what it has is.
        depth = 2 if parts[0].startswith("@") else 1
        if path != entry.path and len(parts) > depth and parts[0] not in _COMMON:
            folders["/".join(parts[:depth])].add(entry.origin)
    return folders.values()


def _linked(tree: Tree) -> Iterable[Iterable[str]]:
    """Give the packages that load libraries of each other."""
    owners: dict[str, set[str]] = defaultdict(set)
    for entry in tree:
        if entry.elf:
            owners[entry.path.rpartition("/")[2]].add(entry.origin)
            owners[entry.elf.soname].add(entry.origin)
    for entry in tree:
        for name in entry.elf.needed if entry.elf else ():
            if entry.origin not in owners.get(name, (entry.origin,)):
                yield (entry.origin, *owners[name])


def _compiled(tree: Tree, lock: Lock) -> Iterable[Iterable[str]]:
    """Give pairs of packages with native code, the one requiring the other."""
    native = {entry.origin for entry in tree if entry.elf}
    for pin in lock.pins:
        for name in pin.dependencies if pin.id in native else ():
            if name in native:
                yield pin.id, name


_Part = list[Group]


def _parts(groups: Sequence[Group], most: int) -> list[_Part]:
    """Have the small groups in the part that is left, where they fit in there.

    They change most often: the large parts then stay what they are.
    """
    tight = _first_fit(groups, most)
    if len(tight) > MOST_LAYERS:
        level = _level(groups, MOST_LAYERS, _zipped)
        fits = all(_unzipped(part) <= most for part in level)
        return level if fits else _level(groups, MOST_LAYERS, _unzipped)
    level = _level(groups, len(tight), _zipped)
    good = all(len(part) == 1 or _fits(part, most) for part in level)
    return level if good else tight


def _first_fit(groups: Sequence[Group], most: int) -> list[_Part]:
    """Put each group where there is room; one that has room nowhere is a part."""
    parts: list[_Part] = []
    for one in groups:
        room = next((part for part in parts if _fits([*part, one], most)), None)
        if room is None:
            parts.append([one])
        else:
            room.append(one)
    return parts


def _level(
    groups: Sequence[Group], count: int, size: Callable[[_Part], int]
) -> list[_Part]:
    """Put each group where there is least, the largest groups first."""
    parts: list[_Part] = [[] for _ in range(count)]
    for one in sorted(groups, key=lambda group: -size([group])):
        min(parts, key=size).append(one)
    return parts


def _fits(part: _Part, most: int) -> bool:
    return _zipped(part) < DIRECT_UPLOAD_LIMIT and _unzipped(part) <= most


def _zipped(part: Iterable[Group]) -> int:
    return _EMPTY + sum(one.zipped for one in part)


def _unzipped(part: Iterable[Group]) -> int:
    return sum(one.unzipped for one in part)


def _refuse_oversize(part: _Part, most: int) -> None:
    unzipped = _unzipped(part)
    if unzipped <= most:
        return
    origins = ", ".join(name for one in part for name in one.origins)
    raise VerifyError(
        f"a part of the layer would have {shown(unzipped)} unzipped, "
        f"{unzipped - most:,} too many: {origins}",
        remedy="What stays together shares code, or there would be too many parts. "
        "Leave one out.",
    )


def verify_together(unzipped: int) -> Iterator[Finding]:
    """Warn where no function can hold all parts of a layer, of so many bytes."""
    if unzipped >= UNZIPPED_LIMIT:
        yield Finding(
            check="split",
            severity=Severity.WARNING,
            message=f"all parts together have {shown(unzipped)} unzipped: no function "
            f'can hold them, as Lambda\'s "250 MB" are {UNZIPPED_LIMIT:,} bytes for '
            "its layers and code",
            remedy="Give each function only the parts that it imports.",
        )
