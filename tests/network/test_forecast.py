"""What `size` says of real packages from afar, held to layers that are built."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from layerforge.forecast import Forecast, forecast_layer
from layerforge.jobs import Selection, select_forecasts, select_jobs
from layerforge.manifest import BuildReport
from layerforge.pipeline import build_layer
from layerforge.project import find_project
from layerforge.store import Store
from layerforge.strip import Profile
from layerforge.tools import Tools

pytestmark = [pytest.mark.network, pytest.mark.slow]

# Amazon Linux 2 and 2023, on either architecture.
TARGETS: Final = (("python3.11", "x86_64"), ("python3.13", "arm64"))
OTHERS: Final = (("python3.11", "arm64"), ("python3.13", "x86_64"))
LIBRARIES: Final = {
    ("pandas", "pyarrow", "requests"): TARGETS,
    ("scikit-learn",): OTHERS,
    ("cryptography",): TARGETS,
    ("psycopg2-binary",): OTHERS,
    ("pillow",): TARGETS,
    ("lxml",): OTHERS,
    ("opencv-python-headless",): TARGETS,
    ("grpcio",): OTHERS,
    ("matplotlib",): TARGETS,
    ("pydantic", "orjson"): OTHERS,
    ("shapely",): TARGETS,
    ("duckdb",): OTHERS,
}
# jmespath has a script, whose first line is the runtime's; zope's share a folder.
PURE: Final = (("boto3",), ("httpx",), ("zope-event", "zope-deprecation"))
NODE: Final = (("pg", "redis@^5"), ("sharp",), ("express@^5", "serverless-http"))
MARGIN: Final = 0.02

Weighed = tuple[Forecast, BuildReport]
Weigh = Callable[..., Weighed]


@pytest.fixture
def weigh(tmp_path: Path) -> Weigh:
    """Foretell a layer with an empty store, then build it."""
    tools = Tools(store=Store(tmp_path / "store"))

    def run(
        words: tuple[str, ...], file: Path, target: tuple[str, str], strip: Profile
    ) -> Weighed:
        node = file.name == "package.json"
        thought = Selection(
            folder=tmp_path,
            names=words,
            runtimes=target[:1],
            architectures=target[1:],
            strip=strip,
        )
        real = replace(
            thought,
            names=(),
            name="real",
            package_json=file if node else None,
            requirements=None if node else file,
        )
        project = find_project(tmp_path)
        [job] = select_forecasts(thought, project)
        if not node:  # a recipe's name asks for more than the package of that name
            file.write_text("\n".join(job.spec.requirements.lines))
        forecast = forecast_layer(job, tools)
        [job] = select_jobs(real, project)
        return forecast, build_layer(job, tools)

    return run


@pytest.fixture
def weigh_python(weigh: Weigh, tmp_path: Path) -> Weigh:
    def run(
        words: tuple[str, ...], target: tuple[str, str], strip: Profile = Profile.SAFE
    ) -> Weighed:
        return weigh(words, tmp_path / "requirements.txt", target, strip)

    return run


@pytest.mark.parametrize(
    ("words", "target"),
    [
        pytest.param(words, target, id="-".join((*words, *target)))
        for words, targets in LIBRARIES.items()
        for target in targets
    ],
)
def test_a_forecast_of_libraries_holds_within_2_percent(
    weigh_python: Weigh, words: tuple[str, ...], target: tuple[str, str]
) -> None:
    forecast, report = weigh_python(words, target)

    # A mirror that hasn't got a wheel yet may give it whole: all is certain then.
    margin = MARGIN if forecast.predicted else 0
    assert forecast.total == pytest.approx(report.unzipped, rel=margin)
    assert {one.name: one.version for one in forecast.packages} == {
        one.name: one.version for one in report.packages
    }


@pytest.mark.parametrize("words", PURE, ids="-".join)
@pytest.mark.parametrize("target", TARGETS, ids="-".join)
def test_a_forecast_without_libraries_is_exact(
    weigh_python: Weigh, words: tuple[str, ...], target: tuple[str, str]
) -> None:
    forecast, report = weigh_python(words, target)

    assert forecast.total == report.unzipped


def test_a_forecast_of_libraries_that_stay_whole_is_exact(weigh_python: Weigh) -> None:
    forecast, report = weigh_python(("numpy",), TARGETS[1], strip=Profile.NONE)

    assert not forecast.predicted
    assert forecast.total == report.unzipped


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm makes their locks")
@pytest.mark.parametrize("words", NODE, ids="-".join)
def test_a_forecast_for_node_is_exact(
    weigh: Weigh, words: tuple[str, ...], tmp_path: Path
) -> None:
    pairs = (word.partition("@") for word in words)
    asked = {name: wanted or "*" for name, _, wanted in pairs}
    file = tmp_path / "package.json"
    file.write_text(json.dumps({"name": "real", "dependencies": asked}))

    forecast, report = weigh(words, file, ("nodejs22.x", "arm64"), Profile.SAFE)

    assert forecast.total == report.unzipped
