"""A layer divided into several zips, none of which has to go by way of S3.

What has to be of one build stays together: packages that share a folder (a namespace),
that load each other's libraries, or that were compiled against another's C API, which
shows as one with native code requiring another. What one requires besides lies with it
while there is room: so a function can often do with one part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, permutations
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
_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Packages that stay together, and their entries.

    ``requires`` are the other packages that they can't be without, at whatever remove.
    ``zipped`` are the bytes that these add to a zip, ``unzipped`` those in /opt.
    """

    origins: tuple[str, ...]
    requires: frozenset[str]
    entries: tuple[FileEntry, ...]
    zipped: int
    unzipped: int


def divide(tree: Tree, lock: Lock, root: str, most: int) -> tuple[Tree, ...]:
    """Divide a tree into as few parts as can be, at most as many as a function takes.

    A part can be uploaded directly, unless one group alone can't, or there would be too
    many. Packages lie with those that require them, where there is room. ``root`` is
    the folder that packages lie in, ``most`` are the bytes that each part may have
    unzipped. Raises `VerifyError` where that can't be.
    """
    groups = group(tree, lock, root)
    parts = _gather(_parts(groups, most), most)
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
    requirements = _requirements({entry.origin for entry in tree}, lock)
    groups = [_group(each, requirements) for each in entries.values()]
    return tuple(sorted(groups, key=lambda one: (-one.zipped, one.origins)))


def _group(
    entries: Sequence[FileEntry], requirements: Mapping[str, frozenset[str]]
) -> Group:
    origins = {entry.origin for entry in entries}
    return Group(
        origins=tuple(sorted(origins)),
        requires=_missing(origins, requirements),
        entries=tuple(entries),
        zipped=zipped_size(entries) - _EMPTY,
        unzipped=sum(entry.size for entry in entries),
    )


def _requirements(names: set[str], lock: Lock) -> dict[str, frozenset[str]]:
    """Give what each of some packages requires of the others, at whatever remove."""
    direct = {pin.id: pin.dependencies for pin in lock.pins}
    return {name: _reached(name, direct) & names for name in names}


def _reached(name: str, direct: Mapping[str, Sequence[str]]) -> frozenset[str]:
    reached: set[str] = set()
    ahead = [name]
    while ahead:
        new = set(direct.get(ahead.pop(), ())) - reached
        reached |= new
        ahead += new
    return frozenset(reached)


def _missing(
    origins: Iterable[str], requirements: Mapping[str, frozenset[str]]
) -> frozenset[str]:
    """Give what packages require and aren't themselves."""
    return frozenset().union(*(requirements[name] for name in origins)) - {*origins}


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


def _gather(parts: list[_Part], most: int) -> list[_Part]:
    """Move groups to those that require them, or that they require, where these fit in.

    Each move leaves fewer packages apart from those that require them, or as many in
    one part that lacks more of them anyway: so there is an end.
    """
    parts = [[*part] for part in parts]
    groups = sorted(chain(*parts), key=lambda one: (one.zipped, one.origins))
    while sum(_move(one, parts, most) for one in groups):
        pass
    return [part for part in parts if part]


def _move(one: Group, parts: list[_Part], most: int) -> bool:
    """Move a group to where it is best, if that is elsewhere, and say so."""
    here = next(part for part in parts if one in part)
    rest = [each for each in here if each is not one]
    lacked, left = _lacks(here), _lacks(rest)

    def gain(there: _Part) -> tuple[int, int]:
        before, after = (lacked, _lacks(there)), (left, _lacks([*there, one]))
        return sum(before) - sum(after), max(after) - max(before)

    others = (part for part in parts if part is not here and _takes(part, one, most))
    best, there = max(
        ((gain(part), part) for part in others),
        key=lambda each: each[0],
        default=((0, 0), here),
    )
    if best <= (0, 0):
        return False
    here[:] = rest
    there.append(one)
    return True


def _lacks(part: _Part) -> int:
    """Count the packages that a part requires and doesn't have."""
    required = set().union(*(one.requires for one in part))
    return len(required.difference(*(one.origins for one in part)))


def _takes(part: _Part, one: Group, most: int) -> bool:
    """Say whether a part has room; one that goes by way of S3 anyway takes more."""
    if _zipped(part) < DIRECT_UPLOAD_LIMIT:
        return _fits([*part, one], most)
    return _unzipped([*part, one]) <= most


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


def verify_parts(parts: Mapping[str, Tree], lock: Lock) -> Iterator[Finding]:
    """Tell of parts, by name, that need others, or that no function can hold."""
    yield from verify_together(sum(part.size for part in parts.values()))
    origins = {name: {entry.origin for entry in part} for name, part in parts.items()}
    requirements = _requirements(set().union(*origins.values()), lock)
    for name, other in permutations(parts, 2):
        needed = sorted(_missing(origins[name], requirements) & origins[other])
        if needed:
            both = parts[name].size + parts[other].size
            yield _needs(name, needed, other, both)


def _needs(name: str, needed: Sequence[str], other: str, both: int) -> Finding:
    are = "is" if len(needed) == 1 else "are"
    fit = both < UNZIPPED_LIMIT
    return Finding(
        check="split",
        severity=Severity.NOTE if fit else Severity.WARNING,
        message=f"{name} needs {_listed(needed)}, which {are} in {other}",
        remedy=f"Add {other} to functions that have {name}."
        if fit
        else "No function can hold both: leave packages out, or make several layers.",
    )


def _listed(names: Sequence[str]) -> str:
    """Name as many as can be read at a glance."""
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def verify_together(unzipped: int, bound: str = "") -> Iterator[Finding]:
    """Warn where no function can hold all parts of a layer, of so many bytes.

    ``bound`` says how sure their number is: "about".
    """
    if unzipped >= UNZIPPED_LIMIT:
        yield Finding(
            check="split",
            severity=Severity.WARNING,
            message=f"all parts together have {f'{bound} {shown(unzipped)}'.lstrip()} "
            'unzipped: no function can hold them, as Lambda\'s "250 MB" are '
            f"{UNZIPPED_LIMIT:,} bytes for its layers and code",
            remedy="Give each function only the parts that it imports.",
        )
