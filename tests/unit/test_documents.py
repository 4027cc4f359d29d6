from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from layerforge.documents.writing import write_documents
from layerforge.errors import BuildError
from layerforge.manifest import BuildReport
from layerforge.plan import Job
from layerforge.spec import LayerSpec
from tests.layers import Layer, python_layer
from tests.wheels import make_wheel


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    wheel = make_wheel(tmp_path, "demo", "1.0", {".dist-info/LICENSE": b"Be kind.\n"})
    return python_layer(wheel, roots=["demo"])


def prepare(
    layer: Layer, folder: Path, places: ExitStack, *, licence_texts: bool
) -> BuildReport:
    job = Job(
        spec=replace(LayerSpec(name="web"), licence_texts=licence_texts),
        target=layer.target,
        lock_file=folder / "pylock.web.toml",
        output=folder / "dist" / "web.zip",
        lock_words=(),
    )
    return write_documents(layer.report, job, [layer.lock], layer.tree, places)


def write(layer: Layer, folder: Path, *, licence_texts: bool) -> BuildReport:
    with ExitStack() as places:
        return prepare(layer, folder, places, licence_texts=licence_texts)


def test_a_bill_of_materials_is_always_written(layer: Layer, tmp_path: Path) -> None:
    report = write(layer, tmp_path, licence_texts=False)

    assert (report.sbom, report.licence_texts) == ("web.cdx.json", "")
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["web.cdx.json"]


def test_licences_are_written_where_asked_for(layer: Layer, tmp_path: Path) -> None:
    report = write(layer, tmp_path, licence_texts=True)

    assert report.licence_texts == "web.licences.txt"
    text = (tmp_path / "dist" / "web.licences.txt").read_text(encoding="utf-8")
    assert text.startswith("The licences of web for python3.13-arm64\n")
    assert "\nBe kind.\n" in text


def test_nothing_takes_its_place_where_something_else_fails(
    layer: Layer, tmp_path: Path
) -> None:
    places = ExitStack()
    prepare(layer, tmp_path, places, licence_texts=True)
    error = BuildError("the disk is full")

    places.__exit__(BuildError, error, None)

    assert list((tmp_path / "dist").iterdir()) == []
