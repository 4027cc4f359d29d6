""".pre-commit-hooks.yaml: lawful, with commands and options that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
from pre_commit.clientlib import load_manifest

from tests.commands import parsed

MANIFEST: Final = Path(__file__).parents[2] / ".pre-commit-hooks.yaml"
# Which also holds it to pre-commit's own schema.
HOOKS: Final[dict[str, dict[str, Any]]] = {
    hook["id"]: hook for hook in load_manifest(str(MANIFEST))
}

each_hook = pytest.mark.parametrize("name", HOOKS)


def takes(name: str, path: str) -> bool:
    """Say whether a hook is run for a file, as pre-commit does."""
    return re.search(HOOKS[name]["files"], path) is not None


def test_there_are_two_hooks() -> None:
    assert list(HOOKS) == ["layerforge-check", "layerforge-zip-size"]


@each_hook
def test_a_hook_is_installed_by_pip_and_calls_us(name: str) -> None:
    hook = HOOKS[name]

    assert hook["language"] == "python"
    assert shlex.split(hook["entry"])[0] == "layerforge"


def test_the_options_of_the_check_are_known() -> None:
    words = shlex.split(HOOKS["layerforge-check"]["entry"])[1:]

    values = parsed([*words, "--project", "."])

    assert (values["names"], values["folder"]) == ((), Path())


def test_the_options_of_the_size_of_zips_are_known() -> None:
    words = shlex.split(HOOKS["layerforge-zip-size"]["entry"])[1:]

    values = parsed([*words, "--max-unzipped", "200 MB", "a.zip", "b.zip"])

    assert values["static"] is True
    assert list(values["only"]) == ["size"]


def test_the_check_is_always_run_as_what_it_reads_may_have_any_name() -> None:
    hook = HOOKS["layerforge-check"]

    assert (hook["always_run"], hook["pass_filenames"]) == (True, False)


def test_zips_are_weighed_and_nothing_else() -> None:
    assert takes("layerforge-zip-size", "dist/web-python3.13-arm64.zip")
    assert not takes("layerforge-zip-size", "web.zip.txt")
