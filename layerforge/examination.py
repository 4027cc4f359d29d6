"""An archive of whoever's making, held to what can be said without running it."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

from layerforge.archives.zipdirectory import Directory
from layerforge.archives.zips import index_zip, read_zip_directory
from layerforge.audit import audit
from layerforge.errors import ArchiveError
from layerforge.findings import Finding, Waiver, waive
from layerforge.target import Arch, Runtime, Target
from layerforge.tree import FileEntry, Tree
from layerforge.verify import verify_files, verify_size, verify_zip
from layerforge.verify.layout import verify_layout
from layerforge.verify.permissions import verify_permissions
from layerforge.verify.purpose import Purpose, purposes_of

_OF_THE_DIRECTORY: Final = frozenset({"empty", "permissions", "size", "upload"})
"""The checks that need nothing inflated."""

_REMEDY: Final = "Build it anew: Lambda, or what reads it there, may refuse it as well."


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a zip: for which targets, and by which checks.

    Where ``runtimes`` or ``architectures`` are empty, the zip itself is asked for them.
    ``only`` are ids of checks; empty for all. ``most`` is the user's own limit, in
    bytes unzipped.
    """

    runtimes: tuple[Runtime, ...] = ()
    architectures: tuple[Arch, ...] = ()
    only: frozenset[str] = frozenset()
    most: int | None = None
    waivers: tuple[Waiver, ...] = ()
    bases: tuple[Path, ...] = ()

    @property
    def is_of_the_directory(self) -> bool:
        """Say whether it can be answered without inflating anything."""
        return bool(self.only) and self.only <= _OF_THE_DIRECTORY


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found of a zip for one target; sizes in bytes.

    ``purpose`` is None where nothing was asked that depends on a target, or nothing
    tells one.
    """

    zipped: int
    unzipped: int
    findings: tuple[Finding, ...]
    purpose: Purpose | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadArchive:
    """An archive of a package that was read to its end; sizes in bytes.

    ``package`` is its name and version, where the archive tells.
    """

    kind: str
    files: int
    unzipped: int
    package: str = ""


def read_layer(path: Path) -> Tree:
    """Read a layer's zip strictly; raises `ArchiveError`."""
    try:
        entries = index_zip(path, layer=True)
    except ArchiveError as error:
        raise ArchiveError(error.message, remedy=_REMEDY) from error
    return Tree(tuple(sorted(entries, key=lambda entry: entry.path)))


def read_bases(paths: Iterable[Path]) -> tuple[FileEntry, ...]:
    """Read the zips of layers that another stands on; raises `ArchiveError`."""
    return tuple(entry for path in paths for entry in read_layer(path))


def examine(path: Path, question: Question) -> tuple[Examined, ...]:
    """Answer a question of a zip, for each target; raises `ArchiveError`."""
    try:
        directory = read_zip_directory(path, layer=True)
    except ArchiveError as error:
        raise ArchiveError(error.message, remedy=_REMEDY) from error
    if question.is_of_the_directory:
        found = _of_the_directory(path, directory, question)
        return (_examined(path, directory, found, question),)
    tree = read_layer(path)
    bases = read_bases(question.bases)
    asked = product(question.runtimes or (None,), question.architectures or (None,))
    purposes: Sequence[Purpose | None] = [
        purpose
        for runtime, arch in asked
        for purpose in purposes_of(tree, runtime, arch)
    ]
    return tuple(
        _examined(
            path,
            directory,
            (
                *_of_the_directory(path, directory, question),
                *(audit(tree, one.target, bases=bases) if one else verify_layout(tree)),
            ),
            question,
            one,
        )
        for one in purposes or (None,)
    )


def examine_tree(
    path: Path,
    tree: Tree,
    target: Target,
    question: Question,
    bases: Sequence[FileEntry] = (),
) -> tuple[Finding, ...]:
    """Answer a question of a zip for a target, its tree and its bases being read."""
    directory = read_zip_directory(path, layer=True)
    found = _of_the_directory(path, directory, question)
    return waive((*found, *audit(tree, target, bases=bases)), question.waivers)


def _of_the_directory(
    path: Path, directory: Directory, question: Question
) -> Iterator[Finding]:
    yield from verify_files(sum(not one.is_folder for one in directory.members))
    yield from verify_size(_unzipped(directory), question.most)
    yield from verify_permissions(directory.members)
    yield from verify_zip(path.stat().st_size)


def _unzipped(directory: Directory) -> int:
    return sum(member.size for member in directory.members)


def _examined(
    path: Path,
    directory: Directory,
    findings: Iterable[Finding],
    question: Question,
    purpose: Purpose | None = None,
) -> Examined:
    told = waive(findings, question.waivers)
    return Examined(
        zipped=path.stat().st_size,
        unzipped=_unzipped(directory),
        findings=_chosen(told, question.only),
        purpose=purpose,
    )


def _chosen(findings: Sequence[Finding], only: Collection[str]) -> tuple[Finding, ...]:
    return tuple(one for one in findings if not only or one.check in only)


def is_package(path: Path) -> bool:
    """Say whether a file is a package's archive, by its name, and no layer's."""
    return path.name.endswith((".whl", ".tgz", ".tar.gz"))


def read_package(path: Path) -> ReadArchive:
    """Read a wheel, an sdist or an npm tarball strictly; raises `ArchiveError`."""
    if path.suffix == ".whl":
        from layerforge.ecosystems.python.wheel import index_wheel  # noqa: PLC0415 - brings packaging

        pack = index_wheel(path, path.name, "")
        return ReadArchive(
            kind="wheel",
            files=len(pack.entries) + len(pack.left_out),
            unzipped=pack.size,
            package=f"{pack.name} {pack.version}",
        )
    from layerforge.archives.tarball import index_tarball  # noqa: PLC0415 - as above
    from layerforge.store import Store  # noqa: PLC0415 - zips need none of it

    with tempfile.TemporaryDirectory(prefix="layerforge-") as folder:
        entries = index_tarball(path, path.name, "0" * 64, Store(Path(folder)))
    return ReadArchive(
        kind="tarball",
        files=len(entries),
        unzipped=sum(entry.size for entry in entries),
    )
