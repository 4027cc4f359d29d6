"""Packages that share a name: the ``__init__.py`` by which they used to say so.

https://packaging.python.org/guides/packaging-namespace-packages/ has both old ways.
"""

from __future__ import annotations

import ast
from typing import Final

from layerforge.tree import FileEntry, same_file

_LONGEST: Final = 4096  # bytes; a declaration is a line, with perhaps a licence above
_DECLARATIONS: Final = {"extend_path", "declare_namespace"}


def same_or_namespace(one: FileEntry, other: FileEntry) -> bool:
    """Say whether two files may be one: equal, or both mere namespace declarations."""
    return same_file(one, other) or (
        one.path.endswith("/__init__.py")
        and _declares_namespace(one)
        and _declares_namespace(other)
    )


def _declares_namespace(entry: FileEntry) -> bool:
    if entry.content is None or entry.size > _LONGEST:
        return False
    try:
        module = ast.parse(entry.content.inflated())
    except (SyntaxError, ValueError):
        return False
    return any(
        isinstance(node, ast.Name | ast.Attribute)
        and (node.id if isinstance(node, ast.Name) else node.attr) in _DECLARATIONS
        for node in ast.walk(module)
    ) and not any(
        isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.walk(module)
    )
