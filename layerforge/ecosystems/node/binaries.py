"""Native code that packages have in others, and that a layer lacks.

Many packages bring their binaries as optional packages, one for each platform. npm has
written locks without those of other platforms than its own, and leaves out what a
registry hasn't got: neither is an error to it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Final

from layerforge.ecosystems.node.packagejson import optional_names
from layerforge.ecosystems.node.packagelock import MODULES, find_package
from layerforge.ecosystems.node.platforms import named_for, named_for_another
from layerforge.findings import Finding, Severity
from layerforge.target import Target
from layerforge.tree import Tree

_MANIFEST: Final = "/package.json"


def find_missing(tree: Tree, target: Target) -> Iterator[Finding]:
    """Find each optional package that is named for the target and isn't there.

    Where only those of another platform are, the layer was made there: it is an error.
    """
    manifests = {
        posixpath.dirname(entry.path): entry
        for entry in tree
        if entry.path.endswith(_MANIFEST) and MODULES in entry.path
    }
    for folder, entry in manifests.items():
        names = optional_names(entry)
        there = [name for name in names if find_package(name, folder, manifests)]
        of_another = any(named_for_another(name, target) for name in there)
        of_this = any(named_for(name, target) for name in there)
        for name in names:
            if named_for(name, target) and name not in there:
                owner = folder.rpartition(MODULES)[2]
                yield Finding(
                    check="binary",
                    severity=Severity.ERROR
                    if of_another and not of_this
                    else Severity.WARNING,
                    path=folder,
                    message=f"{owner} has native code for {target} in {name}, which "
                    "is not in the layer",
                    remedy="Where the lock was made on another platform: layerforge "
                    "lock. If that doesn't help, the registry hasn't got it.",
                )
