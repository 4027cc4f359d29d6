"""What Python's runtimes would not take, or not as it is meant."""

from __future__ import annotations

from layerforge.ecosystems.python.abi import find_foreign_extensions
from layerforge.ecosystems.python.distributions import (
    find_distributions,
    find_duplicates,
    find_packages,
    find_partial_sdk,
)
from layerforge.ecosystems.python.shadowing import find_shadows
from layerforge.ecosystems.python.stale import find_stale_bytecode
from layerforge.ecosystems.python.startup import find_startup_files
from layerforge.findings import Finding
from layerforge.target import Target
from layerforge.tree import Tree


def verify_python(tree: Tree, target: Target) -> tuple[Finding, ...]:
    """Run every check; the order of findings follows the checks and the tree."""
    distributions = find_distributions(tree, target)
    return (
        *find_foreign_extensions(tree, target),
        *find_stale_bytecode(tree, target),
        *find_shadows(tree, target),
        *find_duplicates(distributions),
        *find_partial_sdk((*find_packages(tree, target), *distributions)),
        *find_startup_files(tree, target),
    )
