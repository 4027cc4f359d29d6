from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from layerforge.ecosystems.node.binaries import find_missing
from layerforge.ecosystems.node.platforms import named_for, named_for_another
from layerforge.findings import Severity
from layerforge.target import Arch, Target, find_runtime
from layerforge.tree import Tree
from tests.entries import make_entry

ARM: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.ARM64)
OPTIONAL: Final = {
    "@demo/linux-arm64": "1",
    "@demo/linux-x64": "1",
    "@demo/linuxmusl-arm64": "1",
    "@demo/linux-arm64-musl": "1",
    "@demo/darwin-arm64": "1",
    "bufferutil": "1",
}


def tree_of(folder: Path, manifests: Mapping[str, dict[str, Any]]) -> Tree:
    return Tree(
        tuple(
            make_entry(
                folder,
                f"nodejs/node_modules/{place}/package.json",
                json.dumps(manifest).encode(),
            )
            for place, manifest in sorted(manifests.items())
        )
    )


def test_a_package_without_its_native_code_is_warned_of(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"demo": {"optionalDependencies": OPTIONAL}})

    (finding,) = find_missing(tree, ARM)

    assert finding.severity is Severity.WARNING
    assert finding.path == "nodejs/node_modules/demo"
    assert finding.message == (
        "demo has native code for nodejs22.x-arm64 in @demo/linux-arm64, which is "
        "not in the layer"
    )


@pytest.mark.parametrize("other", ["@demo/linux-x64", "@demo/linuxmusl-arm64"])
def test_native_code_of_another_platform_instead_is_an_error(
    other: str, tmp_path: Path
) -> None:
    manifests = {"demo": {"optionalDependencies": OPTIONAL}, other: {}}

    (finding,) = find_missing(tree_of(tmp_path, manifests), ARM)

    assert finding.severity is Severity.ERROR


def test_an_optional_package_of_no_platform_is_nothing_instead(tmp_path: Path) -> None:
    manifests = {"demo": {"optionalDependencies": OPTIONAL}, "bufferutil": {}}

    (finding,) = find_missing(tree_of(tmp_path, manifests), ARM)

    assert finding.severity is Severity.WARNING


@pytest.mark.parametrize(
    "place", ["@demo/linux-arm64", "demo/node_modules/@demo/linux-arm64"]
)
def test_native_code_is_looked_for_as_node_does(place: str, tmp_path: Path) -> None:
    manifests: dict[str, dict[str, Any]] = {
        "demo": {"optionalDependencies": OPTIONAL},
        "@demo/linux-x64": {},
        place: {},
    }

    assert list(find_missing(tree_of(tmp_path, manifests), ARM)) == []


def test_native_code_inside_of_another_package_is_not_found(tmp_path: Path) -> None:
    manifests: dict[str, dict[str, Any]] = {
        "demo": {"optionalDependencies": OPTIONAL},
        "other/node_modules/@demo/linux-arm64": {},
    }

    assert len(list(find_missing(tree_of(tmp_path, manifests), ARM))) == 1


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{", b'{"optionalDependencies": 1}'])
def test_a_damaged_manifest_asks_for_nothing(manifest: bytes, tmp_path: Path) -> None:
    path = "nodejs/node_modules/demo/package.json"

    tree = Tree((make_entry(tmp_path, path, manifest),))

    assert list(find_missing(tree, ARM)) == []


@pytest.mark.parametrize(
    ("name", "arch"),
    [
        ("demo-linux-x64", Arch.X86_64),
        ("demo-linux-64", Arch.X86_64),
        ("demo-linux-amd64", Arch.X86_64),
        ("demo-linux-x86_64", Arch.X86_64),
        ("demo-linux-arm64", Arch.ARM64),
        ("demo-linux-aarch64", Arch.ARM64),
        ("demo-linux-arm-64", Arch.ARM64),
    ],
)
def test_a_processor_goes_by_several_names(name: str, arch: Arch) -> None:
    targets = [Target(runtime=find_runtime("nodejs22.x"), arch=each) for each in Arch]

    assert [one.arch for one in targets if named_for(name, one)] == [arch]
    assert [one.arch for one in targets if not named_for_another(name, one)] == [arch]


@pytest.mark.parametrize(
    "name", ["demo-linux-x86", "demo-linux-arm", "demo-linux-ppc64le", "demo-mips-64"]
)
def test_what_is_for_another_processor_is_for_no_target(name: str) -> None:
    targets = [Target(runtime=find_runtime("nodejs22.x"), arch=each) for each in Arch]

    assert not any(named_for(name, one) for one in targets)
    assert all(named_for_another(name, one) for one in targets)
