"""What a layer lets a function import, told from the shapes that packages have."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerforge.ecosystems.python.importable import find_imports
from layerforge.target import Arch, Target, find_runtime
from tests.entries import make_entry

TARGET = Target(runtime=find_runtime("python3.13"), arch=Arch.X86_64)
PKGUTIL = b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"


def found(folder: Path, files: dict[str, bytes] | list[str]) -> dict[str, str]:
    """Give the modules of a layer with these files below python/, and their owners."""
    contents = files if isinstance(files, dict) else dict.fromkeys(files, b"")
    entries = [
        make_entry(folder, f"python/{path}", data, origin="")
        for path, data in contents.items()
    ]
    return {one.module: one.distribution for one in find_imports(entries, TARGET)}


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        pytest.param(["six.py"], ["six"], id="module"),
        pytest.param(["flask/__init__.py", "flask/app.py"], ["flask"], id="package"),
        pytest.param(["old.pyc", "pack/__init__.pyc"], ["old", "pack"], id="no source"),
        pytest.param(
            [
                "_cffi_backend.cpython-313-x86_64-linux-gnu.so",
                "_argon.abi3.so",
                "plain.so",
            ],
            ["_argon", "_cffi_backend", "plain"],
            id="extension modules",
        ),
        pytest.param(
            ["core/__init__.cpython-313-x86_64-linux-gnu.so"], ["core"], id="native"
        ),
        pytest.param(
            ["_x.cpython-312-x86_64-linux-gnu.so"], ["_x"], id="another Python's"
        ),
        pytest.param(
            ["lib/python3.13/site-packages/six.py"], ["six"], id="versioned folder"
        ),
        pytest.param(
            ["lib/python3.12/site-packages/six.py"], [], id="another version's folder"
        ),
        pytest.param(
            ["google/cloud/storage/__init__.py", "google/auth/__init__.py"],
            ["google.auth", "google.cloud.storage"],
            id="namespaces",
        ),
        pytest.param(["google/type/date_pb2.py"], ["google.type.date_pb2"], id="deep"),
        pytest.param(
            ["yaml.py", "yaml/data.py"], ["yaml"], id="module beside a folder"
        ),
        pytest.param(["__pycache__/six.cpython-313.pyc"], [], id="bytecode"),
        pytest.param(["six-1.17.dist-info/METADATA"], [], id="metadata"),
        pytest.param(["numpy.libs/libblas.so", "libhelp.so"], [], id="libraries"),
        pytest.param(["foo-stubs/__init__.pyi", "foo/py.typed"], [], id="types"),
        pytest.param(["81d243__mypyc.cpython-313.so", "class.py"], [], id="no names"),
        pytest.param(["bin/jp.py", "share/x/y.py", "tests/a.py"], [], id="no packages"),
        pytest.param(["tests/__init__.py"], ["tests"], id="but a real one"),
        pytest.param(["setup.py", "conftest.py", "__main__.py"], [], id="programs"),
    ],
)
def test_modules_are_what_a_function_could_import(
    tmp_path: Path, files: list[str], modules: list[str]
) -> None:
    assert list(found(tmp_path, files)) == modules


def test_a_declared_namespace_is_looked_into(tmp_path: Path) -> None:
    files = {"azure/__init__.py": PKGUTIL, "azure/core/__init__.py": b"x = 1\n"}

    assert list(found(tmp_path, files)) == ["azure.core"]


def test_what_is_not_below_python_is_not_imported(tmp_path: Path) -> None:
    entries = [make_entry(tmp_path, "lib/six.py"), make_entry(tmp_path, "six.py")]

    assert find_imports(entries, TARGET) == ()


def test_top_level_txt_tells_whose_a_module_is(tmp_path: Path) -> None:
    files = {
        "yaml/__init__.py": b"",
        "_yaml/__init__.py": b"",
        "PyYAML-6.0.dist-info/top_level.txt": b"_yaml\nyaml\ngone\n",
    }

    assert found(tmp_path, files) == {"_yaml": "pyyaml", "yaml": "pyyaml"}


@pytest.mark.parametrize(
    ("path", "distribution"),
    [
        ("charset_normalizer/__init__.py", "charset-normalizer"),
        ("dateutil/__init__.py", "python-dateutil"),
        ("_brotli.abi3.so", "brotli"),
        ("google/cloud/storage/__init__.py", "google-cloud-storage"),
        ("google/cloud/storage_v2/__init__.py", "google-cloud-storage"),
        ("google/cloud/bigquery/__init__.py", "google-cloud"),
        ("unheard_of.py", ""),
    ],
)
def test_a_name_tells_whose_a_module_is(
    tmp_path: Path, path: str, distribution: str
) -> None:
    names = ["charset_normalizer", "python_dateutil", "brotli"]
    names += ["google_cloud", "google_cloud_storage"]
    infos = [f"{name}-1.0.dist-info/METADATA" for name in names]

    assert list(found(tmp_path, [path, *infos]).values()) == [distribution]


def test_the_only_two_that_are_left_are_each_others(tmp_path: Path) -> None:
    files = [
        "six.py",
        "six-1.17.dist-info/METADATA",
        "bs4/__init__.py",
        "beautifulsoup4-4.14.dist-info/METADATA",
    ]

    assert found(tmp_path, files) == {"bs4": "beautifulsoup4", "six": "six"}


def test_the_origin_of_a_file_goes_before_all_guesses(tmp_path: Path) -> None:
    entry = make_entry(tmp_path, "python/six.py", origin="backports")

    (one,) = find_imports([entry], TARGET)

    assert (one.module, one.distribution) == ("six", "backports")
