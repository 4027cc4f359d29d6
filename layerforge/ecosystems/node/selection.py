"""Which packages of a lock a target gets, and where in the layer they stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from layerforge.ecosystems.node.packagelock import Package, PackageLock, find_package
from layerforge.ecosystems.node.platforms import suits, wanted
from layerforge.errors import UnsuitableLockError
from layerforge.target import Target


def select(lock: PackageLock, target: Target) -> tuple[Package, ...]:
    """Give the packages that ``npm ci --omit=dev`` installs on a target, by path.

    An optional package that doesn't suit the target is left out, with those that can't
    do without it, and with what only they brought. ``engines`` are not looked at: npm
    would judge them by the Node.js that it runs on, which needn't be the target's.
    Bundled packages are among the result, though their files come with another's.
    Raises `UnsuitableLockError` where a package that isn't optional doesn't suit it.
    """
    candidates = [each for each in lock.packages if each.installed and not each.dev]
    for package in candidates:
        if not (_dispensable(package) or suits(package, target)):
            raise UnsuitableLockError(
                f"{package} ({package.path}) does not suit {target}: "
                f"it is for {wanted(package)}",
                remedy="Make it an optional dependency, or take another package.",
            )
    left_out = _left_out(lock, target)
    return tuple(each for each in candidates if each.path not in left_out)


def layer_paths(packages: Iterable[Package]) -> dict[str, str]:
    """Say where each package stands in the layer, by its path in the lock.

    A layer has no links: a folder that was linked stands where its link did, and what
    was installed inside of the folder goes there with it.
    """
    installed = tuple(packages)
    folders: dict[str, str] = {}
    for each in installed:
        if each.link:
            folders.setdefault(each.resolved, each.path)
    return {each.path: _moved(each.path, folders) for each in installed}


def _moved(path: str, folders: Mapping[str, str]) -> str:
    folder, separator, rest = path.partition("/node_modules/")
    if not separator or folder not in folders:
        return path
    # The link may itself stand in a folder that another link leads to.
    others = {key: link for key, link in folders.items() if key != folder}
    return _moved(f"{folders[folder]}{separator}{rest}", others)


def _left_out(lock: PackageLock, target: Target) -> set[str]:
    """Give the paths that npm's optional sets have for a target.

    The rules are those of Arborist's optional-set.js: development packages hold what
    they need as well, though they are not installed.
    """
    optional = {each.path for each in lock.packages if _dispensable(each)}
    leads_to: defaultdict[str, set[str]] = defaultdict(set)
    needed_by: defaultdict[str, set[str]] = defaultdict(set)
    for dependent, dependency, free in _edges(lock):
        leads_to[dependent].add(dependency)
        if not free and dependent in optional:
            needed_by[dependency].add(dependent)
    unsuitable = {
        each.path
        for each in lock.packages
        if each.path in optional and not suits(each, target)
    }
    refused = reach(unsuitable, needed_by.__getitem__)
    brought = reach(refused, leads_to.__getitem__)
    others = {each.path for each in lock.packages} - brought
    return brought - reach(others, leads_to.__getitem__, without=refused)


def _dispensable(package: Package) -> bool:
    """Say whether nothing but a development package may insist on a package."""
    return package.optional or package.dev_optional


def _edges(lock: PackageLock) -> Iterator[tuple[str, str, bool]]:
    """Give who leads to whom, by path, and whether it works without."""
    paths = {each.path for each in lock.packages}
    for package in lock.packages:
        if package.link:
            yield package.path, package.resolved, False
            continue
        for wish in package.dependencies:
            found = find_package(wish.name, package.path, paths)
            if found is not None:
                yield package.path, found, wish.optional


def reach(
    start: Iterable[str],
    leads_to: Callable[[str], Iterable[str]],
    without: Iterable[str] = (),
) -> set[str]:
    """Give ``start``, and all that can be reached from it, but not ``without``."""
    barred = set(without)
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path not in reached and path not in barred:
            reached.add(path)
            waiting += leads_to(path)
    return reached
