from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from layerforge.findings import Finding, Severity
from layerforge.manifest import (
    BuildReport,
    PackageReport,
    RemovalReport,
    dump_manifest,
    is_whole,
    manifest_path,
    outputs,
    read_manifest,
    summarise,
    to_document,
)
from layerforge.strip import Removal

REPORT = BuildReport(
    layer="wéb",
    runtime="python3.12",
    runtimes=("python3.12",),
    architecture="arm64",
    description="What the web needs",
    licence="MIT",
    zip="web-python3.12-arm64.zip",
    zipped=1000,
    unzipped=5000,
    files=12,
    code_sha256="q83v",
    tree_digest="ab" * 32,
    lock="pylock.web-python312-arm64.toml",
    lock_digest="cd" * 32,
    packages=(
        PackageReport(
            name="demo",
            version="1.0",
            archive="demo-1.0-py3-none-any.whl",
            digest="sha256:" + "ef" * 32,
            location="",
            size=4000,
            files=10,
            required_by=("other", "third"),
        ),
    ),
    removals=(RemovalReport(rule="tests", files=1, size=7, paths=("python/tests/a",)),),
    trimmed=100,
    bytecode=0,
    bytecode_estimate=300,
    findings=(
        Finding(
            check="library", severity=Severity.WARNING, message="needs x", path="a.so"
        ),
    ),
    layerforge="0.1.0",
)


def kept(text: str, folder: Path) -> Path:
    archive = folder / "web-python3.12-arm64.zip"
    manifest_path(archive).write_text(text, encoding="utf-8")
    return archive


def changed(**fields: object) -> str:
    return json.dumps(json.loads(dump_manifest(REPORT)) | fields)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    archive = kept(dump_manifest(REPORT), tmp_path)

    assert read_manifest(archive) == REPORT


def test_a_manifest_lies_beside_its_zip() -> None:
    assert manifest_path(Path("dist/web-python3.12-arm64.zip")) == Path(
        "dist/web-python3.12-arm64.json"
    )


def test_a_manifest_is_json_for_people() -> None:
    text = dump_manifest(REPORT)

    assert text.startswith('{\n  "format": 1,\n  "layer": "wéb",\n')
    assert text.endswith("}\n")
    assert json.loads(text)["findings"][0]["severity"] == "warning"


def test_whether_anything_changed_is_told_but_not_kept() -> None:
    unchanged = replace(REPORT, unchanged=True)

    assert "unchanged" not in to_document(REPORT)
    assert to_document(unchanged) == to_document(REPORT) | {"unchanged": True}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        changed(format=0),
        changed(packages=None),
        changed(packages=[{"name": "demo"}]),
        changed(removals=[{}]),
        changed(findings=[{"severity": "unheard of"}]),
        changed(new_field=1),
        dump_manifest(REPORT)[:-9],
        "[" * 100_000,
    ],
)
def test_a_manifest_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    assert read_manifest(kept(text, tmp_path)) is None


def test_a_manifest_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "web.zip") is None


def test_the_target_is_named_as_people_write_it() -> None:
    assert REPORT.target == "python3.12-arm64"


def test_the_target_names_all_runtimes_that_one_zip_is_for() -> None:
    both = replace(REPORT, runtimes=("python3.12", "python3.13"))

    assert both.target == "python3.12-python3.13-arm64"


def test_where_nodejs_has_a_package_is_kept(tmp_path: Path) -> None:
    place = "node_modules/a/node_modules/demo"
    (package,) = REPORT.packages
    report = replace(REPORT, packages=(replace(package, location=place),))

    kept_again = read_manifest(kept(dump_manifest(report), tmp_path))

    assert kept_again == report


def test_removals_are_added_up_by_rule_in_order() -> None:
    removals = [
        Removal(rule=rule, path=path, origin="demo", size=size)
        for rule, path, size in (
            ("tests", "python/tests/a", 5),
            ("caches", "python/b.pyc", 7),
            ("tests", "python/tests/c", 11),
        )
    ]

    assert summarise(removals) == (
        RemovalReport(
            rule="tests", files=2, size=16, paths=("python/tests/a", "python/tests/c")
        ),
        RemovalReport(rule="caches", files=1, size=7, paths=("python/b.pyc",)),
    )


def test_a_shaken_layer_is_known_by_what_went() -> None:
    gone = RemovalReport(rule="shake", files=1, size=7, paths=("nodejs/a.js",))

    assert replace(REPORT, removals=(*REPORT.removals, gone)).shaken
    assert not REPORT.shaken


@pytest.mark.parametrize(
    "fields",
    [
        {"parts": ["../web-1.zip"]},
        {"provided_by": ["/srv/base.zip"]},
        {"provided_by": [7]},
        {"provided_by": [""]},
        {"parts": "web.zip"},
        {"parts": ["a" * 256]},
        {"runtimes": [7]},
        {"runtimes": "python3.13"},
        {"sbom": "../../etc/passwd"},
        {"architecture": 7},
        {"layer": ["web"]},
    ],
)
def test_a_manifest_that_leads_elsewhere_or_is_none_of_ours_is_none(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    assert read_manifest(kept(changed(**fields), tmp_path)) is None


def test_the_zips_of_a_divided_layer_lie_beside_it(tmp_path: Path) -> None:
    archive = tmp_path / "web.zip"
    whole = replace(REPORT, parts=("web-1.zip", "web-2.zip"), zip="")

    assert outputs(archive, REPORT) == (archive,)
    assert outputs(archive, whole) == (tmp_path / "web-1.zip", tmp_path / "web-2.zip")


def test_a_layer_is_whole_while_all_its_files_are_there(tmp_path: Path) -> None:
    archive = tmp_path / "web.zip"
    report = replace(REPORT, zip="web.zip", sbom="web.cdx.json")
    archive.touch()

    assert not is_whole(archive, report)

    (tmp_path / "web.cdx.json").touch()

    assert is_whole(archive, report)
