from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from layerforge.revision import git_revision, project_version


def git(folder: Path, *words: str) -> str:
    own = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    process = subprocess.run(
        ["git", *own, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return process.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


def test_the_revision_is_the_commits(checkout: Path) -> None:
    assert git_revision(checkout) == git(checkout, "rev-parse", "--short=12", "HEAD")


def test_a_tag_does_not_change_the_revision(checkout: Path) -> None:
    before = git_revision(checkout)
    git(checkout, "tag", "-a", "v1", "-m", "v1")

    assert git_revision(checkout) == before


def test_a_changed_file_makes_it_dirty(checkout: Path) -> None:
    (checkout / "file").write_text("two")

    assert git_revision(checkout).endswith("-dirty")


def test_outside_of_a_checkout_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert git_revision(tmp_path) == ""


def test_the_version_is_pyprojects(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2"\n')
    (tmp_path / "package.json").write_text('{"version": "3.4"}')

    assert project_version(tmp_path) == "1.2"


def test_the_version_is_package_jsons_where_pyproject_has_none(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.layerforge]\n")
    (tmp_path / "package.json").write_text('{"version": "3.4"}')

    assert project_version(tmp_path) == "3.4"


@pytest.mark.parametrize("text", ["", "[1]", '{"version": null}', '{"name": "x"}'])
def test_there_may_be_no_version(tmp_path: Path, text: str) -> None:
    (tmp_path / "package.json").write_text(text)

    assert project_version(tmp_path) == ""
