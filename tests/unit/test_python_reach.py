"""What importing a layer's modules loads, without importing them."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerforge.ecosystems import ecosystem_of
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import FileEntry, unite
from tests.entries import make_entry
from tests.libraries import foreign, library

TARGET = Target(runtime=find_runtime("python3.12"), arch=find_arch("x86_64"))
SUFFIX = ".cpython-312-x86_64-linux-gnu.so"
CORE = f"python/demo/_core{SUFFIX}"


def loaded(folder: Path, sources: dict[str, str], *native: FileEntry) -> set[str]:
    entries = [
        make_entry(folder, f"python/{path}", text.encode())
        for path, text in sources.items()
    ]
    tree = unite([*entries, *native])
    return set(ecosystem_of(TARGET).loaded(tree, TARGET))


@pytest.mark.parametrize(
    "text",
    [
        "from . import _core",
        "from ._core import *",
        "from demo._core import a as b",
        "import demo._core",
        "import os, demo._core as core",
        "from . import _core\n_core = _core.wrapped\nraise SystemExit",
        "import importlib\nimportlib.import_module('demo._core')",
        "from importlib import import_module\ncore = import_module('._core', 'demo')",
        "class A:\n    from . import _core",
        "with warnings.catch_warnings():\n    from . import _core",
        "import sys\nif sys.platform != 'win32':\n    from . import _core",
        "if TYPE_CHECKING:\n    import x\nelse:\n    from . import _core",
        "if sys.version_info > (3,):\n    from . import _core",
        "try:\n    from . import _core\nexcept KeyError:\n    pass",
        "try:\n    from . import _core\nexcept ImportError as e:\n    raise Oh from e",
        "try:\n    pass\nexcept OSError:\n    pass\nfinally:\n    import demo._core",
        (
            "try:\n    SETUP\nexcept NameError:\n    SETUP = False\n"
            "if SETUP:\n    pass\nelse:\n    from . import _core"
        ),
        "def f(\n    a,\n):\n    return 1\n\nfrom . import _core",
        'def f():\n    """\nA line that is indented less.\n"""\nfrom . import _core',
        '"""\ndef is a word\n    of Python"""\nfrom . import _core',
    ],
)
def test_what_is_imported_for_certain_is_loaded(tmp_path: Path, text: str) -> None:
    found = loaded(tmp_path, {"demo/__init__.py": text}, library(CORE))

    assert found == {CORE}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "def f():\n    from . import _core",
        "async def f():\n    from . import _core",
        "class A:\n    def f(self):\n        from . import _core",
        "if TYPE_CHECKING:\n    from . import _core",
        "if sys.platform == 'win32':\n    from . import _core",
        "if unknown():\n    from . import _core\nelse:\n    from . import _core",
        "try:\n    from . import _core\nexcept ImportError:\n    _core = None",
        "try:\n    import x\nexcept ImportError:\n    from . import _core",
        "try:\n    x\nexcept Exception:\n    pass\nelse:\n    from . import _core",
        "with contextlib.suppress(OSError):\n    import demo._core",
        "from .. import _core",
        (
            "try:\n    import x\n    HAS = True\nexcept ImportError:\n    HAS = False\n"
            "if HAS:\n    from . import _core"
        ),
        "HAS = False\nHAS = f()\nif not HAS:\n    from . import _core",
        "from x import HAS\nHAS = False\nif not HAS:\n    from . import _core",
        "HAS = False\nHAS, why = f()\nif not HAS:\n    from . import _core",
        "HAS = False\nfor HAS in f():\n    pass\nif not HAS:\n    from . import _core",
        "HAS = False\nwith f() as HAS:\n    pass\nif not HAS:\n    from . import _core",
        "HAS = False\n(HAS := f())\nif not HAS:\n    from . import _core",
        "HAS = False\nfrom x import *\nif not HAS:\n    from . import _core",
        (
            "HAS = False\ndef f():\n    global HAS\n    HAS = True\nf()\n"
            "if not HAS:\n    from . import _core"
        ),
        "with try_import() as attempt:\n    from . import _core",
        "ERRORS = OSError\ntry:\n    from . import _core\nexcept ERRORS:\n    pass",
        "raise ImportError('not here')\nfrom . import _core",
        "if os.name == 'posix':\n    raise SystemExit\nfrom . import _core",
        "HAS = False\ndef HAS():\n    pass\nif not HAS:\n    from . import _core",
        "import_module(name)",
        "from . import _core (",
        "import demo._other",
        "SETUP = True\nif x.SETUP:\n    from . import _core",
        f"if {'+'.join('a' * 900)}:\n    from . import _core",
        f"if {'not ' * 900}a:\n    from . import _core",
    ],
)
def test_what_may_not_be_imported_is_not_loaded(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, {"demo/__init__.py": text}, library(CORE)) == set()


def test_modules_are_followed_through_the_layer(tmp_path: Path) -> None:
    sources = {
        "demo.py": "import a.b.c",
        "a/__init__.py": "",
        "a/b/__init__.py": "from ..d import x",
        "a/b/c.py": "",
        "a/d.py": "from . import _e",
    }
    extension = library("python/a/_e.abi3.so")

    assert loaded(tmp_path, sources, extension) == {extension.path}


@pytest.mark.parametrize(
    "text",
    [
        "_core = None",
        "if os.name == 'nt':\n    import other as _core",
        "from .other import _core",
        "def _core():\n    pass",
    ],
)
def test_a_name_of_its_package_s_own_comes_before_a_module(
    tmp_path: Path, text: str
) -> None:
    sources = {"demo/__init__.py": text, "user.py": "from demo import _core"}

    assert loaded(tmp_path, sources, library(CORE)) == set()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "def f():\n    _core = None",
        "class A:\n    _core = None",
        "if TYPE_CHECKING:\n    from . import _core",
    ],
)
def test_a_module_is_loaded_where_its_package_has_no_such_name(
    tmp_path: Path, text: str
) -> None:
    sources = {"demo/__init__.py": text, "user.py": "from demo import _core"}

    assert loaded(tmp_path, sources, library(CORE)) == {CORE}


def test_a_top_level_extension_is_loaded(tmp_path: Path) -> None:
    assert loaded(tmp_path, {}, library("python/demo.abi3.so")) == {
        "python/demo.abi3.so"
    }


def test_an_extension_that_takes_its_package_s_place_is_loaded(tmp_path: Path) -> None:
    bootstrap = "def bootstrap():\n    native = importlib.import_module('demo')"
    extension = library("python/demo/demo.abi3.so")

    assert loaded(tmp_path, {"demo/__init__.py": bootstrap}, extension) == {
        extension.path
    }
    assert loaded(tmp_path, {"demo/__init__.py": ""}, extension) == set()


def test_what_a_compiled_module_was_made_from_tells_what_it_imports(
    tmp_path: Path,
) -> None:
    sources = {"demo.py": "import other._core", "other/__init__.py": ""}
    compiled, core = f"python/demo{SUFFIX}", f"python/other/_core{SUFFIX}"

    assert loaded(tmp_path, sources, library(compiled), library(core)) == {
        compiled,
        core,
    }


@pytest.mark.parametrize("call", ["'lib_demo.so'", 'path + "/lib/lib_demo.so"'])
def test_a_library_that_is_named_in_full_is_loaded(tmp_path: Path, call: str) -> None:
    sources = {"demo/__init__.py": "from . import find", "demo/find.py": f"x = {call}"}
    one = library("python/demo/lib/lib_demo.so")
    of_another = library("python/other/lib_demo.so")

    assert loaded(tmp_path, sources, one, of_another) == {one.path}


def test_a_library_of_another_name_may_be_opened_later(tmp_path: Path) -> None:
    sources = {"demo/__init__.py": "x = 'libplugin.so'"}

    assert loaded(tmp_path, sources, library("python/demo/libplugin.so")) == set()


@pytest.mark.parametrize(
    "name", ["_core.cpython-312-darwin.so", "_core.cp312-win_amd64.pyd", "_core.so"]
)
def test_what_stands_in_the_place_of_a_module_for_the_target_is_loaded(
    tmp_path: Path, name: str
) -> None:
    sources = {"demo/__init__.py": "from . import _core"}
    entry = foreign(f"python/demo/{name}")

    assert loaded(tmp_path, sources, entry) == {entry.path}


def test_a_module_for_the_target_comes_before_those_for_others(tmp_path: Path) -> None:
    sources = {"demo/__init__.py": "from . import _core"}
    others = (
        foreign("python/demo/_core.cpython-312-darwin.so"),
        library("python/demo/_core.cpython-311-x86_64-linux-gnu.so"),
    )

    assert loaded(tmp_path, sources, library(CORE), *others) == {CORE}


def test_a_module_in_python_is_not_missed_for_a_compiled_one_of_others(
    tmp_path: Path,
) -> None:
    sources = {"demo/__init__.py": "from . import _core", "demo/_core.py": ""}
    other = foreign("python/demo/_core.cpython-312-darwin.so")

    assert loaded(tmp_path, sources, other) == set()


def test_lambda_s_first_folder_comes_first(tmp_path: Path) -> None:
    place = "lib/python3.12/site-packages/demo/__init__.py"
    sources = {place: "", "demo/__init__.py": "from . import _core"}

    assert loaded(tmp_path, sources, library(CORE)) == set()
