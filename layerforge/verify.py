"""Would Lambda take the layer, and could its libraries load? Asked of the tree alone.

Whether modules can be imported is another question, which running them answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from layerforge.limits import DIRECT_UPLOAD_LIMIT, UNZIPPED_LIMIT, ZIP64_ENTRIES
from layerforge.target import Target, host_libraries
from layerforge.tree import FileEntry, Tree


class Severity(StrEnum):
    """How bad a finding is: an error stops a build."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found, and what helps; ``path`` is below /opt."""

    check: str
    severity: Severity
    message: str
    path: str = ""
    remedy: str = ""


Check = Callable[[Tree, Target], Iterator[Finding]]


def verify(tree: Tree, target: Target) -> tuple[Finding, ...]:
    """Run every check; the order of findings follows the checks and the tree."""
    return tuple(finding for check in CHECKS for finding in check(tree, target))


def verify_size(unzipped: int, most: int | None) -> Iterator[Finding]:
    """Hold a layer to Lambda's limit and to the user's own lower one, in bytes."""
    if unzipped >= UNZIPPED_LIMIT:
        over = unzipped - UNZIPPED_LIMIT + 1
        yield Finding(
            check="size",
            severity=Severity.ERROR,
            message=f"it has {_shown(unzipped)} unzipped, {over} too many: Lambda's "
            f'"250 MB" are {UNZIPPED_LIMIT} bytes, and a layer must be smaller',
        )
    elif most is not None and unzipped > most:
        yield Finding(
            check="size",
            severity=Severity.ERROR,
            message=f"it has {_shown(unzipped)} unzipped, {unzipped - most} more than "
            f"max-unzipped ({_shown(most)}) allows",
        )


def _shown(size: int) -> str:
    return f"{size} bytes ({size / (1 << 20):.1f} MiB)"


def verify_zip(zipped: int) -> Iterator[Finding]:
    """Say what a zip of so many bytes asks for."""
    if zipped >= DIRECT_UPLOAD_LIMIT:
        yield Finding(
            check="upload",
            severity=Severity.NOTE,
            message=f"the zip has {zipped} bytes: from {DIRECT_UPLOAD_LIMIT} on it is "
            "published by way of S3",
        )


def _check_entries(tree: Tree, _target: Target) -> Iterator[Finding]:
    if len(tree) >= ZIP64_ENTRIES:
        yield Finding(
            check="zip64",
            severity=Severity.WARNING,
            message=f"it has {len(tree)} files: a zip of {ZIP64_ENTRIES} or more is in "
            "the zip64 format, which not every tool reads",
        )


def _check_machine(tree: Tree, target: Target) -> Iterator[Finding]:
    for entry in tree:
        if entry.elf and entry.elf.machine != target.arch.elf_machine:
            yield Finding(
                check="machine",
                severity=Severity.WARNING,
                path=entry.path,
                message=f"is for another machine than {target.arch} (ELF machine "
                f"{entry.elf.machine})",
                remedy="Leave it out with exclude, if nothing loads it.",
            )


_FAMILIES: Final[dict[str, Callable[[Target], tuple[int, ...]]]] = {
    "GLIBC": lambda target: target.runtime.glibc,
    "GLIBCXX": lambda target: _numbers(target.runtime.glibcxx),
}


def _check_versions(tree: Tree, target: Target) -> Iterator[Finding]:
    for entry in tree:
        versions = entry.elf.versions if entry.elf and _loads(entry, target) else ()
        for needed in versions:
            family, _, version = needed.rpartition("_")
            if family not in _FAMILIES or not version.replace(".", "").isdigit():
                continue
            has = _FAMILIES[family](target)
            if _numbers(version) > has and not _brings_family(tree, family):
                shown = ".".join(map(str, has))
                yield Finding(
                    check="symbol-version",
                    severity=Severity.WARNING,
                    path=entry.path,
                    message=f"needs {needed}, and {target.runtime.os} has {family}_"
                    f"{shown}: it will not load",
                    remedy="Take another version of its package, or have it compiled "
                    "for the runtime.",
                )


def _brings_family(tree: Tree, family: str) -> bool:
    """Say whether the layer has its own library of these versions (not glibc's)."""
    return family == "GLIBCXX" and any(
        entry.path.rpartition("/")[2].startswith("libstdc++") for entry in tree
    )


def _check_libraries(tree: Tree, target: Target) -> Iterator[Finding]:
    # A library is found by the name of its file, or by its own once it is loaded.
    # A link is taken at its word: what it points at has its own entry.
    loadable = [entry for entry in tree if _loads(entry, target) or entry.link]
    files = {entry.path.rpartition("/")[2] for entry in loadable}
    known = host_libraries(target) | files | {e.elf.soname for e in loadable if e.elf}
    for entry in loadable:
        needed = entry.elf.needed if entry.elf else ()
        missing = [name for name in needed if name not in known]
        if missing:
            yield Finding(
                check="library",
                severity=Severity.WARNING,
                path=entry.path,
                message=f"needs {', '.join(missing)}, which neither the runtime nor "
                "the layer has",
                remedy="Add a package that brings it, or put it into the layer's lib/ "
                "with include.",
            )


def _loads(entry: FileEntry, target: Target) -> bool:
    return entry.elf is not None and entry.elf.machine == target.arch.elf_machine


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


CHECKS: Final[tuple[Check, ...]] = (
    _check_entries,
    _check_machine,
    _check_versions,
    _check_libraries,
)
