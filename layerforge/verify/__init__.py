"""Would Lambda take the layer, and could its libraries load? Asked of the tree alone.

Whether modules can be imported is another question, which running them answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from layerforge.findings import Finding, Severity
from layerforge.limits import DIRECT_UPLOAD_LIMIT, UNZIPPED_LIMIT, ZIP64_ENTRIES
from layerforge.target import Target
from layerforge.tree import Tree
from layerforge.verify import layout, native

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


CHECKS: Final[tuple[Check, ...]] = (
    _check_entries,
    *native.CHECKS,
    *layout.CHECKS,
)

UNLOADABLE: Final = native.UNLOADABLE
"""The checks that find files which can't be loaded."""
