from __future__ import annotations

import ast

import pytest

from layerforge.ecosystems.python.conditions import forgives, holds, suppresses
from layerforge.target import Target, find_arch, find_runtime

TARGET = Target(runtime=find_runtime("python3.12"), arch=find_arch("arm64"))


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ("True", True),
        ("TYPE_CHECKING", False),
        ("typing.TYPE_CHECKING", False),
        ("t.TYPE_CHECKING", False),
        ("not TYPE_CHECKING", True),
        ("__name__ == '__main__'", False),
        ("sys.platform == 'win32'", False),
        ("sys.platform != 'win32'", True),
        ("sys.platform in ('linux', 'linux2')", True),
        ("sys.platform not in {'darwin'}", True),
        ("sys.platform.startswith('win')", False),
        ("platform.system() == 'Linux'", True),
        ("platform.machine() == 'aarch64'", True),
        ("os.name == 'nt'", False),
        ("sys.version_info >= (3, 12)", True),
        ("sys.version_info < (3,)", False),
        ("sys.version_info[0] == 2", False),
        ("sys.version_info > (3,)", True),
        ("sys.version_info > (3, 12)", True),
        ("sys.version_info <= (3, 12)", False),
        ("sys.version_info == (3, 12)", False),
        ("(3, 12) <= sys.version_info", True),
        ("sys.version_info >= (3, 12, 1)", None),
        ("sys.version_info >= (3, 13, 1)", False),
        ("sys.version_info >= (3, 11, 4)", True),
        ("sys.version_info[:2] >= (3, 12)", True),
        ("sys.version_info[:2] == (3, 12)", True),
        ("sys.version_info[:2] < (3, 12, 1)", True),
        ("sys.version_info[1] > 11", True),
        ("sys.version_info.minor < 12", False),
        ("sys.version_info[:3] >= (3, 12, 1)", None),
        ("sys.version_info >= '3'", None),
        ("os.name == 'nt' or sys.platform == 'linux'", True),
        ("os.name == 'nt' and unknown", False),
        ("os.name == 'posix' and unknown", None),
        ("1 < x < 2", None),
        ("unknown", None),
        ("not unknown", None),
        ("unknown.startswith('a')", None),
        ("unknown is None", None),
        ("f\"{'\x01'}\" == unknown", None),
    ],
)
def test_what_a_target_tells_of_a_condition(
    condition: str, *, held: bool | None
) -> None:
    assert holds(ast.parse(condition, mode="eval").body, TARGET) is held


@pytest.mark.parametrize(
    ("handler", "forgiven"),
    [
        ("except ImportError: pass", True),
        ("except: pass", True),
        ("except (KeyError, OSError): x = None", True),
        ("except builtins.Exception as error: x = error", True),
        ("except KeyError: pass", False),
        ("except (KeyError, ValueError): pass", False),
        ("except IOError: pass", True),
        ("except ERRORS: pass", True),
        ("except (KeyError, *ERRORS): pass", True),
        ("except ImportError as error: raise Worse from error", False),
        ("except ImportError:\n  if x: raise\n  y = 1", True),
    ],
)
def test_an_import_may_fail_above_a_handler_that_goes_on(
    handler: str, *, forgiven: bool
) -> None:
    (node,) = ast.parse(f"try:\n  pass\n{handler}").body
    assert isinstance(node, ast.Try)

    assert forgives(node.handlers[0]) is forgiven


@pytest.mark.parametrize(
    ("context", "forgiven"),
    [
        ("suppress(ImportError)", True),
        ("contextlib.suppress(KeyError, OSError)", True),
        ("suppress(KeyError)", False),
        ("warnings.catch_warnings()", False),
        ("open(name)", False),
        ("lock", True),
        ("try_import()", True),
    ],
)
def test_an_import_may_fail_where_its_errors_may_be_suppressed(
    context: str, *, forgiven: bool
) -> None:
    assert suppresses(ast.parse(context, mode="eval").body) is forgiven
