"""Parts of the AWS SDK in a layer that would run with parts of the runtime's own."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from layerforge.ecosystems.node.packagejson import manifest_of
from layerforge.ecosystems.node.packagelock import MODULES, find_package
from layerforge.findings import Finding, Severity
from layerforge.target import Target
from layerforge.tree import Tree

_MANIFEST: Final = "/package.json"


def find_partial_sdk(tree: Tree, target: Target) -> Iterator[Finding]:
    """Warn of each package of the SDK whose own parts the layer lacks.

    Node.js finds those in the runtime then, of whatever version it has.
    """
    manifests = {
        posixpath.dirname(entry.path): entry
        for entry in tree
        if entry.path.endswith(_MANIFEST) and MODULES in entry.path
    }
    for folder, entry in manifests.items():
        name = folder.rpartition(MODULES)[2]
        if not _is_part(name, target):
            continue
        asked = manifest_of(entry).get("dependencies")
        missing = [
            part
            for part in (asked if isinstance(asked, dict) else ())
            if _is_part(part, target) and not find_package(part, folder, manifests)
        ]
        if missing:
            more = f" and {len(missing) - 1} more" if missing[1:] else ""
            yield Finding(
                check="sdk",
                severity=Severity.WARNING,
                path=folder,
                message=f"{name} needs {missing[0]}{more}, which the layer hasn't got: "
                "it would run with the runtime's own, of another version",
                remedy="Have all of the SDK in the layer, or leave all of it to the "
                "runtime: exclude-runtime-sdk = true",
            )


def _is_part(name: str, target: Target) -> bool:
    return any(fnmatchcase(name, form) for form in target.runtime.sdk)
