from __future__ import annotations

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


def write(layer: Layer, folder: Path, *, licence_texts: bool) -> BuildReport:
    job = Job(
        spec=replace(LayerSpec(name="web"), licence_texts=licence_texts),
        target=layer.target,
        lock_file=folder / "pylock.web.toml",
        output=folder / "dist" / "web.zip",
        lock_words=(),
    )
    return write_documents(layer.report, job, [layer.lock], layer.tree)


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


def test_licences_that_nobody_asks_for_any_more_go(
    layer: Layer, tmp_path: Path
) -> None:
    write(layer, tmp_path, licence_texts=True)

    write(layer, tmp_path, licence_texts=False)

    assert not (tmp_path / "dist" / "web.licences.txt").exists()


def test_licences_that_do_not_go_are_an_error(layer: Layer, tmp_path: Path) -> None:
    stubborn = tmp_path / "dist" / "web.licences.txt"
    stubborn.mkdir(parents=True)

    with pytest.raises(BuildError) as caught:
        write(layer, tmp_path, licence_texts=False)

    assert caught.value.message.startswith(f"cannot remove {stubborn}: ")
