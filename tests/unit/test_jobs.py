"""From what a user names to jobs: whose targets, which files, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from layerforge.errors import ConfigError
from layerforge.jobs import Selection, select_forecasts, select_jobs
from layerforge.plan import Job
from layerforge.project import find_project
from layerforge.recipes import read_recipe, recipes_folder
from layerforge.spec import Requirements
from layerforge.strip import Profile

CONFIGURATION = """
[defaults]
runtimes = ["python3.12"]
architectures = ["x86_64", "arm64"]
[layers.web]
requirements = ["requests"]
[layers.data]
requirements = ["pandas"]
runtimes = ["python3.13"]
architectures = ["arm64"]
strip = "none"
"""

Select = Callable[..., tuple[Job, ...]]
Refused = Callable[..., ConfigError]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "layerforge.toml").write_text(CONFIGURATION)
    return tmp_path


@pytest.fixture
def select(project: Path) -> Select:
    def run(*names: str, **words: Any) -> tuple[Job, ...]:  # noqa: ANN401  any field
        folder = words.pop("folder", project)
        return select_jobs(
            Selection(folder=folder, names=names, **words), find_project(folder)
        )

    return run


@pytest.fixture
def refused(select: Select) -> Callable[..., ConfigError]:
    def run(*names: str, **words: Any) -> ConfigError:  # noqa: ANN401  any field
        with pytest.raises(ConfigError) as caught:
            select(*names, **words)
        return caught.value

    return run


def named(jobs: tuple[Job, ...]) -> list[str]:
    return [str(job) for job in jobs]


class TestLayers:
    def test_are_all_of_the_file_where_none_is_named(self, select: Select) -> None:
        assert named(select()) == [
            "web for python3.12-x86_64",
            "web for python3.12-arm64",
            "data for python3.13-arm64",
        ]

    def test_come_in_the_order_they_are_named(self, select: Select) -> None:
        assert named(select("data", "web", architectures=("x86_64",))) == [
            "data for python3.13-x86_64",
            "web for python3.12-x86_64",
        ]

    def test_take_their_targets_from_options_first(self, select: Select) -> None:
        jobs = select("data", runtimes=("python3.11", "python3.12"))

        assert named(jobs) == [
            "data for python3.11-arm64",
            "data for python3.12-arm64",
        ]

    def test_keep_files_beside_their_configuration(
        self, select: Select, project: Path
    ) -> None:
        below = project / "below"
        below.mkdir()

        (job,) = select("data", folder=below)

        assert job.lock_file == project / "pylock.data-python313-arm64.toml"
        assert job.output == project / "dist" / "data-python3.13-arm64.zip"

    def test_tell_how_their_locks_are_made(self, select: Select) -> None:
        (job,) = select("data", exclude_runtime_sdk=True)

        assert job.lock_command == (
            "layerforge lock data --runtime python3.13 --arch arm64 "
            "--exclude-runtime-sdk"
        )

    def test_go_where_options_say(self, select: Select, tmp_path: Path) -> None:
        (in_folder,) = select("data", output_folder=tmp_path / "out")
        (as_file,) = select("data", output=tmp_path / "my.zip")

        assert in_folder.output == tmp_path / "out" / "data-python3.13-arm64.zip"
        assert as_file.output == tmp_path / "my.zip"

    def test_are_stripped_as_options_say_first(self, select: Select) -> None:
        (own,) = select("data")
        (optional,) = select("data", strip=Profile.SLIM)

        assert (own.spec.strip, optional.spec.strip) == (Profile.NONE, Profile.SLIM)

    def test_leave_the_sdk_out_where_options_say_so(self, select: Select) -> None:
        (own,) = select("data")
        (optional,) = select("data", exclude_runtime_sdk=True)

        assert not own.spec.exclude_runtime_sdk
        assert optional.spec.exclude_runtime_sdk


class TestRecipes:
    def test_are_found_by_name(self, select: Select, project: Path) -> None:
        jobs = select("requests")

        recipe = read_recipe(recipes_folder() / "requests.toml")
        assert named(jobs) == [
            "requests for python3.12-x86_64",
            "requests for python3.12-arm64",
        ]
        assert jobs[0].spec.requirements == replace(recipe.requirements, folder=project)
        assert jobs[0].lock_file == (project / "pylock.requests-python312-x86_64.toml")

    def test_lie_where_the_user_stands(self, select: Select, project: Path) -> None:
        below = project / "below"
        below.mkdir()

        job, _ = select("requests", folder=below)

        assert job.lock_file.parent == below
        assert job.output.parent == below / "dist"

    def test_give_way_to_a_layer_of_the_same_name(
        self, select: Select, project: Path
    ) -> None:
        (project / "layerforge.toml").write_text(
            CONFIGURATION + '[layers.requests]\nrequirements = ["mine"]\n'
        )

        job, _ = select("requests")

        assert job.spec.requirements.lines == ("mine",)


class TestRequirements:
    def test_make_a_layer(self, select: Select, project: Path) -> None:
        deep = project / "deep"
        deep.mkdir()
        (deep / "my list.txt").touch()

        job, _ = select(requirements=Path("deep/my list.txt"), name="mine")

        assert job.spec.requirements == Requirements(file=deep / "my list.txt")
        assert job.lock_file == deep / "pylock.mine-python312-x86_64.toml"
        assert job.output == project / "dist" / "mine-python3.12-x86_64.zip"
        assert job.lock_command == (
            "layerforge lock -r 'deep/my list.txt' --name mine --runtime python3.12 "
            "--arch x86_64"
        )

    def test_need_a_name(self, refused: Callable[..., ConfigError]) -> None:
        error = refused(requirements=Path("r.txt"))

        assert error.message == "the layer of r.txt has no name"
        assert error.remedy == "Give it one: -r r.txt --name web"

    @pytest.mark.parametrize("name", ["a.b", "a b", "../a", "x" * 101])
    def test_need_a_name_that_is_one(
        self, refused: Callable[..., ConfigError], name: str
    ) -> None:
        error = refused(requirements=Path("r.txt"), name=name)

        assert error.message == (
            f"{name!r} is no name for a layer: [a-zA-Z0-9_-]{{1,100}}"
        )

    def test_need_a_file(self, refused: Callable[..., ConfigError]) -> None:
        error = refused(requirements=Path("none.txt"), name="web")

        assert error.message == "there is no file none.txt"

    def test_are_not_named_beside_layers(
        self, refused: Callable[..., ConfigError]
    ) -> None:
        error = refused("web", "data", requirements=Path("r.txt"), name="mine")

        assert error.message == "web, data and -r r.txt are asked for at once"
        assert error.remedy == "Name layers, or give a file and --name."


class TestPackageJson:
    @pytest.fixture
    def web(self, project: Path) -> Path:
        web = project / "web"
        web.mkdir()
        (web / "package.json").write_text("{}")
        return web

    def test_makes_a_layer(self, select: Select, project: Path, web: Path) -> None:
        (job,) = select(
            package_json=Path("web/package.json"),
            name="db",
            runtimes=("nodejs22.x",),
            architectures=("arm64",),
        )

        assert job.spec.requirements == Requirements(
            language="node", file=web / "package.json"
        )
        assert job.lock_file == web / "package-lock.json"
        assert job.output == project / "dist" / "db-nodejs22.x-arm64.zip"
        assert job.lock_command == (
            "layerforge lock --package-json web/package.json --name db --runtime "
            "nodejs22.x --arch arm64"
        )

    def test_needs_a_name(self, refused: Callable[..., ConfigError]) -> None:
        error = refused(package_json=Path("package.json"))

        assert error.message == "the layer of package.json has no name"
        assert error.remedy == "Give it one: --package-json package.json --name web"

    def test_needs_a_file(self, refused: Callable[..., ConfigError]) -> None:
        error = refused(package_json=Path("none/package.json"), name="db")

        assert error.message == "there is no file none/package.json"

    def test_is_called_so(self, refused: Callable[..., ConfigError]) -> None:
        error = refused(package_json=Path("db.json"), name="db")

        assert error.message == "db.json is not named package.json"
        assert error.remedy == (
            "Put it under that name into a folder of its own: npm knows no other."
        )

    def test_is_not_named_beside_layers(
        self, refused: Callable[..., ConfigError]
    ) -> None:
        error = refused("web", package_json=Path("package.json"), name="db")

        assert error.message == (
            "web and --package-json package.json are asked for at once"
        )

    def test_is_not_named_beside_requirements(
        self, refused: Callable[..., ConfigError]
    ) -> None:
        error = refused(
            package_json=Path("package.json"), requirements=Path("r.txt"), name="db"
        )

        assert error.message == (
            "-r r.txt and --package-json package.json are asked for at once"
        )
        assert error.remedy == "Give one of them."


class TestTwoLanguages:
    @pytest.fixture(autouse=True)
    def both(self, project: Path) -> None:
        (project / "layerforge.toml").write_text(
            """
            [defaults]
            runtimes = ["python3.12", "nodejs22.x", "nodejs24.x"]
            architectures = ["arm64"]
            [layers.web]
            requirements = ["requests"]
            [layers.db]
            packages = ["pg", "redis@^5"]
            """
        )

    def test_have_the_runtimes_of_their_own_among_the_defaults(
        self, select: Select
    ) -> None:
        assert named(select()) == [
            "web for python3.12-arm64",
            "db for nodejs22.x-arm64",
            "db for nodejs24.x-arm64",
        ]

    def test_are_chosen_between_by_a_runtime_that_is_asked_for(
        self, select: Select
    ) -> None:
        assert named(select(runtimes=("nodejs20.x",))) == ["db for nodejs20.x-arm64"]
        assert named(select(runtimes=("python3.13",))) == ["web for python3.13-arm64"]

    def test_may_both_be_asked_for(self, select: Select) -> None:
        assert named(select(runtimes=("nodejs20.x", "python3.13"))) == [
            "web for python3.13-arm64",
            "db for nodejs20.x-arm64",
        ]

    def test_are_not_mixed_where_one_is_named(
        self, refused: Callable[..., ConfigError]
    ) -> None:
        error = refused("db", runtimes=("python3.12", "python3.13"))

        assert error.message == (
            "db is a layer for Node.js, and python3.12, python3.13 are not"
        )
        assert error.remedy == "Name a runtime of Node.js: layerforge runtimes"

    def test_have_locks_of_their_own_kind(self, select: Select, project: Path) -> None:
        web, db, same = select()

        assert web.lock_file == project / "pylock.web-python312-arm64.toml"
        assert db.lock_file == same.lock_file == project / "package-lock.db.json"

    def test_have_recipes_whose_locks_lie_where_the_user_stands(
        self, select: Select, project: Path
    ) -> None:
        below = project / "below"
        below.mkdir()

        job, _ = select("pg-redis", folder=below)

        assert job.spec.requirements.folder == below
        assert job.lock_file == below / "package-lock.pg-redis.json"


class TestForecasts:
    @pytest.fixture
    def weighed(self, project: Path) -> Select:
        def run(*names: str, **words: Any) -> tuple[Job, ...]:  # noqa: ANN401  as above
            words.setdefault("runtimes", ("python3.13",))
            selection = Selection(
                folder=project, names=names, architectures=("arm64",), **words
            )
            return select_forecasts(selection, find_project(project))

        return run

    def test_of_a_recipe_are_of_what_a_build_of_it_makes(
        self, weighed: Select, select: Select
    ) -> None:
        target = {"runtimes": ("python3.13",), "architectures": ("arm64",)}

        assert weighed("powertools") == select("powertools", **target)

    def test_of_several_words_are_of_one_layer_and_have_no_lock(
        self, weighed: Select
    ) -> None:
        (job,) = weighed("lxml", "attrs>=25")

        lines = ("lxml", "cssselect", "attrs>=25")
        assert job.spec.requirements.lines == lines
        assert job.spec.name == "lxml, attrs>=25"
        assert job.lock_words == ()

    def test_take_a_recipe_of_another_language_for_a_requirement(
        self, weighed: Select
    ) -> None:
        (job,) = weighed("lxml", runtimes=("nodejs22.x",))

        assert job.spec.requirements.lines == ("lxml",)


class TestOneZip:
    def test_is_one_for_all_runtimes_of_an_architecture(
        self, select: Select, project: Path
    ) -> None:
        x86, arm = select("web", runtimes=("python3.12", "python3.13"), one_zip=True)

        assert named((x86, *x86.others)) == [
            "web for python3.12-x86_64",
            "web for python3.13-x86_64",
        ]
        assert named((arm, *arm.others)) == [
            "web for python3.12-arm64",
            "web for python3.13-arm64",
        ]
        assert x86.output == project / "dist" / "web-python3.12-python3.13-x86_64.zip"
        assert {each.output for each in arm.others} == {arm.output}

    def test_has_a_lock_for_each_runtime(self, select: Select) -> None:
        job, _ = select("web", runtimes=("python3.12", "python3.13"), one_zip=True)

        assert [each.lock_file.name for each in (job, *job.others)] == [
            "pylock.web-python312-x86_64.toml",
            "pylock.web-python313-x86_64.toml",
        ]

    def test_of_one_runtime_is_named_as_always(self, select: Select) -> None:
        (job,) = select("data", one_zip=True)

        assert job.output.name == "data-python3.13-arm64.zip"
        assert job.others == ()

    def test_may_be_what_the_layer_says(self, select: Select, project: Path) -> None:
        (project / "layerforge.toml").write_text(
            CONFIGURATION + 'one-zip = true\n[layers.more]\nrequirements = ["x"]\n'
        )

        data = select("data", runtimes=("python3.12", "python3.13"))
        more = select("more", runtimes=("python3.12", "python3.13"))

        assert (len(data), len(more)) == (1, 4)

    def test_can_be_named_by_an_option(self, select: Select, tmp_path: Path) -> None:
        (job,) = select(
            "data",
            runtimes=("python3.12", "python3.13"),
            one_zip=True,
            output=tmp_path / "my.zip",
        )

        assert job.output == tmp_path / "my.zip"


BASED = """
[defaults]
runtimes = ["python3.12"]
architectures = ["x86_64", "arm64"]
[layers.ground]
requirements = ["six"]
[layers.base]
requirements = ["requests"]
provided-by = ["ground"]
[layers.web]
requirements = ["pandas"]
architectures = ["arm64"]
provided-by = ["base", "ground"]
"""


class TestBases:
    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        (tmp_path / "layerforge.toml").write_text(BASED)
        return tmp_path

    def test_are_jobs_for_the_same_target(self, select: Select) -> None:
        (web,) = select("web")

        assert list(map(str, web.bases)) == [
            "ground for python3.12-arm64",
            "base for python3.12-arm64",
        ]

    def test_stand_on_their_own(self, select: Select) -> None:
        (web,) = select("web")

        assert [[each.spec.name for each in base.bases] for base in web.bases] == [
            [],
            ["ground"],
        ]

    def test_are_as_layerforge_toml_has_them(self, select: Select) -> None:
        (web,) = select("web", exclude_runtime_sdk=True)

        assert [base.spec.exclude_runtime_sdk for base in web.bases] == [False, False]

    def test_are_in_the_zips_that_they_share(
        self, project: Path, select: Select
    ) -> None:
        text = BASED.replace(
            '["six"]',
            '["six"]\none-zip = true\nruntimes = ["python3.12", "python3.13"]',
        )
        (project / "layerforge.toml").write_text(text)

        (web,) = select("web")

        assert [base.output.name for base in web.bases] == [
            "ground-python3.12-python3.13-arm64.zip",
            "base-python3.12-arm64.zip",
        ]

    def test_must_be_layers(self, project: Path, refused: Refused) -> None:
        text = BASED.replace('["ground"]', '["pandas"]')
        (project / "layerforge.toml").write_text(text)

        error = refused("base")

        assert error.message == (
            "base is provided-by pandas, which is no layer of layerforge.toml"
        )

    def test_must_be_made_for_the_target(self, project: Path, refused: Refused) -> None:
        text = BASED.replace('["six"]', '["six"]\narchitectures = ["x86_64"]')
        (project / "layerforge.toml").write_text(text)

        error = refused("web")

        assert error.message == (
            "base is provided-by ground, which is not made for python3.12-arm64"
        )

    def test_must_be_of_the_same_language(
        self, project: Path, refused: Refused
    ) -> None:
        text = BASED.replace('requirements = ["six"]', 'packages = ["pg"]')
        (project / "layerforge.toml").write_text(text)

        error = refused("base")

        assert error.message == (
            "base is a layer for Python, and ground, which it is provided-by, is not"
        )

    def test_must_not_stand_on_what_they_carry(
        self, project: Path, refused: Refused
    ) -> None:
        text = BASED.replace('["six"]', '["six"]\nprovided-by = ["web"]')
        (project / "layerforge.toml").write_text(text)

        error = refused("web")

        assert (
            error.message == "layers stand on each other: web on base on ground on web"
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "guess"),
        [
            ("wbe", "Did you mean web? "),
            ("panda", "Did you mean pandas? "),
            ("zzzzzzzz", ""),
        ],
    )
    def test_of_unknown_names_give_the_nearest(
        self, refused: Callable[..., ConfigError], name: str, guess: str
    ) -> None:
        error = refused(name)

        assert error.message == (
            f"{name} is neither a layer of layerforge.toml nor a recipe"
        )
        assert error.remedy == f"{guess}For a requirement: -r FILE --name LAYER."

    def test_of_nothing_at_all_say_how_to_begin(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            select_jobs(Selection(folder=tmp_path), find_project(tmp_path))

        assert caught.value.message == (
            "there is no layerforge.toml here or in a folder above"
        )
        assert caught.value.remedy == (
            "Make one: layerforge init. Or name a recipe (layerforge build pandas), or "
            "a file (-r FILE, --package-json FILE, with --name LAYER)."
        )

    @pytest.mark.parametrize(
        ("words", "missing"),
        [
            ({}, "runtime"),
            ({"architectures": ("arm64",)}, "runtime"),
            ({"runtimes": ("python3.12",)}, "architecture"),
        ],
    )
    def test_of_a_layer_without_targets_name_both_options(
        self, tmp_path: Path, words: dict[str, Any], missing: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            select_jobs(
                Selection(folder=tmp_path, names=("requests",), **words),
                find_project(tmp_path),
            )

        assert caught.value.message == f"no {missing} is named for requests"
        assert caught.value.remedy == (
            "Give --runtime and --arch (--runtime python3.14 --arch arm64), or "
            "runtimes "
            "and architectures in [defaults] of layerforge.toml."
        )

    def test_of_one_file_for_many_zips_count_them(
        self, refused: Callable[..., ConfigError], tmp_path: Path
    ) -> None:
        error = refused(output=tmp_path / "a.zip")

        assert error.message == "-o names one file, and there are 3 zips to make"
        assert error.remedy == (
            "Give --output-dir, or name one layer, --runtime and --arch."
        )

    def test_of_unknown_runtimes_give_the_nearest(
        self, refused: Callable[..., ConfigError]
    ) -> None:
        error = refused("web", runtimes=("python313",))

        assert error.message == "unknown runtime 'python313'"
        assert error.remedy.startswith("Did you mean python3.13? ")

    def test_of_a_runtime_of_another_language_say_how_to_find_one(
        self, refused: Callable[..., ConfigError]
    ) -> None:
        error = refused("web", runtimes=("nodejs22.x",))

        assert error.message == ("web is a layer for Python, and nodejs22.x is not")
        assert error.remedy == "Name a runtime of Python: layerforge runtimes"
