from __future__ import annotations

import json
from pathlib import Path

from layerforge.ecosystems.node.sdk import find_partial_sdk
from layerforge.findings import Finding, Severity
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import unite
from tests.entries import make_entry

TARGET = Target(runtime=find_runtime("nodejs22.x"), arch=find_arch("arm64"))


def found(folder: Path, packages: dict[str, list[str]]) -> list[Finding]:
    """Find in a layer of packages by place, each with what it depends on."""
    entries = [
        make_entry(
            folder,
            f"nodejs/node_modules/{place}/package.json",
            json.dumps({"dependencies": dict.fromkeys(names, "*")}).encode(),
        )
        for place, names in packages.items()
    ]
    return list(find_partial_sdk(unite(entries), TARGET))


def test_a_client_without_its_parts_is_warned_of(tmp_path: Path) -> None:
    client = ["@aws-sdk/core", "@smithy/types", "tslib"]

    assert found(tmp_path, {"@aws-sdk/client-s3": client}) == [
        Finding(
            check="sdk",
            severity=Severity.WARNING,
            path="nodejs/node_modules/@aws-sdk/client-s3",
            message="@aws-sdk/client-s3 needs @aws-sdk/core and 1 more, which the "
            "layer hasn't got: it would run with the runtime's own, of another version",
            remedy="Have all of the SDK in the layer, or leave all of it to the "
            "runtime: exclude-runtime-sdk = true",
        )
    ]


def test_parts_are_found_as_node_finds_them(tmp_path: Path) -> None:
    packages = {
        "@aws-sdk/client-s3": ["@aws-sdk/core", "@smithy/types"],
        "@aws-sdk/client-s3/node_modules/@smithy/types": [],
        "@aws-sdk/core": [],
    }

    assert found(tmp_path, packages) == []


def test_what_only_uses_the_sdk_may_have_the_runtime_s(tmp_path: Path) -> None:
    assert found(tmp_path, {"middy": ["@aws-sdk/client-s3"]}) == []
