"""What can be said of conditions in sources before they are run on a target."""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from math import inf
from operator import eq, ge, gt, le, lt, ne
from types import MappingProxyType
from typing import Any, Final

from layerforge.target import Target

_COMPARED: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: eq,
    ast.NotEq: ne,
    ast.Lt: lt,
    ast.LtE: le,
    ast.Gt: gt,
    ast.GtE: ge,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,
}
_KNOWN: Final = 2  # numbers of Python's version; Lambda moves the third forward
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_GLOBAL: Final = re.compile(r"^\s*global\b(.*)", re.MULTILINE)
_NAME: Final = re.compile(r"\w+")
# What a failed import raises, or a library that can't be opened.
_FAILURES: Final = (ModuleNotFoundError, ImportError, OSError)
# Contexts of the standard library that let through whatever is raised in them.
_TRANSPARENT: Final = {
    *("catch_warnings", "chdir", "closing", "nullcontext", "open"),
    *("redirect_stderr", "redirect_stdout"),
}
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def flags(body: Sequence[ast.stmt], text: str) -> Mapping[str, bool]:
    """Give the names that a module sets to True, or to False, and to nothing else.

    ``text`` is its whole source: functions may set its names as well.
    """
    found: dict[str, bool] = {}
    told: Counter[str] = Counter()
    for node in _statements(body):
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)], value=ast.Constant(value=bool(value))
            ):
                told[name] += found.setdefault(name, value) is value
    if not found:
        return found
    names = chain.from_iterable(map(_names_bound, _all_nodes(body)))
    bound = Counter(chain(names, _NAME.findall(" ".join(_GLOBAL.findall(text)))))
    everything = bound["*"] > 0
    return {
        name: value
        for name, value in found.items()
        if bound[name] == told[name] and not everything
    }


def names_set(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Give the names that a module sets by itself, under whichever condition.

    ``from . import a`` sets none of these: it is how a package loads its own parts.
    """
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        match node:
            case ast.ImportFrom(module=None, level=1):
                continue
        yield from _names_bound(node)
        if not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """Give what a module runs by itself, whether under a condition or not."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.stmt | ast.ExceptHandler):
            children = ast.iter_child_nodes(node)
            waiting += [
                c for c in children if isinstance(c, ast.stmt | ast.ExceptHandler)
            ]


def _all_nodes(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    return chain.from_iterable(map(ast.walk, body))


def _names_bound(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.Import() | ast.ImportFrom():
            yield from (alias.asname or alias.name for alias in node.names)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield name


def holds(
    test: ast.expr, target: Target, settled: Mapping[str, object] = _NOTHING
) -> bool | None:
    """Say whether a condition holds on a target; None where only running it tells.

    ``settled`` are the module's own `flags`.
    """
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            held = holds(operand, target, settled)
            return None if held is None else not held
        case ast.BoolOp(op=op, values=values):
            decisive = isinstance(op, ast.Or)
            each = [holds(value, target, settled) for value in values]
            if decisive in each:
                return decisive
            return None if None in each else not decisive
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _compared(left, op, right, target)
        case ast.Call(
            func=ast.Attribute(value=value, attr="startswith"),
            args=[ast.Constant(value=str(prefix))],
        ):
            known = _known(value, target)
            return known.startswith(prefix) if isinstance(known, str) else None
        case _:
            name = test.id if isinstance(test, ast.Name) else ""
            known = settled.get(name, _known(test, target))
            return known if isinstance(known, bool) else None


def forgives(handler: ast.ExceptHandler) -> bool:
    """Say whether an import may fail above a handler: it ends without raising.

    It may where only running the source tells what the handler takes.
    """
    if isinstance(handler.body[-1], ast.Raise):
        return False
    return handler.type is None or _may_be_failure(handler.type)


def suppresses(context: ast.expr) -> bool:
    """Say whether a ``with`` may let an import fail, as contextlib.suppress does."""
    if not isinstance(context, ast.Call):
        return True
    name = _named(context.func)
    if name == "suppress":
        return any(map(_may_be_failure, context.args))
    return name not in _TRANSPARENT


def _may_be_failure(kind: ast.expr) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(map(_may_be_failure, kind.elts))
    known = getattr(builtins, kind.id, None) if isinstance(kind, ast.Name) else None
    if not isinstance(known, type):
        return True
    return any(issubclass(failure, known) for failure in _FAILURES)


def _compared(
    left: ast.expr, op: ast.cmpop, right: ast.expr, target: Target
) -> bool | None:
    one, other = _known(left, target), _known(right, target)
    compare = _COMPARED.get(type(op))
    if one is None or other is None or compare is None:
        return None
    if _is_up_to_patch(one, other):
        return None
    try:
        return compare(one, other)
    except TypeError:
        return None


def _is_up_to_patch(one: object, other: object) -> bool:
    """Say whether versions are alike in all that is known of the runtime's."""
    return (
        isinstance(one, tuple)
        and isinstance(other, tuple)
        and one[:_KNOWN] == other[:_KNOWN]
        and min(len(one), len(other)) > _KNOWN
    )


def _known(node: ast.expr, target: Target) -> object:
    """Give an expression's value on a target, or None."""
    if _named(node) == "TYPE_CHECKING":
        return False
    major, minor = version = target.runtime.version_info
    values: dict[str, object] = {
        "__name__": "",
        "os.name": "posix",
        "platform.system()": "Linux",
        "platform.machine()": target.arch.machine,
        "sys.platform": "linux",
        "sys.version_info": (*version, inf),
        "sys.version_info[:2]": version,
        "sys.version_info[0]": major,
        "sys.version_info[1]": minor,
        "sys.version_info.major": major,
        "sys.version_info.minor": minor,
    }
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return values.get(_spelled(node))


def _named(node: ast.expr) -> str:
    """Give a name without the module that it may be of, or ''."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _spelled(node: ast.expr) -> str:
    """Write an expression as Python would; '' where it can't, as of some f-strings."""
    try:
        return ast.unparse(node)
    except ValueError:
        return ""
