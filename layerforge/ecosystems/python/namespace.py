"""Packages that share a name: the ``__init__.py`` by which they used to say so.

https://packaging.python.org/guides/packaging-namespace-packages/ has both old ways.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final

from layerforge.tree import FileEntry, same_file

_LONGEST: Final = 4096  # bytes; a declaration is a line, with perhaps a licence above
_DECLARATIONS: Final = {"extend_path", "declare_namespace"}
_MODULES: Final = {"__future__", "pkg_resources", "pkgutil", "typing"}


def same_or_namespace(one: FileEntry, other: FileEntry) -> bool:
    """Say whether two files may be one: equal, or both mere namespace declarations."""
    return same_file(one, other) or (
        one.path.endswith("/__init__.py")
        and declares_namespace(one)
        and declares_namespace(other)
    )


def declares_namespace(entry: FileEntry) -> bool:
    """Say whether a file declares a namespace (pkgutil, pkg_resources), and no more."""
    if entry.content is None or entry.size > _LONGEST:
        return False
    try:
        module = ast.parse(entry.content.inflated())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    statements = list(_statements(module.body))
    return all(map(_belongs, statements)) and any(map(_declares, statements))


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.Try):
            yield from _statements(statement.body)
            for handler in statement.handlers:
                yield from _statements(handler.body)
            yield from _statements([*statement.orelse, *statement.finalbody])
        else:
            yield statement


def _belongs(statement: ast.stmt) -> bool:
    """Say whether a statement may stand beside a declaration."""
    match statement:
        case ast.Import(names=names):
            return all(name.name in _MODULES for name in names)
        case ast.ImportFrom(module=module):
            return module in _MODULES
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case _:
            return _declares(statement)


def _declares(statement: ast.stmt) -> bool:
    match statement:
        case (
            ast.Expr(value=ast.Call(func=function))
            | ast.Assign(
                targets=[ast.Name(id="__path__")], value=ast.Call(func=function)
            )
            | ast.AnnAssign(
                target=ast.Name(id="__path__"), value=ast.Call(func=function)
            )
        ):
            name = ast.unparse(function).rpartition(".")[2]
            return name in _DECLARATIONS
        case _:
            return False
