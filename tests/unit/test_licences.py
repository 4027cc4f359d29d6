from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from layerforge.documents.licences import licences_of, listed

DIST_INFO = "python/demo-1.0.dist-info/METADATA"


def licences(folder: Path, files: dict[str, str]) -> tuple[str, ...]:
    path = folder / "layer.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return licences_of(path)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param("License-Expression: MIT\nLicense: BSD", "MIT", id="expression"),
        pytest.param("License: BSD", "BSD", id="licence"),
        pytest.param(
            "License: UNKNOWN\n"
            "Classifier: License :: OSI Approved :: MIT License\n"
            "Classifier: Programming Language :: Python :: 3",
            "MIT License",
            id="classifier",
        ),
        pytest.param(
            "Classifier: License :: OSI Approved\n"
            "Classifier: License :: OSI Approved :: Apache Software License\n"
            "Classifier: License :: OSI Approved :: BSD License",
            "Apache Software License OR BSD License",
            id="classifiers",
        ),
        pytest.param(
            f"License: {'Permission is granted ' * 9}\n"
            "Classifier: License :: OSI Approved :: MIT License",
            "MIT License",
            id="text of a licence",
        ),
    ],
)
def test_a_wheels_licence_is_in_its_metadata(
    tmp_path: Path, metadata: str, expected: str
) -> None:
    assert licences(tmp_path, {DIST_INFO: f"Name: demo\n{metadata}\n\nX"}) == (
        expected,
    )


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ('{"license": "ISC"}', ("ISC",)),
        ('{"license": {"type": "MIT", "url": "https://example.org"}}', ("MIT",)),
        ('{"name": "demo"}', ()),
        ('{"license": 7}', ()),
        ("[]", ()),
        ("no JSON", ()),
    ],
)
def test_an_npm_packages_licence_is_in_its_package_json(
    tmp_path: Path, document: str, expected: tuple[str, ...]
) -> None:
    path = "nodejs/node_modules/@scope/demo/package.json"

    assert licences(tmp_path, {path: document}) == expected


def test_a_package_json_inside_of_a_package_is_no_package(tmp_path: Path) -> None:
    path = "nodejs/node_modules/demo/lib/package.json"

    assert licences(tmp_path, {path: '{"license": "MIT"}'}) == ()


def test_each_licence_is_named_once_and_in_order(tmp_path: Path) -> None:
    files = {
        f"python/lib/python3.13/site-packages/{name}.dist-info/METADATA": (
            f"License-Expression: {licence}\n"
        )
        for name, licence in (("a-1", "MIT"), ("b-1", "Apache-2.0"), ("c-1", "MIT"))
    }

    assert licences(tmp_path, files) == ("Apache-2.0", "MIT")


def test_a_list_that_fits_is_whole() -> None:
    assert listed(["Apache-2.0", "MIT"], most=15) == "Apache-2.0, MIT"


def test_a_list_that_does_not_fit_has_a_count() -> None:
    assert listed(["Apache-2.0", "ISC", "MIT"], most=16) == "and 3 more"
    assert listed(["MIT", "Apache-2.0", "ISC"], most=16) == "MIT, and 2 more"


def test_no_licences_are_no_text() -> None:
    assert listed([], most=10) == ""
