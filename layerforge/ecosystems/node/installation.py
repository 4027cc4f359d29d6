"""What a target gets of a package lock, and the pins that it amounts to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from layerforge.ecosystems.node.integrity import digest_of
from layerforge.ecosystems.node.lockfiles import load_package_lock, read_text
from layerforge.ecosystems.node.packagelock import (
    MODULES,
    Dependency,
    Group,
    Package,
    PackageLock,
    Source,
    find_package,
)
from layerforge.ecosystems.node.selection import layer_paths, reach, select
from layerforge.errors import UnsuitableLockError
from layerforge.lock import Lock, Pin, sorted_pins
from layerforge.spec import LayerSpec, unreadable
from layerforge.target import Runtime, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The packages of one layer for one target.

    ``folder`` is where the lock's own paths start. ``packages`` are by their place in
    the layer, ``node_modules/a``, which is also the ``path`` of each. ``roots`` are the
    places of what the project itself asks for, ``provided`` the names of what is left
    to the runtime.
    """

    folder: Path
    packages: Mapping[str, Package]
    roots: tuple[str, ...]
    provided: tuple[str, ...] = ()


def identify(package: Package) -> str:
    """Give the `Pin.id` of a package: its name, or its place if that is another."""
    usual = package.path == f"{MODULES}{package.name}"
    return package.name if usual else package.path


def read_installation(path: Path, spec: LayerSpec, target: Target) -> Installation:
    """Read what a lock's file has for a target; raises `LockError`."""
    lock = load_package_lock(path)
    selected = select(lock, target)
    places = layer_paths(selected)
    packages = {
        places[one.path]: replace(one, path=places[one.path]) for one in selected
    }
    everything = Installation(
        folder=path.parent, packages=packages, roots=_roots(lock, packages)
    )
    if not spec.exclude_runtime_sdk:
        return everything
    return _without_sdk(everything, target)


def to_lock(
    installation: Installation, path: Path, spec: LayerSpec, target: Target
) -> Lock:
    """Give the pins of a layer: what is bundled comes with another's, and has none."""
    packages = installation.packages
    pins = (
        _pin(package, installation)
        for package in packages.values()
        if package.source is not Source.BUNDLED
    )
    return Lock(
        layer=spec.name,
        target=str(target),
        inputs=_inputs(path, spec),
        roots=tuple(sorted(identify(packages[place]) for place in installation.roots)),
        pins=sorted_pins(pins),
        provided=installation.provided,
    )


def _inputs(path: Path, spec: LayerSpec) -> str:
    """Digest what decides, besides the pins, what is laid out."""
    decisive = [
        read_text(path),
        spec.exclude_runtime_sdk,
        spec.versioned_folder,
        sorted(spec.install_scripts.items()),
    ]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def _roots(lock: PackageLock, packages: Mapping[str, Package]) -> tuple[str, ...]:
    """Give the places of what the project asks for; npm links its workspaces too."""
    asked = (f"{MODULES}{wish.name}" for wish in _needs(lock.project))
    links = (one.path for one in lock.packages if one.link and not one.dev)
    return tuple(sorted({*asked, *links} & {*packages}))


def _pin(package: Package, installation: Installation) -> Pin:
    identifier = identify(package)
    commit = package.source is Source.GIT
    return Pin(
        name=package.name,
        version=package.version,
        filename="" if commit else _filename(package),
        url=_address(package, installation.folder),
        digest=_digest(package, installation.folder),
        location="" if identifier == package.name else identifier,
        dependencies=tuple(sorted(_dependencies(package, installation.packages))),
    )


def _filename(package: Package) -> str:
    """Name a tarball as ``npm pack`` does: scope and all."""
    return f"{package.name.lstrip('@').replace('/', '-')}-{package.version}.tgz"


def _needs(package: Package) -> Iterator[Dependency]:
    """Give what a package asks for, but for what only its own developers need."""
    return (each for each in package.dependencies if each.group is not Group.DEV)


def _dependencies(package: Package, packages: Mapping[str, Package]) -> Iterator[str]:
    for wish in _needs(package):
        place = find_package(wish.name, package.path, packages)
        # What is bundled has no pin.
        if place and packages[place].source is not Source.BUNDLED:
            yield identify(packages[place])


def _address(package: Package, folder: Path) -> str:
    if package.source in {Source.FILE, Source.FOLDER}:
        return (folder / package.resolved).resolve().as_uri()
    return package.resolved


def _digest(package: Package, folder: Path) -> str:
    match package.source:
        case Source.GIT:
            return hashlib.sha256(package.resolved.encode()).hexdigest()
        case Source.FOLDER:
            inside = folder / package.resolved
            if not inside.is_dir():
                raise UnsuitableLockError(
                    f"{package} is the folder {inside}, which is not there",
                    remedy="Bring it back; or take it out of package.json, and make "
                    "the lock anew with layerforge lock.",
                )
            return _digest_of_folder(inside, folder)
        case _:
            return digest_of(package)


def _digest_of_folder(folder: Path, project: Path) -> str:
    """Digest what would be packed, so that a changed file makes another lock."""
    from layerforge.ecosystems.node.packlist import (  # noqa: PLC0415 - seldom needed
        packed_files,
    )

    digest = hashlib.sha256()
    try:
        for name in packed_files(folder, project=project):
            file = folder / name
            executable = bool(file.stat().st_mode & 0o111)
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{name}\0{executable}\0{content}\n".encode())
    except OSError as error:
        raise unreadable(error) from error
    return digest.hexdigest()


def _without_sdk(installation: Installation, target: Target) -> Installation:
    """Leave out what the runtime brings, all of it, and what only that leads to."""
    packages = installation.packages
    brought = {
        place
        for place, package in packages.items()
        if _is_brought(package, target.runtime)
    }
    kept = needed(installation.roots, packages, without=brought)
    left = {
        place: package
        for place, package in packages.items()
        if holder_of(place, packages) in kept
    }
    names = {packages[place].name for place in brought}
    return replace(
        installation,
        packages=left,
        roots=tuple(place for place in installation.roots if place in left),
        provided=tuple(sorted(names)),
    )


def _is_brought(package: Package, runtime: Runtime) -> bool:
    """Say whether a runtime has a package: by its name, in no other's files."""
    return (
        package.folder == package.name
        and package.source is not Source.BUNDLED
        and any(fnmatchcase(package.name, form) for form in runtime.sdk)
    )


def holder_of(place: str, packages: Mapping[str, Package]) -> str:
    """Give the place of the package whose tarball brings this one: mostly its own."""
    while packages[place].source is Source.BUNDLED:
        place = place.rpartition(f"/{MODULES}")[0]
    return place


def needed(
    start: Iterable[str], packages: Mapping[str, Package], without: Iterable[str] = ()
) -> set[str]:
    """Give the places that ``start`` leads to, itself too, by dependencies alone."""

    def leads_to(place: str) -> Iterator[str]:
        for wish in _needs(packages[place]):
            found = find_package(wish.name, place, packages)
            if found:
                yield found

    return reach(start, leads_to, without)
