from __future__ import annotations

import json
from pathlib import Path

import pytest

from layerforge.inventory import Package, packages_in
from tests.entries import make_entry


def packages(folder: Path, files: dict[str, bytes]) -> dict[str, tuple[str, int]]:
    """Give version and bytes of each package that is found, by its key."""
    entries = [make_entry(folder, path, data) for path, data in files.items()]
    return {row.key: (row.version, row.size) for row in packages_in(entries)}


@pytest.mark.parametrize("root", ["python/", "python/lib/python3.13/site-packages/"])
def test_a_distribution_has_its_metadata_and_the_modules_of_its_name(
    tmp_path: Path, root: str
) -> None:
    files = {
        f"{root}Charset_Normalizer-3.5.dist-info/METADATA": b"m" * 10,
        f"{root}charset_normalizer/api.py": b"a" * 5,
        f"{root}charset_normalizer.libs/liba.so": b"l" * 2,
        f"{root}six-1.17.dist-info/METADATA": b"m",
        f"{root}six.py": b"s" * 3,
    }

    assert packages(tmp_path, files) == {
        "charset-normalizer": ("3.5", 17),
        "six": ("1.17", 4),
    }


def test_a_distribution_has_the_modules_that_it_names(tmp_path: Path) -> None:
    files = {
        "python/pillow-12.0.dist-info/top_level.txt": b"PIL\n",
        "python/PIL/Image.py": b"i" * 5,
        "python/cffi-2.1.dist-info/top_level.txt": b"_cffi_backend\ncffi\n",
        "python/_cffi_backend.cpython-313-x86_64-linux-gnu.so": b"so",
    }

    assert packages(tmp_path, files) == {"cffi": ("2.1", 21), "pillow": ("12.0", 9)}


def test_a_namespace_of_many_belongs_to_none(tmp_path: Path) -> None:
    files = {
        "python/google_api_core-2.0.dist-info/top_level.txt": b"google\n",
        "python/google_auth-2.1.dist-info/top_level.txt": b"google\n",
        "python/google/auth/a.py": b"a" * 50,
    }

    assert packages(tmp_path, files) == {
        "google-api-core": ("2.0", 7),
        "google-auth": ("2.1", 7),
    }


def test_an_egg_is_a_distribution(tmp_path: Path) -> None:
    files = {"python/old-1.0-py3.13.egg-info/PKG-INFO": b"m"}

    assert packages(tmp_path, files) == {"old": ("1.0", 1)}


@pytest.mark.parametrize("root", ["nodejs/", "nodejs/node22/"])
def test_a_node_package_is_known_by_its_place(tmp_path: Path, root: str) -> None:
    def manifest(version: str) -> bytes:
        return json.dumps({"version": version}).encode()

    modules = f"{root}node_modules"
    files = {
        f"{modules}/pg/package.json": manifest("8.1.0"),
        f"{modules}/pg/lib/index.js": b"x" * 5,
        f"{modules}/pg/node_modules/split2/package.json": manifest("4.2.0"),
        f"{modules}/@aws-sdk/core/package.json": manifest("3.0.0"),
        f"{modules}/.bin/tool": b"t",
        f"{modules}/.package-lock.json": b"{}",
    }

    size = len(manifest("8.1.0"))
    assert packages(tmp_path, files) == {
        "node_modules/@aws-sdk/core": ("3.0.0", size),
        "node_modules/pg": ("8.1.0", size + 5),
        "node_modules/pg/node_modules/split2": ("4.2.0", size),
    }


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", b"{broken"])
def test_a_node_package_that_tells_no_version_has_none(
    tmp_path: Path, text: bytes
) -> None:
    files = {"nodejs/node_modules/pg/package.json": text}

    assert packages(tmp_path, files) == {"node_modules/pg": ("", len(text))}


def test_a_node_package_has_the_name_of_its_folder(tmp_path: Path) -> None:
    entry = make_entry(tmp_path, "nodejs/node_modules/@a/b/index.js", b"x")

    assert packages_in([entry]) == (
        Package(name="@a/b", version="", size=1, location="node_modules/@a/b"),
    )


def test_other_files_are_of_no_package(tmp_path: Path) -> None:
    files = {"bin/tool": b"t", "python/mine.py": b"m", "lib/libpq.so.5": b"l"}

    assert packages(tmp_path, files) == {}
