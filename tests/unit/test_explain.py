"""layerforge explain, as its users call it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from layerforge.cli import group
from layerforge.errors import ConfigError
from layerforge.findings import load_checks


def explained(*words: str) -> str:
    result = CliRunner().invoke(group, ["explain", *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_check_is_explained() -> None:
    assert explained("case") == (
        "Two names differ in case alone.\n\n"
        "  check     case\n"
        "  severity  warning\n\n"
        "Lambda's file system keeps both. macOS and Windows unpack only one of them, "
        "so\n"
        "what is tried there isn't what runs.\n\n"
        "try: Leave one of them out with exclude, or rename it.\n\n"
        "Where it is meant to be, say so in layerforge.toml, with the reason. A "
        "folder\n"
        "stands for all that is in it; without a path the whole layer is meant.\n\n"
        "  [layers.web]\n"
        "  waive = [\n"
        '      {check = "case", path = "python/demo", why = "Never used."},\n'
        "  ]\n"
    )


def test_lambda_s_own_limits_can_t_be_waived() -> None:
    text = explained("size")

    assert text.endswith("\nIt can't be waived: Lambda itself refuses such a layer.\n")
    assert "waive =" not in text


def test_an_unknown_check_is_refused_with_those_that_are_like_it() -> None:
    with pytest.raises(ConfigError) as caught:
        explained("lnik")

    assert caught.value.message == "no check is called lnik"
    assert caught.value.remedy == (
        "Did you mean link? layerforge explain lists them all."
    )


def test_json_has_a_check_or_all_of_them() -> None:
    one, all_ = json.loads(explained("pth", "--json")), json.loads(explained("--json"))

    assert (one["format"], one["id"], one["waivable"]) == (1, "pth", True)
    assert [check["id"] for check in all_["checks"]] == list(load_checks())
