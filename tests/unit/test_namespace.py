"""Which files of two packages at one path may be taken for one."""

from __future__ import annotations

import zlib
from hashlib import sha256
from pathlib import Path

import pytest

from layerforge.ecosystems.python.namespace import same_or_namespace
from layerforge.tree import STORED, Content, FileEntry

PKGUTIL = b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
IMPORTED = (
    b"from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)"
)
RESOURCES = b"__import__('pkg_resources').declare_namespace(__name__)\n"
EITHER = (
    b"try:\n    __import__('pkg_resources').declare_namespace(__name__)\n"
    b"except ImportError:\n    from pkgutil import extend_path\n"
    b"    __path__ = extend_path(__path__, __name__)\n"
)
ANNOTATED = (
    b'"""A namespace."""\nfrom typing import List\nimport pkgutil\n'
    b"__path__: List[str] = pkgutil.extend_path(__path__, __name__)\n"
)
INIT = "python/google/__init__.py"


def entry(
    folder: Path, data: bytes, path: str = INIT, origin: str = "demo"
) -> FileEntry:
    digest = sha256(data).hexdigest()
    file = folder / digest
    file.write_bytes(data)
    content = Content(
        file=str(file),
        offset=0,
        length=len(data),
        method=STORED,
        size=len(data),
        crc32=zlib.crc32(data),
        sha256=digest,
    )
    return FileEntry(path=path, origin=origin, content=content)


@pytest.mark.parametrize("one", [PKGUTIL, IMPORTED, RESOURCES, EITHER, ANNOTATED])
@pytest.mark.parametrize("other", [PKGUTIL, b"# a licence\n" + EITHER])
def test_declarations_of_a_namespace_are_one(
    tmp_path: Path, one: bytes, other: bytes
) -> None:
    assert same_or_namespace(entry(tmp_path, one), entry(tmp_path, other))


def test_equal_files_are_one(tmp_path: Path) -> None:
    one = entry(tmp_path, b"x = 1", "python/a.py", "one")
    other = entry(tmp_path, b"x = 1", "python/a.py", "other")

    assert same_or_namespace(one, other)


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"version = '1'\n",
        b"def extend_path(): ...\n",
        PKGUTIL + b"def more(): ...\n",
        PKGUTIL + b"class More: ...\n",
        PKGUTIL + b"async def more(): ...\n",
        PKGUTIL + b"import os\n",
        PKGUTIL + b"version = '1'\n",
        PKGUTIL + b"from google.own import *\n",
        PKGUTIL + b"#" * 5000,
        PKGUTIL + b"-" * 4000 + b"1",
        b"import pkgutil\nother = pkgutil.extend_path(__path__, __name__)\n",
        b"extend_path(\n",
        b"extend_path\0",
        b"# extend_path \xff",
    ],
)
def test_a_file_that_does_more_is_another(tmp_path: Path, other: bytes) -> None:
    declaration = entry(tmp_path, PKGUTIL)

    assert not same_or_namespace(declaration, entry(tmp_path, other))
    assert not same_or_namespace(entry(tmp_path, other), declaration)


def test_declarations_count_in_init_files_alone(tmp_path: Path) -> None:
    one = entry(tmp_path, PKGUTIL, "python/google/path.py")
    other = entry(tmp_path, RESOURCES, "python/google/path.py")

    assert not same_or_namespace(one, other)


def test_a_link_is_no_declaration(tmp_path: Path) -> None:
    link = FileEntry(path=INIT, origin="demo", link="elsewhere.py")

    assert not same_or_namespace(link, entry(tmp_path, PKGUTIL))
