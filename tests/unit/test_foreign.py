"""Other tools' locks: uv's by uv itself, poetry's and pipenv's by stand-ins on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from layerforge.ecosystems.python.foreign import (
    export_requirements,
    read_foreign_pylock,
)
from layerforge.ecosystems.python.uv import Uv
from layerforge.errors import ConfigError, LockError
from layerforge.indexes import IndexSettings
from layerforge.spec import Requirements
from tests.servers import Index
from tests.wheels import make_wheel

PROJECT = """
[project]
name = "app"
version = "1"
requires-python = "{python}"
dependencies = ["base; platform_machine == 'aarch64'", "common"]
[project.optional-dependencies]
fast = ["speedy"]
[dependency-groups]
dev = ["tester"]
prod = ["server"]
"""

# Tells its arguments and folder, then prints what it was given to print.
STAND_IN = """#!/bin/sh
pwd > "{told}"
for argument in "$@"; do echo "$argument" >> "{told}"; done
{script}
"""


@pytest.fixture(autouse=True)
def _neutral(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def uv(tmp_path: Path) -> Uv:
    return Uv(indexes=IndexSettings(), cache=tmp_path / "uv", folder=tmp_path)


class TestUv:
    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[Index]:
        folder = tmp_path / "index"
        for name in ("base", "common", "speedy", "tester", "server"):
            make_wheel(folder, name, "1.0", {f"{name}.py": b""})
        with Index(folder) as index:
            yield index

    @pytest.fixture
    def lock(self, index: Index, tmp_path: Path) -> Callable[[str], Path]:
        def make(python: str = ">=3.9") -> Path:
            folder = tmp_path / "project"
            folder.mkdir()
            text = PROJECT.replace("{python}", python)
            (folder / "pyproject.toml").write_text(text)
            command = [find_uv_bin(), "lock", "--default-index", index.simple_url]
            options = ["--cache-dir", str(tmp_path / "uv"), "--python", sys.executable]
            subprocess.run(
                [*command, *options], cwd=folder, check=True, capture_output=True
            )
            return folder / "uv.lock"

        return make

    @pytest.mark.parametrize(
        ("extras", "groups", "names"),
        [
            ((), (), ["base", "common"]),
            (("fast",), (), ["base", "common", "speedy"]),
            ((), ("prod",), ["base", "common", "server"]),
            (
                ("fast",),
                ("prod", "dev"),
                ["base", "common", "server", "speedy", "tester"],
            ),
        ],
    )
    def test_gives_what_is_chosen_and_not_the_project(
        self,
        lock: Callable[..., Path],
        uv: Uv,
        extras: tuple[str, ...],
        groups: tuple[str, ...],
        names: list[str],
    ) -> None:
        asked = Requirements(file=lock(), extras=extras, groups=groups)

        document = read_foreign_pylock(asked, uv)

        assert document is not None
        assert sorted(package["name"] for package in document["packages"]) == names

    def test_keeps_the_markers_of_the_lock(
        self, lock: Callable[..., Path], uv: Uv
    ) -> None:
        document = read_foreign_pylock(Requirements(file=lock()), uv)

        assert document is not None
        markers = {
            package["name"]: package.get("marker") for package in document["packages"]
        }
        assert markers == {"base": "platform_machine == 'aarch64'", "common": None}

    def test_does_not_need_the_python_of_the_project(
        self, lock: Callable[..., Path], uv: Uv
    ) -> None:
        file = lock()
        for name in ("pyproject.toml", "uv.lock"):
            path = file.with_name(name)
            path.write_text(path.read_text().replace(">=3.9", ">=3.99"))

        document = read_foreign_pylock(Requirements(file=file), uv)

        assert document is not None
        assert document["requires-python"] == ">=3.99"

    def test_changes_nothing_in_the_project(
        self, lock: Callable[..., Path], uv: Uv
    ) -> None:
        file = lock()
        before = {path.name: path.read_bytes() for path in file.parent.iterdir()}

        read_foreign_pylock(Requirements(file=file), uv)

        after = {path.name: path.read_bytes() for path in file.parent.iterdir()}
        assert after == before

    def test_asks_no_index(
        self, lock: Callable[..., Path], uv: Uv, index: Index
    ) -> None:
        file = lock()
        index.requests.clear()

        read_foreign_pylock(Requirements(file=file), uv)

        assert index.requests == []

    def test_tells_what_uv_says_of_a_group_that_is_not_there(
        self, lock: Callable[..., Path], uv: Uv
    ) -> None:
        file = lock()

        with pytest.raises(LockError) as caught:
            read_foreign_pylock(Requirements(file=file, groups=("none",)), uv)

        assert caught.value.message == (
            f"{file}: uv could not export it:\n"
            "  Group `none` is not defined in the project's `dependency-groups` table"
        )
        assert caught.value.remedy == (
            "See that this works in its folder: uv export --frozen"
        )


class TestPylock:
    @pytest.mark.parametrize("name", ["pylock.toml", "pylock.web.toml"])
    def test_is_taken_as_it_is(self, tmp_path: Path, uv: Uv, name: str) -> None:
        file = tmp_path / name
        file.write_text('lock-version = "1.0"')

        assert read_foreign_pylock(Requirements(file=file), uv) == {
            "lock-version": "1.0"
        }

    def test_that_is_not_toml_is_refused(self, tmp_path: Path, uv: Uv) -> None:
        file = tmp_path / "pylock.toml"
        file.write_text("x")

        with pytest.raises(ConfigError) as caught:
            read_foreign_pylock(Requirements(file=file), uv)

        assert caught.value.message.startswith(f"{file} is not TOML: ")

    @pytest.mark.parametrize("name", ["requirements.txt", "poetry.lock"])
    def test_is_nothing_else(self, tmp_path: Path, uv: Uv, name: str) -> None:
        assert read_foreign_pylock(Requirements(file=tmp_path / name), uv) is None

    def test_is_no_list_of_requirements(self, uv: Uv) -> None:
        assert read_foreign_pylock(Requirements(lines=("a",)), uv) is None


class TestExporters:
    @pytest.fixture
    def stand_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[str, str], Path]:
        """Put a program on PATH, and give the file in which it tells how it was run."""
        programs = tmp_path / "bin"
        programs.mkdir()
        monkeypatch.setenv("PATH", str(programs))
        told = tmp_path / "told.txt"
        cat = shutil.which("cat", path=os.defpath) or "/bin/cat"

        def install(name: str, script: str) -> Path:
            text = STAND_IN.format(told=told, script=script.replace("cat", cat))
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
            return told

        return install

    @pytest.mark.parametrize(
        ("name", "extras", "groups", "command"),
        [
            (
                "poetry.lock",
                (),
                (),
                ["poetry", "export", "--format", "requirements.txt"],
            ),
            (
                "poetry.lock",
                ("fast", "safe"),
                ("prod",),
                [
                    *("poetry", "export", "--format", "requirements.txt"),
                    *("--extras", "fast", "--extras", "safe", "--with", "prod"),
                ],
            ),
            ("Pipfile.lock", (), (), ["pipenv", "requirements", "--hash"]),
            (
                "Pipfile.lock",
                (),
                ("prod", "dev"),
                [
                    *("pipenv", "requirements", "--hash"),
                    *("--categories", "packages,prod,dev"),
                ],
            ),
        ],
    )
    def test_are_run_beside_the_lock(
        self,
        tmp_path: Path,
        stand_in: Callable[[str, str], Path],
        *,
        name: str,
        extras: tuple[str, ...],
        groups: tuple[str, ...],
        command: list[str],
    ) -> None:
        told = stand_in(command[0], "echo demo==1.0")
        asked = Requirements(file=tmp_path / name, extras=extras, groups=groups)

        export_requirements(asked)

        assert told.read_text().splitlines() == [str(tmp_path), *command[1:]]

    def test_give_requirements_hashes_markers_and_indexes(
        self, tmp_path: Path, stand_in: Callable[[str, str], Path]
    ) -> None:
        digest = "a" * 64
        stand_in(
            "pipenv",
            "cat <<'END'\n"
            "-i https://me:secret@example.org/simple\n"
            f"Demo==1.0; python_version >= '3.8' \\\n    --hash=sha256:{digest}\n"
            "END",
        )

        asked = export_requirements(Requirements(file=tmp_path / "Pipfile.lock"))

        assert asked.requirements == (
            f'demo==1.0; python_version >= "3.8" --hash=sha256:{digest}',
        )
        assert asked.indexes.index_url == "https://me:secret@example.org/simple"

    @pytest.mark.parametrize(
        ("name", "program", "install"),
        [
            ("poetry.lock", "poetry", "pip install poetry poetry-plugin-export"),
            ("Pipfile.lock", "pipenv", "pip install pipenv"),
        ],
    )
    def test_that_are_not_installed_are_named(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        program: str,
        install: str,
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        file = tmp_path / name

        with pytest.raises(ConfigError) as caught:
            export_requirements(Requirements(file=file))

        assert caught.value.message == (
            f"{file} can only be read by {program}, which is not on PATH"
        )
        assert caught.value.remedy == (
            f"{install}; or export the lock to a requirements file."
        )

    def test_that_fail_are_told_in_their_own_words_without_secrets(
        self, tmp_path: Path, stand_in: Callable[[str, str], Path]
    ) -> None:
        stand_in(
            "poetry",
            "echo 'Out of date.' >&2; echo 'At https://me:secret@x.org' >&2; exit 1",
        )
        file = tmp_path / "poetry.lock"

        with pytest.raises(LockError) as caught:
            export_requirements(Requirements(file=file))

        assert caught.value.message == (
            f"poetry could not export {file}:\n  Out of date.\n  At https://x.org"
        )
        assert caught.value.remedy == (
            "See that this works: poetry export --format requirements.txt"
        )

    def test_are_not_asked_for_other_files(self, tmp_path: Path) -> None:
        file = tmp_path / "requirements.txt"
        file.write_text("demo\n")

        asked = export_requirements(Requirements(file=file))

        assert asked.requirements == ("demo",)
