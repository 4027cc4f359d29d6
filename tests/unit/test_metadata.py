from __future__ import annotations

import json

import pytest

from layerforge.documents.metadata import Statement, place_of, read_statement

METADATA = "python/demo-1.0.dist-info/METADATA"
PACKAGE_JSON = "nodejs/node_modules/demo/package.json"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (METADATA, ""),
        ("python/lib/python3.13/site-packages/demo-1.0.dist-info/METADATA", ""),
        ("python/demo/_vendor/other-2.dist-info/METADATA", "demo/_vendor"),
        ("python/demo-1.0.dist-info/top_level.txt", None),
        (PACKAGE_JSON, "node_modules/demo"),
        ("nodejs/node22/node_modules/demo/package.json", "node_modules/demo"),
        ("nodejs/node_modules/@a/b/package.json", "node_modules/@a/b"),
        (
            "nodejs/node_modules/@a/b/node_modules/c/package.json",
            "node_modules/@a/b/node_modules/c",
        ),
        ("nodejs/node_modules/demo/esm/package.json", None),
        ("bin/package.json", None),
    ],
)
def test_a_package_stands_where_its_metadata_is(path: str, place: str | None) -> None:
    assert place_of(path) == place


def test_metadata_tells_of_a_distribution() -> None:
    document = (
        "Metadata-Version: 2.4\nName: Demo\nVersion: 1.0\nSummary: Ünïcode,\n  twice\n"
        "License-Expression: MIT\n\nSummary: no header\n"
    )

    assert read_statement(METADATA, document.encode()) == Statement(
        name="Demo", version="1.0", summary="Ünïcode, twice", licences=("MIT",)
    )


def test_a_long_expression_is_no_text_of_a_licence() -> None:
    expression = " AND ".join(f"LicenseRef-{number}" for number in range(20))
    document = f"License-Expression: {expression}\n"

    assert read_statement(METADATA, document.encode()).licences == (expression,)


def test_every_licence_of_the_classifiers_is_told() -> None:
    document = (
        "Classifier: License :: OSI Approved :: MIT License\n"
        "Classifier: License :: OSI Approved\n"
        "Classifier: License :: OSI Approved :: BSD License\n"
    )

    assert read_statement(METADATA, document.encode()).licences == (
        "BSD License",
        "MIT License",
    )


def test_package_json_tells_of_a_package() -> None:
    document = {
        "name": "@a/demo",
        "version": "1.0.0",
        "description": "Shows\n things",
        "license": "ISC",
    }

    assert read_statement(PACKAGE_JSON, json.dumps(document).encode()) == Statement(
        name="@a/demo", version="1.0.0", summary="Shows things", licences=("ISC",)
    )


def test_licences_as_packages_had_them_before_npm_2_are_read() -> None:
    document = {"licenses": [{"type": "MIT", "url": "https://example.org"}, "ISC", 7]}

    assert read_statement(PACKAGE_JSON, json.dumps(document).encode()) == Statement(
        licences=("ISC", "MIT")
    )


@pytest.mark.parametrize(
    "document",
    [b"", b"no JSON", b"[]", b"\xff", b"[" * 10_000, b'{"name": 1, "license": [1]}'],
)
def test_what_is_malformed_says_nothing(document: bytes) -> None:
    assert read_statement(PACKAGE_JSON, document) == Statement()


def test_half_a_character_is_replaced() -> None:
    document = b'{"name": "demo", "description": "half: \\ud800"}'

    assert read_statement(PACKAGE_JSON, document).summary == "half: ?"
