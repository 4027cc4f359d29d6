"""A layer that is divided into several zips."""

from __future__ import annotations

import hashlib
import json
import zipfile

import pytest

from tests.e2e.program import Program, files_below
from tests.servers import Index
from tests.wheels import make_wheel

PROJECT = """
[defaults]
runtimes = ["python3.12"]
architectures = ["x86_64"]

[layers.web]
requirements = ["large", "demo"]
max-unzipped = 2600
split = true
"""
NOISE = f"# {hashlib.shake_256(b'noise').hexdigest(1250)}\n".encode()
PARTS = ["web-1-python3.12-x86_64", "web-2-python3.12-x86_64"]


@pytest.fixture
def divided(layerforge: Program, index: Index) -> Program:
    make_wheel(index.folder, "large", "1.0", {"large.py": NOISE})
    layerforge.write("layerforge.toml", PROJECT)
    return layerforge


def below(program: Program) -> dict[str, bytes]:
    return files_below(program.folder / "dist")


def dist(program: Program) -> list[str]:
    return sorted(below(program))


def importable(program: Program, name: str) -> set[str]:
    with zipfile.ZipFile(program.folder / f"dist/{name}.zip") as archive:
        parts = {path.split("/")[1].removesuffix(".py") for path in archive.namelist()}
    return {part for part in parts if "-" not in part}


def test_a_layer_is_divided_by_packages(divided: Program) -> None:
    built = divided("build")

    assert (built.status, built.stdout.split()) == (
        0,
        [f"dist/{name}.zip" for name in PARTS],
    )
    assert [importable(divided, name) for name in PARTS] == [
        {"large"},
        {"demo", "helper"},
    ]


def test_each_part_has_a_manifest_of_its_own(divided: Program) -> None:
    divided("build")

    manifests = [
        json.loads((divided.folder / f"dist/{name}.json").read_text()) for name in PARTS
    ]

    assert [
        (one["layer"], one["part_of"], [each["name"] for each in one["packages"]])
        for one in manifests
    ] == [("web-1", "web", ["large"]), ("web-2", "web", ["demo", "helper"])]


def test_json_names_all_the_zips(divided: Program) -> None:
    (layer,) = divided("build", "--json").document["layers"]

    assert [path.rpartition("/")[2] for path in layer["paths"]] == [
        f"{name}.zip" for name in PARTS
    ]
    assert layer["parts"] == [f"{name}.zip" for name in PARTS]


def test_the_parts_are_shown_with_what_they_hold(divided: Program) -> None:
    shown = divided("build").stderr.splitlines()

    assert [line.split()[::3] for line in shown[-2:]] == [
        ["web-1", "large"],
        ["web-2", "demo,"],
    ]


def test_a_build_with_nothing_to_do_does_nothing(divided: Program) -> None:
    divided("build")

    again = divided("build")

    assert again.stderr == "web for python3.12-x86_64: unchanged\n"
    assert again.stdout.split() == [f"dist/{name}.zip" for name in PARTS]


def test_a_part_that_is_gone_is_built_again(divided: Program) -> None:
    divided("build")
    before = files_below(divided.folder / "dist")
    (divided.folder / f"dist/{PARTS[1]}.zip").unlink()

    divided("build")

    assert files_below(divided.folder / "dist") == before


def test_a_layer_that_is_no_longer_divided_leaves_no_parts(divided: Program) -> None:
    divided("build")
    divided.write("layerforge.toml", PROJECT.replace("2600", "30000"))

    built = divided("build")

    assert built.stdout == "dist/web-python3.12-x86_64.zip\n"
    assert not [name for name in dist(divided) if "web-1" in name or "web-2" in name]


def test_a_layer_that_is_divided_leaves_no_whole_zip(divided: Program) -> None:
    divided.write("layerforge.toml", PROJECT.replace("2600", "30000"))
    divided("build")
    divided.write("layerforge.toml", PROJECT)

    divided("build")

    assert [name for name in dist(divided) if name.endswith(".zip")] == [
        f"{name}.zip" for name in PARTS
    ]


def test_the_same_lock_is_divided_in_the_same_way(divided: Program) -> None:
    divided("build")
    before = files_below(divided.folder / "dist")

    divided("build", "--force")

    assert files_below(divided.folder / "dist") == before


def test_a_part_that_cannot_be_written_leaves_all_as_it_was(divided: Program) -> None:
    divided("build")
    sbom = divided.folder / f"dist/{PARTS[1]}.cdx.json"
    sbom.unlink()
    (sbom / "inside").mkdir(parents=True)
    divided.write("layerforge.toml", PROJECT + 'description = "other"\n')
    before = below(divided)

    built = divided("build", "--force")

    assert (built.status, built.stderr.splitlines()) == (
        4,
        [
            f"error: cannot write dist/{PARTS[1]}.cdx.json: it is a folder",
            "try: Move it away. What was there before is untouched.",
        ],
    )
    assert below(divided) == before


def test_licences_that_nobody_asks_for_any_more_go(divided: Program) -> None:
    divided.write("layerforge.toml", PROJECT + "licence-texts = true\n")
    divided("build")
    asked = [name for name in dist(divided) if name.endswith(".licences.txt")]
    divided.write("layerforge.toml", PROJECT)

    divided("build")

    assert asked == [f"{name}.licences.txt" for name in PARTS]
    assert not [name for name in dist(divided) if name.endswith(".licences.txt")]


def test_a_package_that_is_too_large_is_refused(divided: Program) -> None:
    divided.write("layerforge.toml", PROJECT.replace("2600", "2000"))

    built = divided("build")

    assert built.status == 5
    assert "a part of the layer would have " in built.stderr
    assert not (divided.folder / "dist").exists()


def test_a_part_that_needs_another_is_told(layerforge: Program, index: Index) -> None:
    make_wheel(index.folder, "large", "1.0", {"large.py": NOISE}, requires=("demo",))
    layerforge.write("layerforge.toml", PROJECT)

    built = layerforge("build")

    assert built.status == 0
    note = built.stderr.index("note[split]")
    assert built.stderr[note:].splitlines()[:2] == [
        "note[split]: web-1 needs demo and helper, which are in web-2",
        "  try: Add web-2 to functions that have web-1.",
    ]
