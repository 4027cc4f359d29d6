from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from layerforge.documents.sbom import dump_sbom, sbom_path
from layerforge.lock import Lock, commit_archive
from tests.layers import Layer, node_layer, python_layer
from tests.wheels import make_wheel

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
EMPTY: Final = hashlib.sha256(b"").hexdigest()


def sbom_of(layer: Layer, locks: Sequence[Lock] = ()) -> dict[str, Any]:
    locks = locks or [layer.lock]
    text = dump_sbom(layer.report, layer.target, locks, layer.tree)
    document: dict[str, Any] = json.loads(text)
    return document


def component_of(layer: Layer, ref: str) -> dict[str, Any]:
    rows = {row["bom-ref"]: row for row in sbom_of(layer)["components"]}
    found: dict[str, Any] = rows[ref]
    return found


def demo(folder: Path, *metadata: str) -> Layer:
    wheel = make_wheel(folder, "demo", "1.0", {"demo.py": b"x"}, metadata=metadata)
    return python_layer(wheel, roots=["demo"])


def properties_of(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["name"], each["value"]) for each in row["properties"]]


def test_a_python_layer_is_told_whole(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        "demo",
        "1.0",
        {"demo.py": b"x"},
        requires=["other"],
        metadata=["Summary: Shows things", "License-Expression: mit"],
    )
    other = make_wheel(tmp_path, "other", "2.0", {}, metadata=["License: Beerware 42"])
    layer = python_layer(wheel, other, roots=["demo"])
    tree = layer.tree.digest
    sizes = {
        name: str(sum(entry.size for entry in layer.tree if entry.origin == name))
        for name in ("demo", "other")
    }

    document = sbom_of(layer)

    assert uuid.UUID(document.pop("serialNumber")).version == 5
    assert document == {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "bom-ref": "layer:web",
                "type": "library",
                "name": "web",
                "version": tree[:12],
                "hashes": [{"alg": "SHA-256", "content": EMPTY}],
                "properties": [
                    {"name": "layerforge:target", "value": "python3.13-arm64"},
                    {"name": "layerforge:tree-digest", "value": f"sha256:{tree}"},
                    {
                        "name": "layerforge:unzipped-bytes",
                        "value": str(layer.tree.size),
                    },
                ],
            },
            "lifecycles": [{"phase": "build"}],
            "tools": {
                "components": [
                    {"type": "application", "name": "layerforge", "version": "1.2.3"}
                ]
            },
        },
        "components": [
            {
                "bom-ref": "demo",
                "type": "library",
                "name": "demo",
                "version": "1.0",
                "description": "Shows things",
                "purl": "pkg:pypi/demo@1.0",
                "hashes": [
                    {"alg": "SHA-256", "content": layer.lock.pins[0].digest},
                ],
                "licenses": [{"license": {"id": "MIT", "acknowledgement": "declared"}}],
                "externalReferences": [
                    {
                        "type": "distribution",
                        "url": f"https://files.example.org/{wheel.name}",
                    }
                ],
                "properties": [
                    {"name": "layerforge:files", "value": "4"},
                    {"name": "layerforge:unzipped-bytes", "value": sizes["demo"]},
                ],
            },
            {
                "bom-ref": "other",
                "type": "library",
                "name": "other",
                "version": "2.0",
                "purl": "pkg:pypi/other@2.0",
                "hashes": [
                    {"alg": "SHA-256", "content": layer.lock.pins[1].digest},
                ],
                "licenses": [
                    {"license": {"name": "Beerware 42", "acknowledgement": "declared"}}
                ],
                "externalReferences": [
                    {
                        "type": "distribution",
                        "url": f"https://files.example.org/{other.name}",
                    }
                ],
                "properties": [
                    {"name": "layerforge:files", "value": "3"},
                    {"name": "layerforge:unzipped-bytes", "value": sizes["other"]},
                ],
            },
        ],
        "dependencies": [
            {"ref": "demo", "dependsOn": ["other"]},
            {"ref": "layer:web", "dependsOn": ["demo"]},
            {"ref": "other"},
        ],
    }


def test_a_layer_with_all_that_there_may_be_follows_the_schema(tmp_path: Path) -> None:
    commit = commit_archive("git", "https://git.example.org/one.git", COMMIT, "src")
    licences = ["mit", "GPL-2.0+", "MIT AND ISC", "LicenseRef-Own", "Beerware"]
    names = [f"demo{number}" for number in range(len(licences))]
    layer = (
        python_layer(
            *(
                make_wheel(tmp_path, name, "1.0", {}, metadata=[f"License: {licence}"])
                for name, licence in zip(names, licences, strict=True)
            ),
            roots=names,
        )
        .with_pin("demo1", **commit)
        .with_pin("demo2", url="https://files.example.org/a b.whl")
        .with_files(tmp_path, {"bin/run": b""})
        .without("python/demo4-1.0.dist-info")
    )
    lock = replace(layer.lock, provided=("boto3",))
    report = replace(layer.report, description="For the web", licence="MIT, and more")

    text = dump_sbom(report, layer.target, [lock], layer.tree)

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_a_package_of_npms_has_its_scope_and_its_place(tmp_path: Path) -> None:
    place = "node_modules/a/node_modules/@b/c"
    layer = node_layer(
        tmp_path,
        {
            "node_modules/a": ({"name": "a", "version": "1.0.0"}, {}),
            place: ({"name": "@b/c", "version": "2.0.0", "license": "ISC"}, {}),
        },
        roots=["a"],
    )

    row = component_of(layer, place)

    assert (row["group"], row["name"], row["version"]) == ("@b", "c", "2.0.0")
    assert row["purl"] == "pkg:npm/%40b/c@2.0.0"
    assert row["hashes"] == [{"alg": "SHA-512", "content": layer.lock.pins[1].digest}]
    assert ("cdx:npm:package:path", place) in properties_of(row)


def test_a_bundled_package_says_inside_of_what(tmp_path: Path) -> None:
    bundled = {"name": "inner", "version": "3.0.0", "license": "ISC"}
    layer = node_layer(
        tmp_path,
        {
            "node_modules/a": (
                {"name": "a", "version": "1.0.0"},
                {"node_modules/inner/package.json": json.dumps(bundled).encode()},
            )
        },
        roots=["a"],
    )

    row = component_of(layer, "nodejs/node_modules/a/node_modules/inner")

    assert row["purl"] == "pkg:npm/inner@3.0.0"
    assert "hashes" not in row
    assert properties_of(row) == [("layerforge:inside-of", "a")]


@pytest.mark.parametrize(
    ("metadata", "licences"),
    [
        (["License-Expression: mit"], [{"license": {"id": "MIT"}}]),
        (["License: GPL-2.0+"], [{"expression": "GPL-2.0+"}]),
        (
            ["License-Expression: (mit OR apache-2.0)"],
            [{"expression": "(MIT OR Apache-2.0)"}],
        ),
        (["License-Expression: LicenseRef-Own"], [{"expression": "LicenseRef-Own"}]),
        (["License: BSD"], [{"license": {"name": "BSD"}}]),
        (
            [
                "Classifier: License :: OSI Approved :: MIT License",
                "Classifier: License :: ISC",
            ],
            [{"license": {"id": "ISC"}}, {"license": {"name": "MIT License"}}],
        ),
    ],
)
def test_a_licence_is_an_identifier_an_expression_or_a_name(
    tmp_path: Path, metadata: list[str], licences: list[dict[str, Any]]
) -> None:
    rows = component_of(demo(tmp_path, *metadata), "demo")["licenses"]

    stated = {row.get("license", row).pop("acknowledgement") for row in rows}
    assert stated == {"declared"}
    assert rows == licences


def test_a_package_without_a_licence_says_why(tmp_path: Path) -> None:
    silent = demo(tmp_path)
    lost = silent.without("python/demo-1.0.dist-info/METADATA")
    own = silent.with_files(tmp_path, {"bin/run": b""})

    reasons = [
        dict(properties_of(component_of(layer, ref)))["layerforge:no-licence"]
        for layer, ref in ((silent, "demo"), (lost, "demo"), (own, "include:files"))
    ]

    assert reasons == [
        "the package states none",
        "its metadata was left out",
        "the layer's own files",
    ]


def test_a_package_of_which_nothing_is_left_is_excluded(tmp_path: Path) -> None:
    layer = demo(tmp_path).with_files(tmp_path, {"bin/run": b""}).without("python")

    row = component_of(layer, "demo")

    assert row["scope"] == "excluded"
    assert ("layerforge:files", "0") in properties_of(row)


def test_own_files_are_no_package(tmp_path: Path) -> None:
    row = component_of(
        demo(tmp_path).with_files(tmp_path, {"bin/run": b"12"}), "include:files"
    )

    assert row == {
        "bom-ref": "include:files",
        "type": "file",
        "name": "include",
        "properties": [
            {"name": "layerforge:files", "value": "1"},
            {"name": "layerforge:no-licence", "value": "the layer's own files"},
            {"name": "layerforge:unzipped-bytes", "value": "2"},
        ],
    }


def test_a_long_summary_is_left_out(tmp_path: Path) -> None:
    row = component_of(demo(tmp_path, f"Summary: {'long ' * 50}"), "demo")

    assert "description" not in row


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "https://user:secret@files.example.org/a/demo.whl?token=secret#sha256=secret",
            ["https://files.example.org/a/demo.whl"],
        ),
        ("https://files.example.org/a b.whl", ["https://files.example.org/a%20b.whl"]),
        ("file:///home/someone/demo.whl", []),
        ("file://localhost/home/someone/demo.whl", []),
        ("https://files.example.org/%zz.whl", []),
        ("", []),
    ],
)
def test_an_address_has_no_secret_and_no_path_of_this_machine(
    tmp_path: Path, url: str, told: list[str]
) -> None:
    row = component_of(demo(tmp_path).with_pin("demo", url=url), "demo")

    assert [each["url"] for each in row.get("externalReferences", [])] == told


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            f"git+https://a:secret@git.example.org/demo.git@{COMMIT}#subdirectory=src",
            f"git+https://git.example.org/demo.git@{COMMIT}#src",
        ),
        (
            f"git+ssh://git@git.example.org/a/demo.git#{COMMIT}",
            f"git+ssh://git.example.org/a/demo.git@{COMMIT}",
        ),
        (
            f"git+https://git.example.org/a/demo.git?token=secret@{COMMIT}",
            f"git+https://git.example.org/a/demo.git@{COMMIT}",
        ),
    ],
)
def test_a_commit_is_told_with_its_repository(
    tmp_path: Path, url: str, told: str
) -> None:
    layer = demo(tmp_path).with_pin("demo", filename="", url=url)

    row = component_of(layer, "demo")

    assert row["externalReferences"] == [{"type": "vcs", "url": told}]
    assert "hashes" not in row
    assert ("layerforge:compiled", "true") in properties_of(row)


def test_the_purl_of_a_commit_has_its_repository(tmp_path: Path) -> None:
    archive = commit_archive("git", "https://git.example.org/a/demo.git", COMMIT)
    layer = demo(tmp_path).with_pin("demo", **archive)

    assert component_of(layer, "demo")["purl"] == (
        f"pkg:pypi/demo@1.0?vcs_url=git%2Bhttps://git.example.org/a/demo.git%40{COMMIT}"
    )


def test_what_names_itself_as_no_package_can_has_no_purl(tmp_path: Path) -> None:
    inside = {"demo/_vendor/x-1.dist-info/METADATA": b"Name: x/\nVersion: 1\n"}
    wheel = make_wheel(tmp_path, "demo", "1.0", {"demo/__init__.py": b"", **inside})
    layer = python_layer(wheel, roots=["demo"])

    rows = sbom_of(layer)["components"]

    assert {row.get("purl") for row in rows} == {"pkg:pypi/demo@1.0", None}


def test_a_commit_of_a_repository_of_this_machine_is_not_told(tmp_path: Path) -> None:
    archive = commit_archive("git", "file:///home/someone/demo", COMMIT)
    layer = demo(tmp_path).with_pin("demo", **archive)

    row = component_of(layer, "demo")

    assert (row["purl"], row.get("externalReferences")) == ("pkg:pypi/demo@1.0", None)


def test_a_folder_has_no_hash_of_an_archive(tmp_path: Path) -> None:
    layer = demo(tmp_path).with_pin(
        "demo", url="file:///home/someone/demo", filename="demo-1.0.tgz"
    )

    assert "hashes" not in component_of(layer, "demo")


def test_what_the_runtime_brings_is_a_property_of_the_layer(tmp_path: Path) -> None:
    layer = demo(tmp_path)
    lock = replace(layer.lock, provided=("botocore", "boto3"))

    row = sbom_of(layer, [lock])["metadata"]["component"]

    assert [value for name, value in properties_of(row) if "provided" in name] == [
        "boto3",
        "botocore",
        "python3.13",
    ]


def test_what_a_layer_below_has_is_told_with_its_zip(tmp_path: Path) -> None:
    layer = demo(tmp_path)
    lock = replace(layer.lock, provided=("urllib3",))
    report = replace(layer.report, provided_by=("base.zip",))

    document = json.loads(dump_sbom(report, layer.target, [lock], layer.tree))

    row = document["metadata"]["component"]
    assert [pair for pair in properties_of(row) if "provided" in pair[0]] == [
        ("layerforge:provided", "urllib3"),
        ("layerforge:provided-by", "base.zip"),
    ]


def test_one_zip_for_several_runtimes_has_them_all(tmp_path: Path) -> None:
    layer = demo(tmp_path)
    locks = [layer.lock, replace(layer.lock, target="python3.14-arm64")]

    document = sbom_of(layer, locks)

    assert properties_of(document["metadata"]["component"])[:2] == [
        ("layerforge:target", "python3.13-arm64"),
        ("layerforge:target", "python3.14-arm64"),
    ]
    assert [row["bom-ref"] for row in document["components"]] == ["demo"]


def test_a_layer_says_its_own_licence_and_description(tmp_path: Path) -> None:
    layer = demo(tmp_path)
    report = replace(layer.report, description="For the web", licence="MIT, and more")

    text = dump_sbom(report, layer.target, [layer.lock], layer.tree)

    row = json.loads(text)["metadata"]["component"]
    assert row["description"] == "For the web"
    assert row["licenses"] == [
        {"license": {"name": "MIT, and more", "acknowledgement": "declared"}}
    ]


def test_another_layer_has_another_serial_number(tmp_path: Path) -> None:
    layer = demo(tmp_path)

    numbers = {
        sbom_of(each)["serialNumber"]
        for each in (
            layer,
            layer.with_pin("demo", digest="0" * 64),
            layer.with_files(tmp_path, {"bin/run": b""}),
            replace(layer, lock=replace(layer.lock, layer="api")),
        )
    }

    assert len(numbers) == 4


def test_a_bill_of_materials_lies_beside_its_zip() -> None:
    assert sbom_path(Path("dist/web-python3.13-arm64.zip")) == Path(
        "dist/web-python3.13-arm64.cdx.json"
    )
