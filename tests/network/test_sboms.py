"""Bills of materials of real layers: valid, and whole by what is in the zip itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from layerforge.archives.zips import index_zip
from layerforge.documents.licence_texts import licence_texts_path
from layerforge.documents.sbom import sbom_path
from layerforge.inventory import packages_in
from layerforge.jobs import Selection, select_jobs
from layerforge.pipeline import build_layer
from layerforge.plan import Job
from layerforge.project import find_project
from layerforge.store import Store
from layerforge.tools import Tools

pytestmark = pytest.mark.network

NPM: Final = pytest.mark.skipif(
    shutil.which("npm") is None, reason="npm makes its lock"
)
LAYERS: Final = [
    pytest.param(
        'requirements = ["pandas", "requests"]\nruntimes = ["python3.13"]\n',
        id="python",
    ),
    # setuptools has distributions inside of it.
    pytest.param(
        'requirements = ["setuptools"]\nruntimes = ["python3.12"]\n', id="vendored"
    ),
    pytest.param(
        'packages = ["pg", "@aws-sdk/client-s3"]\nruntimes = ["nodejs22.x"]\n',
        id="node",
        marks=NPM,
    ),
    # npm brings packages inside of it.
    pytest.param(
        'packages = ["npm@11"]\nruntimes = ["nodejs22.x"]\n', id="bundled", marks=NPM
    ),
]

Builder = Callable[[str], Job]


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """Build a layer of a few lines of layerforge.toml, with its licences."""

    def build(lines: str) -> Job:
        config = f'[layers.web]\n{lines}architectures = ["arm64"]\n'
        (tmp_path / "layerforge.toml").write_text(config)
        selection = Selection(folder=tmp_path)
        [job] = select_jobs(selection, find_project(tmp_path))
        job = replace(job, spec=replace(job.spec, licence_texts=True))
        build_layer(job, Tools(store=Store(tmp_path / "store")))
        return job

    return build


@pytest.mark.parametrize("lines", LAYERS)
def test_a_bill_of_materials_has_all_packages_of_the_zip(
    lines: str, build: Builder
) -> None:
    job = build(lines)
    text = sbom_path(job.output).read_text(encoding="utf-8")
    components: list[dict[str, Any]] = json.loads(text)["components"]

    told = {
        ("/".join(filter(None, (row.get("group"), row["name"]))), row["version"])
        for row in components
    }
    found = packages_in(index_zip(job.output, layer=True))

    assert {(one.name, one.version) for one in found if one.version} - told == set()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


@pytest.mark.parametrize("lines", LAYERS)
def test_every_component_has_a_licence_and_a_text_or_a_reason(
    lines: str, build: Builder
) -> None:
    job = build(lines)
    document = json.loads(sbom_path(job.output).read_text(encoding="utf-8"))
    texts = licence_texts_path(job.output).read_text(encoding="utf-8")

    silent = [
        row["bom-ref"]
        for row in document["components"]
        if "licenses" not in row
        and "layerforge:no-licence" not in {each["name"] for each in row["properties"]}
    ]
    unnamed = [
        row["bom-ref"]
        for row in document["components"]
        if f"{row['name']} {row['version']} (" not in texts
    ]

    assert silent == []
    assert unnamed == []
