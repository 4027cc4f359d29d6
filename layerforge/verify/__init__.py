"""Would Lambda take the layer, and could its libraries load? Asked of the tree alone.

Whether modules can be imported is another question, which running them answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from layerforge.findings import Finding, Severity
from layerforge.limits import (
    DIRECT_UPLOAD_LIMIT,
    MAX_UNZIPPED,
    ZIP64_ENTRIES,
    excess,
    shown,
)
from layerforge.target import Target
from layerforge.tree import Tree
from layerforge.verify import layout, native

Check = Callable[[Tree, Target], Iterator[Finding]]


def verify(tree: Tree, target: Target) -> tuple[Finding, ...]:
    """Run every check; the order of findings follows the checks and the tree."""
    return tuple(finding for check in CHECKS for finding in check(tree, target))


def verify_size(unzipped: int, most: int | None) -> Iterator[Finding]:
    """Hold a layer to Lambda's limit and to the user's own lower one, in bytes."""
    most = MAX_UNZIPPED if most is None else min(most, MAX_UNZIPPED)
    if unzipped > most:
        yield Finding(
            check="size",
            severity=Severity.ERROR,
            message=f"it has {shown(unzipped)} unzipped, {excess(unzipped, most)}",
            remedy="Leave something out: exclude, exclude-runtime-sdk, or "
            'strip = "slim".',
        )


def verify_zip(zipped: int) -> Iterator[Finding]:
    """Say what a zip of so many bytes asks for."""
    if zipped >= DIRECT_UPLOAD_LIMIT:
        yield Finding(
            check="upload",
            severity=Severity.NOTE,
            message=f"the zip has {zipped:,} bytes: from {DIRECT_UPLOAD_LIMIT:,} on it "
            "is published by way of S3",
            remedy="Name a bucket in [publish].",
        )


def verify_files(files: int) -> Iterator[Finding]:
    """Find a zip with nothing in it; folders alone are nothing."""
    if not files:
        yield Finding(
            check="empty",
            severity=Severity.ERROR,
            message="it has no file, and Lambda takes no empty zip",
            remedy="Look at what was zipped: zip -r layer.zip python, or nodejs.",
        )


def _check_entries(tree: Tree, _target: Target) -> Iterator[Finding]:
    if len(tree) >= ZIP64_ENTRIES:
        yield Finding(
            check="zip64",
            severity=Severity.WARNING,
            message=f"it has {len(tree):,} files: a zip of {ZIP64_ENTRIES:,} or more "
            "is in the zip64 format, which not every tool reads",
            remedy="Leave folders out with exclude that nothing imports.",
        )


CHECKS: Final[tuple[Check, ...]] = (
    _check_entries,
    *native.CHECKS,
    *layout.CHECKS,
)

UNLOADABLE: Final = native.UNLOADABLE
"""The checks that find files which can't be loaded."""
