"""Strictness costs nothing: popular wheels pass, hostile ones on the index do not."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from layerforge.archives.zips import index_zip
from layerforge.errors import ArchiveError

pytestmark = pytest.mark.network

POPULAR = (
    *("attrs", "boto3", "certifi", "cffi", "charset-normalizer", "click", "fsspec"),
    *("idna", "jinja2", "markupsafe", "orjson", "packaging", "pip", "protobuf"),
    *("pydantic-core", "python-dateutil", "pyyaml", "requests", "rich", "setuptools"),
    *("six", "sqlalchemy", "tzdata", "urllib3"),
)

HOSTILE = {
    "cbwheeldiff2": "cbwheeldiff2-0.0.1-py2.py3-none-any.whl: "
    "'./cbwheeldiff2-0.0.1.dist-info/RECORD': the name holds '.' for a folder",
    "cbwheelstreamtest": "cbwheelstreamtest-0.0.1-py2.py3-none-any.whl: "
    "'cbwheelstreamtest/__init__.py': 168 bytes behind it belong to no entry",
    "cbwheelziptest": "cbwheelziptest-0.0.2-py2.py3-none-any.whl: "
    "its directory is not where its end says",
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    pip = (sys.executable, "-m", "pip", "download", "--quiet")
    options = ("--no-deps", "--only-binary", ":all:", "--dest", str(folder))
    subprocess.run([*pip, *options, *POPULAR, *HOSTILE], check=True)
    return folder


def the_wheel(project: str, wheels: Path) -> Path:
    [wheel] = wheels.glob(f"{project.replace('-', '_')}-*.whl")
    return wheel


@pytest.mark.parametrize("project", POPULAR)
def test_a_popular_wheel_is_read_with_all_its_files(project: str, wheels: Path) -> None:
    wheel = the_wheel(project, wheels)
    with zipfile.ZipFile(wheel) as archive:
        expected = {name: archive.read(name) for name in archive.namelist()}

    found = {
        entry.path: entry.content.inflated()
        for entry in index_zip(wheel)
        if entry.content is not None
    }

    assert found == {
        name: content for name, content in expected.items() if name[-1] != "/"
    }


@pytest.mark.parametrize("project", HOSTILE)
def test_a_hostile_wheel_is_refused(project: str, wheels: Path) -> None:
    with pytest.raises(ArchiveError) as caught:
        index_zip(the_wheel(project, wheels))

    assert caught.value.message == HOSTILE[project]
