"""data/checks.toml: every check that the program can name has its row, and is used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from layerforge.findings import Check, Severity, load_checks
from layerforge.project import read_project
from layerforge.reports.checks import check_text, checks_text, waiver_example

PACKAGE: Final = Path(__file__).parents[2] / "layerforge"
CHECKS: Final = load_checks()
WIDTH: Final = 80

each_check = pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))


def emitted() -> set[str]:
    """Give every text that the sources hand to something as its ``check``."""
    return {
        text
        for path in PACKAGE.rglob("*.py")
        for text in _emitted_by(ast.parse(path.read_text(encoding="utf-8")))
    }


def graded() -> set[tuple[str, str]]:
    """Give the severities that the sources hand to something beside a ``check``."""
    return {
        (check, severity)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for check in _emitted_by(_keyword(node, "check"))
        for severity in _severities(_keyword(node, "severity"))
    }


def _keyword(call: ast.Call, name: str) -> ast.Module:
    found = [keyword for keyword in call.keywords if keyword.arg == name]
    return ast.Module([ast.Expr(ast.Call(ast.Name("f"), [], found))], [])


def _severities(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr in Severity.__members__:
            yield Severity[node.attr].value


def _emitted_by(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.keyword) and node.arg == "check":
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def test_every_check_that_is_emitted_has_a_row_and_every_row_is_emitted() -> None:
    assert emitted() == set(CHECKS)


def test_a_row_says_every_severity_that_is_emitted() -> None:
    known = {
        (check.id, severity)
        for check in CHECKS.values()
        for severity in check.severity.split(" or ")
    }

    assert graded() - known == set()
    assert len(graded()) >= len(CHECKS) / 2  # the rest takes its severity from a name


@each_check
def test_a_row_is_written_for_people(check: Check) -> None:
    words = check.severity.split(" or ")

    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", check.id)
    assert set(words) <= set(Severity)
    for sentence in (check.title, check.why, check.remedy):
        assert sentence == sentence.strip()
        assert sentence.endswith(".")
    assert len(check.title) <= WIDTH


@each_check
def test_what_explain_says_fits_a_terminal(check: Check) -> None:
    lines = check_text(check).splitlines()

    assert [line for line in lines if len(line) > WIDTH] == []
    assert check.title in lines[0]


@each_check
def test_the_waiver_that_explain_shows_is_one_that_is_read(
    check: Check, tmp_path: Path
) -> None:
    example = waiver_example(check)
    if not check.waivable:
        assert example not in check_text(check)
        return
    file = tmp_path / "layerforge.toml"
    file.write_text(f'{example}\nrequirements = ["demo"]\n', encoding="utf-8")

    (layer,) = read_project(file).layers

    assert [waiver.check for waiver in layer.waivers] == [check.id]


def test_all_checks_in_one_table_fit_a_terminal() -> None:
    lines = checks_text(CHECKS.values()).splitlines()

    assert [line for line in lines if len(line) > WIDTH] == []
    assert {line.split()[0] for line in lines if line[0] != " "} == set(CHECKS)
