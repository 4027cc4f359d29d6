"""What `layerforge init` writes, and whether it can be used as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from layerforge.aws.releases import NAME
from layerforge.project import find_project
from layerforge.spec import LayerSpec, PublishSpec
from layerforge.template import project_text

NAMED = ("src/handler.js", "src/shared/a.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my web"
    for name in NAMED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def layers_of(folder: Path, text: str) -> tuple[LayerSpec, ...]:
    (folder / "layerforge.toml").write_text(text)
    return find_project(folder).layers


def begun(folder: Path) -> dict[str, str]:
    """Give what asks for what, by layer, as a project in this folder begins."""
    return {
        layer.name: layer.requirements.file.name
        if layer.requirements.file
        else " ".join(layer.requirements.lines)
        for layer in layers_of(folder, project_text(folder))
    }


def uncommented(text: str) -> str:
    """Take up every key that is there as a comment."""
    return re.sub(r"^# (?=\[|[a-z-]+ = )", "", text, flags=re.MULTILINE)


def test_an_empty_folder_begins_with_a_layer_for_python(folder: Path) -> None:
    assert begun(folder) == {"my-web": "requests>=2.32"}


def test_a_package_json_makes_a_layer_for_node(folder: Path) -> None:
    (folder / "package.json").touch()

    assert begun(folder) == {"my-web": "package.json"}


def test_a_folder_of_both_languages_begins_with_a_layer_of_each(folder: Path) -> None:
    (folder / "package.json").touch()
    (folder / "requirements.txt").touch()

    assert begun(folder) == {
        "my-web": "requirements.txt",
        "my-web-node": "package.json",
    }


@pytest.mark.parametrize(
    ("names", "runtimes"),
    [
        ((), ["python3.13"]),
        (("package.json",), ["nodejs24.x"]),
        (("package.json", "requirements.in"), ["python3.13", "nodejs24.x"]),
    ],
)
def test_runtimes_are_those_of_the_languages(
    folder: Path, names: tuple[str, ...], runtimes: list[str]
) -> None:
    for name in names:
        (folder / name).touch()
    (folder / "layerforge.toml").write_text(project_text(folder))

    assert [runtime.id for runtime in find_project(folder).runtimes] == runtimes


def test_every_commented_key_is_one_that_the_layer_takes(folder: Path) -> None:
    (folder / "package.json").touch()
    (folder / "pyproject.toml").touch()
    (folder / "requirements.txt").touch()
    text = project_text(folder).replace('"requirements.txt"', '"pyproject.toml"')

    python, node = layers_of(folder, uncommented(text))

    assert (python.bytecode, python.requirements.extras) == (True, ("excel",))
    assert (node.shake, node.versioned_folder) == (True, True)


def test_every_commented_key_of_publish_is_one_that_it_takes(folder: Path) -> None:
    text = project_text(folder)
    layers_of(folder, uncommented(text[text.index("# [publish]") :]))

    assert find_project(folder).publish == PublishSpec(
        regions=("eu-west-1",),
        name=NAME,
        description="{layer} {version}, {revision}",
        licence="Apache-2.0",
        bucket="layers-{account}-{region}",
        grants=("123456789012",),
    )


def test_a_long_name_still_is_one_of_a_layer(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 120)
    folder.mkdir()
    for name in ("package.json", "requirements.txt"):
        (folder / name).touch()

    python, node = layers_of(folder, project_text(folder))

    assert (python.name, node.name) == ("a" * 90, "a" * 90 + "-node")
