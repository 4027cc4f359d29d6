"""Packages that the runtime's require() refuses, since they are ES modules alone."""

from __future__ import annotations

from collections.abc import Iterator

from layerforge.ecosystems.node.importable import find_import_only
from layerforge.findings import Finding, Severity
from layerforge.target import Target
from layerforge.tree import Tree


def find_refused(tree: Tree, target: Target) -> Iterator[Finding]:
    """Warn of each package of the top level that can only be imported."""
    for name in find_import_only(tree.entries, target):
        yield Finding(
            check="esm",
            severity=Severity.WARNING,
            message=f"{name} is an ES module, which require() of {target.runtime} "
            "refuses",
            remedy=f"Import it: await import('{name}'); or take nodejs24.x, or newer; "
            "or a version that is CommonJS as well.",
        )
