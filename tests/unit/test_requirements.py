"""What a layer asks for, out of every kind of file that says it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from layerforge.ecosystems.python.requirements import (
    Asked,
    is_foreign_lock,
    read_requirements,
    read_requirements_file,
)
from layerforge.errors import ConfigError
from layerforge.indexes import IndexSettings
from layerforge.spec import Requirements

A, B = "a" * 64, "b" * 64
REMEDY = (
    "Write NAME @ and the URL of a wheel, an sdist or a git repository (NAME @ "
    "git+https://…@v1.0); or, for code of your own, put its folder into the layer "
    "with include."
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "requirements.txt"


def read(file: Path, text: str) -> Asked:
    file.write_text(text, encoding="utf-8")
    return read_requirements_file(file)


def refused(file: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(file, text)
    return caught.value


def digest(file: Path, text: str) -> str:
    return read(file, text).digest


class TestLines:
    @pytest.mark.parametrize(
        ("text", "lines"),
        [
            ("requests", ["requests"]),
            ("\ufeffrequests", ["requests"]),
            ("requests\r\nrich\r\n", ["requests", "rich"]),
            ("# all of it\n\n  \nrequests # why\n", ["requests"]),
            ("a # one\\\n, two\nb", ["a", "b"]),
            ("# not continued \\\nrequests", ["requests"]),
            ("requests \\\n  >=2 \\\n  ,<3\nrich", ["requests<3,>=2", "rich"]),
            ("requests>=2 \\", ["requests>=2"]),
            ("Zope.Interface", ["zope-interface"]),
            ("uvicorn[Standard,a_b] >= 0.1", ["uvicorn[a-b,standard]>=0.1"]),
            (
                "a ; python_version<'3.12'",
                ['a; python_version < "3.12"'],
            ),
            (
                f"a==1 --hash=sha256:{B} \\\n  --hash=sha256:{A}",
                [f"a==1 --hash=sha256:{A} --hash=sha256:{B}"],
            ),
            (
                "a @ https://example.org/a-1-py3-none-any.whl#sha256=0",
                ["a @ https://example.org/a-1-py3-none-any.whl#sha256=0"],
            ),
        ],
    )
    def test_are_normalised(self, file: Path, text: str, lines: list[str]) -> None:
        assert list(read(file, text).requirements) == lines

    def test_take_variables_from_the_environment(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WANTED", "2.0")
        monkeypatch.delenv("UNKNOWN", raising=False)

        asked = read(file, "a==${WANTED}\n-i https://${UNKNOWN}/${WANTED}/$WANTED\n")

        assert asked.requirements == ("a==2.0",)
        assert asked.indexes.index_url == "https://${UNKNOWN}/2.0/$WANTED"

    def test_of_a_layer_are_read_as_those_of_a_file(self, file: Path) -> None:
        inline = read_requirements(Requirements(lines=("B", "a>1")))

        assert inline == read(file, "B\na>1")

    def test_give_the_hashes_that_files_may_have(self, file: Path) -> None:
        asked = read(file, f"A==1 --hash=sha256:{A}\nb\na --hash sha256:{B}\n")

        assert asked.hashes == {"a": {f"sha256:{A}", f"sha256:{B}"}}

    def test_parse_without_their_hashes(self, file: Path) -> None:
        (parsed,) = read(file, f"a==1 --hash=sha256:{A}\n").parsed

        assert str(parsed) == "a==1"


class TestIncludes:
    def test_start_from_the_file_that_includes(self, tmp_path: Path) -> None:
        deep = tmp_path / "deep"
        deep.mkdir()
        (deep / "more.txt").write_text("b\n-r ../last.txt\n")
        (tmp_path / "last.txt").write_text("c\n")

        asked = read(tmp_path / "first.txt", "a\n-r deep/more.txt\nd\n")

        assert asked.requirements == ("a", "b", "c", "d")

    @pytest.mark.parametrize(
        "line", ["-r more.txt", "-rmore.txt", "--requirement=more.txt"]
    )
    def test_may_be_written_in_every_way_of_pips(
        self, file: Path, tmp_path: Path, line: str
    ) -> None:
        (tmp_path / "more.txt").write_text("b\n")

        assert read(file, line).requirements == ("b",)

    def test_of_constraints_constrain(self, file: Path, tmp_path: Path) -> None:
        (tmp_path / "c.txt").write_text("b<2\n-r more.txt\n")
        (tmp_path / "more.txt").write_text("c<3\n")

        asked = read(file, "a\n-c c.txt\n")

        assert (asked.requirements, asked.constraints) == (("a",), ("b<2", "c<3"))

    def test_may_reach_one_file_twice(self, file: Path, tmp_path: Path) -> None:
        (tmp_path / "more.txt").write_text("b\n")

        assert read(file, "-r more.txt\n-r more.txt\n").requirements == ("b", "b")

    def test_that_go_in_circles_are_refused(self, file: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.txt"
        other.write_text("-r requirements.txt\n")

        error = refused(file, "-r other.txt\n")

        assert error.message == (f"{file} includes itself: {file} → {other} → {file}")

    def test_that_go_in_circles_by_another_path_are_refused(
        self, file: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "sub").mkdir()

        error = refused(file, "-r sub/../requirements.txt\n")

        again = tmp_path / "sub" / ".." / "requirements.txt"
        assert error.message == f"{again} includes itself: {file} → {again}"

    def test_of_a_file_that_is_not_there_are_refused(
        self, file: Path, tmp_path: Path
    ) -> None:
        error = refused(file, "a\n\n-r none.txt\n")

        assert error.message == (
            f"{file}, line 3: there is no file {tmp_path / 'none.txt'}"
        )

    def test_of_urls_are_refused_without_their_secrets(self, file: Path) -> None:
        error = refused(file, "-r https://user:secret@example.org/r.txt")

        assert error.message == (
            f"{file}, line 1: https://example.org/r.txt is not a file"
        )
        assert error.remedy == (
            "Download it, and include the copy: what a URL gives can change unseen, "
            "and a lock would not notice."
        )


class TestOptions:
    def test_say_where_to_look(self, file: Path, tmp_path: Path) -> None:
        asked = read(
            file,
            "-i https://one.example/simple\n"
            "--extra-index-url=https://two.example/simple\n"
            "--extra-index-url https://three.example/simple\n"
            "--find-links wheels\n"
            "-f https://four.example/\n"
            "--trusted-host one.example\n"
            "--no-index\n",
        )

        assert asked.indexes == IndexSettings(
            index_url="https://one.example/simple",
            extra_index_urls=(
                "https://two.example/simple",
                "https://three.example/simple",
            ),
            find_links=(str(tmp_path / "wheels"), "https://four.example/"),
            trusted_hosts=("one.example",),
            no_index=True,
        )

    def test_of_an_included_file_count_too(self, file: Path, tmp_path: Path) -> None:
        deep = tmp_path / "deep"
        deep.mkdir()
        (deep / "more.txt").write_text("-f wheels\n--pre\n")

        asked = read(file, "-r deep/more.txt\n")

        assert asked.indexes.find_links == (str(deep / "wheels"),)
        assert asked.prereleases

    def test_that_always_hold_are_passed(self, file: Path) -> None:
        asked = read(file, "--require-hashes\n--prefer-binary\n--only-binary :all:\na")

        assert asked == Asked(requirements=("a",))

    def test_that_are_unknown_are_refused(self, file: Path) -> None:
        error = refused(file, "a\n--no-binary a\n")

        assert error.message == f"{file}, line 2: --no-binary is not understood here"

    def test_with_an_open_quote_are_refused(self, file: Path) -> None:
        error = refused(file, "-r 'x\n")

        assert error.message == f"{file}, line 1: No closing quotation"


class TestRefusals:
    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            ("-e .", "."),
            ("-e git+https://example.org/a#egg=a", "git+https://example.org/a#egg=a"),
            ("--editable=./a", "./a"),
            ("./a", "./a"),
            ("../a", "../a"),
            ("/opt/a", "/opt/a"),
            ("wheels/a-1.0.tar.gz", "wheels/a-1.0.tar.gz"),
            ("git+https://example.org/a.git", "git+https://example.org/a.git"),
            ("git+ssh://git@example.org/a", "git+ssh://example.org/a"),
            (
                "a @ https://token@example.org/a.rpm",
                "a@ https://example.org/a.rpm",
            ),
            ("a @ file:///tmp/a", "a@ file:///tmp/a"),
            (
                "https://user:secret@example.org/a-1.0.tar.gz",
                "https://example.org/a-1.0.tar.gz",
            ),
        ],
    )
    def test_of_sources_say_what_to_do(self, file: Path, line: str, shown: str) -> None:
        error = refused(file, f"{line}\n")

        assert error.message.replace(" @ ", "@ ") == (
            f"{file}, line 1: {shown!r} names neither a package nor its archive"
        )
        assert error.remedy == REMEDY

    @pytest.mark.parametrize(
        "url",
        ["git+https://example.org/a.git@v1", "https://example.org/a-1.0.tar.gz#x=y"],
    )
    def test_are_not_of_sources_that_are_named(self, file: Path, url: str) -> None:
        file.write_text(
            f"a[extra] @ {url}\nb @ https://example.org/b-1-py3-none-any.whl\n"
        )

        assert read_requirements_file(file).compiled == {"a"}

    def test_of_a_wheel_without_its_name_ask_for_it(self, file: Path) -> None:
        error = refused(file, "./wheels/a-1.0-py3-none-any.whl\n")

        assert error.message == (
            f"{file}, line 1: './wheels/a-1.0-py3-none-any.whl' does not name its "
            "package"
        )
        assert error.remedy == "Write NAME @ file:///…/NAME-1.0-py3-none-any.whl"

    def test_of_nonsense_name_file_and_line(self, file: Path) -> None:
        error = refused(file, "a\\\n>=1\nrequests=2\n")

        assert error.message == (
            f"{file}, line 3: 'requests=2' is no requirement: Expected semicolon "
            "(after name with no version specifier) or end"
        )

    def test_of_what_is_not_text_name_the_file(self, file: Path) -> None:
        file.write_bytes(b"requests\xff")

        with pytest.raises(ConfigError) as caught:
            read_requirements_file(file)

        assert caught.value.message == f"{file} is not UTF-8: invalid start byte"

    def test_of_what_cannot_be_read_give_the_reason(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            read_requirements_file(tmp_path)

        assert caught.value.message == f"cannot read {tmp_path}: Is a directory"


class TestDigest:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("requests\nrich", "rich\nrequests"),
            ("Zope.Interface>=1,<2", "zope_interface <2 , >=1  # why"),
            ("a[B,c]", "a[c,b]"),
            ("a; python_version<'3'", 'a ;python_version < "3"'),
            (
                f"a --hash=sha256:{A} --hash=sha256:{B}",
                f"a --hash=sha256:{B} \\\n --hash=sha256:{A}",
            ),
            ("a", "-i https://user:secret@example.org/simple\n-f wheels\na"),
            ("a", "--require-hashes\na"),
            (
                "a @ https://me:secret@example.org/a-1-py3-none-any.whl",
                "a @ https://you:other@example.org/a-1-py3-none-any.whl",
            ),
        ],
    )
    def test_is_the_same_for_equal_requirements(
        self, file: Path, one: str, other: str
    ) -> None:
        assert digest(file, one) == digest(file, other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("a", "b"),
            ("a", "a>=1"),
            ("a", "a[b]"),
            ("a", "a; python_version<'3'"),
            ("a", "--pre\na"),
            ("a", f"a --hash=sha256:{A}"),
            ("a\n-c c.txt", "a"),
            ("a\n-c c.txt", "a\n-r c.txt"),
        ],
    )
    def test_differs_where_the_resolution_may(
        self, file: Path, tmp_path: Path, one: str, other: str
    ) -> None:
        (tmp_path / "c.txt").write_text("c<2")

        assert digest(file, one) != digest(file, other)

    def test_covers_what_is_included(self, file: Path, tmp_path: Path) -> None:
        (tmp_path / "more.txt").write_text("b")
        before = digest(file, "-r more.txt")
        (tmp_path / "more.txt").write_text("b<2")

        assert digest(file, "-r more.txt") != before

    def test_does_not_depend_on_where_the_file_is(self, tmp_path: Path) -> None:
        digests = set()
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            digests.add(digest(tmp_path / name / "requirements.in", "a\nb"))

        assert len(digests) == 1


PROJECT = """
[project]
name = "Web.App"
version = "1"
dependencies = ["requests>=2", "rich"]
[project.optional-dependencies]
Fast_Lane = ["uvloop"]
all = ["web-app[fast-lane,slow]", "orjson"]
slow = ["tqdm"]
[dependency-groups]
base = ["attrs"]
prod = [{include-group = "base"}, "gunicorn"]
"""


class TestProject:
    @pytest.fixture
    def pyproject(self, tmp_path: Path) -> Path:
        path = tmp_path / "pyproject.toml"
        path.write_text(PROJECT)
        return path

    @pytest.mark.parametrize(
        ("extras", "groups", "more"),
        [
            ((), (), []),
            (("fast-lane",), (), ["uvloop"]),
            (("slow", "Fast_Lane"), (), ["tqdm", "uvloop"]),
            (("all",), (), ["uvloop", "tqdm", "orjson"]),
            ((), ("prod",), ["attrs", "gunicorn"]),
            (("slow",), ("base",), ["tqdm", "attrs"]),
        ],
    )
    def test_gives_dependencies_extras_and_groups(
        self,
        pyproject: Path,
        extras: tuple[str, ...],
        groups: tuple[str, ...],
        more: list[str],
    ) -> None:
        asked = read_requirements(
            Requirements(file=pyproject, extras=extras, groups=groups)
        )

        assert sorted(asked.requirements) == sorted(["requests>=2", "rich", *more])

    def test_refuses_extras_that_it_has_not(self, pyproject: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            read_requirements(Requirements(file=pyproject, extras=("quick",)))

        assert caught.value.message == (
            f"{pyproject} has no extra 'quick'; it has: all, fast-lane, slow"
        )

    def test_refuses_groups_that_it_has_not(self, pyproject: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            read_requirements(Requirements(file=pyproject, groups=("dev",)))

        assert (
            caught.value.message
            == f"{pyproject} has no group 'dev'; it has: base, prod"
        )

    def test_refuses_groups_that_include_themselves(self, tmp_path: Path) -> None:
        file = tmp_path / "pyproject.toml"
        file.write_text('[dependency-groups]\na = [{include-group = "a"}]\n')

        with pytest.raises(ConfigError) as caught:
            read_requirements(Requirements(file=file, groups=("a",)))

        assert caught.value.message == (
            f"{file}: Cyclic dependency group include while resolving a: a includes "
            "itself"
        )

    @pytest.mark.parametrize(
        ("extras", "dynamic"),
        [((), "dependencies"), (("fast",), "optional-dependencies")],
    )
    def test_refuses_what_only_a_build_would_tell(
        self, tmp_path: Path, extras: tuple[str, ...], dynamic: str
    ) -> None:
        file = tmp_path / "pyproject.toml"
        file.write_text(f'[project]\nname = "a"\ndynamic = ["version", "{dynamic}"]\n')

        with pytest.raises(ConfigError) as caught:
            read_requirements(Requirements(file=file, extras=extras))

        assert caught.value.message == (
            f"{file} leaves its dependencies to its build backend (dynamic), which "
            "would have to run here"
        )
        assert caught.value.remedy == (
            "Export them to a requirements file, and name that."
        )

    def test_may_have_a_dynamic_version(self, tmp_path: Path) -> None:
        file = tmp_path / "pyproject.toml"
        file.write_text('[project]\nname = "a"\ndynamic = ["version"]\n')

        assert read_requirements(Requirements(file=file)).requirements == ()

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("x = ", "is not TOML: Invalid value (at end of document)"),
            ("project = 1", "is not as it should be: project is no table"),
            (
                "[project]\ndependencies = 'a'",
                "is not as it should be: project.dependencies is no list of strings",
            ),
            (
                "[project]\ndependencies = [1]",
                "is not as it should be: project.dependencies is no list of strings",
            ),
        ],
    )
    def test_that_is_malformed_is_refused(
        self, tmp_path: Path, text: str, told: str
    ) -> None:
        file = tmp_path / "pyproject.toml"
        file.write_text(text)

        with pytest.raises(ConfigError) as caught:
            read_requirements(Requirements(file=file))

        assert caught.value.message == f"{file} {told}"


class TestForeignLocks:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("uv.lock", True),
            ("poetry.lock", True),
            ("Pipfile.lock", True),
            ("pylock.toml", True),
            ("pylock.web.toml", True),
            ("pyproject.toml", False),
            ("requirements.txt", False),
        ],
    )
    def test_are_told_by_their_names(self, name: str, *, expected: bool) -> None:
        assert is_foreign_lock(Path("folder") / name) is expected

    def test_count_as_they_are(self, tmp_path: Path) -> None:
        file = tmp_path / "uv.lock"
        digests = set()
        for text in ("version = 1", "version = 2"):
            file.write_text(text)
            for extras in ((), ("fast",)):
                asked = read_requirements(Requirements(file=file, extras=extras))
                assert asked.requirements == ()
                digests.add(asked.digest)

        assert len(digests) == 4


def test_nothing_depends_on_the_present_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more.txt").write_text("b")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    assert read(Path(os.path.relpath(file)), "-r more.txt").requirements == ("b",)
