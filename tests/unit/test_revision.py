from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from layerforge.errors import ConfigError
from layerforge.revision import files_at, git_revision, project_version


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


def contents(folder: Path, revision: str = "HEAD") -> dict[str, bytes]:
    found = files_at(folder, revision, lambda _path: True)
    return {str(path): data for path, data in found.items()}


def refused(folder: Path, revision: str = "HEAD") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        contents(folder, revision)
    return caught.value


def test_files_are_as_they_were_at_a_revision(checkout: Path) -> None:
    (checkout / "file").write_text("two")

    assert contents(checkout) == {"file": b"one"}


def test_files_are_told_from_the_folder_that_is_asked(checkout: Path) -> None:
    inner = checkout / "in ner"
    inner.mkdir()
    odd = {"ö\n": b"", "b": b"1\n\n2 blob 3\n"}
    for name, data in odd.items():
        (inner / name).write_bytes(data)
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "two")

    assert contents(inner) == odd


def test_only_wanted_files_are_read(checkout: Path) -> None:
    assert files_at(checkout, "HEAD", lambda path: path.name == "none") == {}


@pytest.mark.parametrize("revision", ["nope", "", "HEAD^{tree}", "--all", "HEAD:file"])
def test_a_revision_that_is_none_is_refused(checkout: Path, revision: str) -> None:
    error = refused(checkout, revision)

    assert error.message == f"git knows no revision {revision!r} here"
    assert error.remedy == (
        "Name a branch, a tag or a commit: git fetch brings those of others."
    )


def test_a_shallow_clone_says_how_to_fetch_more(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "commit", "--quiet", "--allow-empty", "-m", "two")
    shallow = tmp_path / "shallow"
    git(checkout, "clone", "--quiet", "--depth=1", checkout.as_uri(), str(shallow))

    error = refused(shallow, "HEAD^")

    assert error.message == "git knows no revision 'HEAD^' here: the clone is shallow"
    assert error.remedy == (
        "Fetch what is missing: git fetch --unshallow (for actions/checkout, "
        "fetch-depth: 0)."
    )


def test_outside_of_a_repository_git_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    error = refused(tmp_path)

    assert error.message == (
        f"{tmp_path} is in no git repository, so there is no earlier revision"
    )
    assert error.remedy == ("Run it in a clone of the project, or leave out --against.")


def test_a_repository_of_somebody_else_says_how_to_allow_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own, for this

    error = refused(checkout)

    assert error.message == (
        f"git reads nothing in {checkout}, which belongs to another user"
    )
    assert error.remedy == (
        f"Allow it: git config --global --add safe.directory {checkout}"
    )


def test_without_git_there_is_no_earlier_revision(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    error = refused(checkout)

    assert error.message == "there is no git here to ask for an earlier revision"
    assert error.remedy == "Install it, or leave out --against."


def test_a_clone_that_lacks_a_file_is_told(checkout: Path) -> None:
    blob = git(checkout, "rev-parse", "HEAD:file")
    (checkout / ".git" / "objects" / blob[:2] / blob[2:]).unlink()

    error = refused(checkout)

    assert error.message == "git hasn't got all files of that revision"
    assert error.remedy.endswith("git fsck")
