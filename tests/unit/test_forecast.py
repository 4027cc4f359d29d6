"""What layers will weigh: sums as a build would have them, and how they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from layerforge.containers.task import EngineError
from layerforge.errors import ConfigError, LockError
from layerforge.events import Event, Noted
from layerforge.forecast import (
    Forecast,
    PackageForecast,
    forecast_layer,
    weigh_layer,
)
from layerforge.indexes import IndexSettings
from layerforge.jobs import Selection, select_forecasts, select_jobs
from layerforge.limits import MAX_UNZIPPED, UNZIPPED_LIMIT
from layerforge.lock import Lock, Pin, dump_lock
from layerforge.pack import Pack
from layerforge.pipeline import build_layer, lock_layer
from layerforge.plan import Job
from layerforge.project import find_project
from layerforge.reports.forecast import forecast_document, forecast_tables, refusal
from layerforge.spec import LayerSpec
from layerforge.store import Store
from layerforge.tools import Tools
from layerforge.tree import Content, FileEntry
from tests.elf_files import ALLOC, DATA, SYMTAB, TEXT, Part, make_elf
from tests.servers import Index
from tests.wheels import make_wheel

SYMBOLS: Final = Part(name=".symtab", type=SYMTAB, data=bytes(30_000))
CODE: Final = Part(name=".rodata", flags=ALLOC, data=bytes(40_000))
LIBRARY: Final = bytes(make_elf(TEXT, DATA, CODE, SYMBOLS))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    demo = {
        "demo/__init__.py": b"import helper\n" * 50,
        "demo/tests/test_it.py": b"assert True\n" * 20,
        "shared/__init__.py": b"",
        ".data/scripts/demo": b"#!python\nimport demo\n",
    }
    helper = {"helper.py": b"ANSWER = 42\n", "shared/__init__.py": b""}
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "demo", "1.0", demo, requires=["helper"])
    make_wheel(wheels, "helper", "1.1", helper)
    make_wheel(wheels, "native", "1.0", {"native/core.so": LIBRARY})
    with Index(wheels) as index:
        yield index


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def tools(tmp_path: Path, index: Index, heard: list[Event]) -> Tools:
    indexes = IndexSettings(index_url=index.simple_url)
    return Tools(store=Store(tmp_path / "store"), indexes=indexes, listen=heard.append)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "requirements.txt").write_text("demo\n")
    return folder


Change = Callable[[LayerSpec], LayerSpec]


def thought(folder: Path, *names: str) -> Job:
    selection = Selection(
        folder=folder, names=names, runtimes=("python3.13",), architectures=("x86_64",)
    )
    [job] = select_forecasts(selection, find_project(folder))
    return job


def written(folder: Path, change: Change = lambda spec: spec) -> Job:
    """Give the job of a layer with a lock."""
    selection = Selection(
        folder=folder,
        requirements=Path("requirements.txt"),
        name="web",
        runtimes=("python3.13",),
        architectures=("x86_64",),
    )
    [job] = select_jobs(selection, find_project(folder))
    return replace(job, spec=change(job.spec))


class TestLayer:
    def test_weighs_what_a_build_of_it_has(self, folder: Path, tools: Tools) -> None:
        forecast = forecast_layer(thought(folder, "demo"), tools)

        report = build_layer(written(folder), tools)
        assert not forecast.predicted
        assert [(one.name, one.kept) for one in forecast.packages] == [
            (one.name, one.size) for one in report.packages
        ]

    def test_with_libraries_weighs_about_what_a_build_of_it_has(
        self, folder: Path, tools: Tools
    ) -> None:
        (folder / "requirements.txt").write_text("native\n")

        forecast = forecast_layer(thought(folder, "native"), tools)

        report = build_layer(written(folder), tools)
        assert forecast.predicted
        assert report.trimmed > 30_000
        assert forecast.total == pytest.approx(report.unzipped, rel=0.02)

    def test_is_weighed_with_no_wheel_fetched(
        self, folder: Path, tools: Tools, index: Index
    ) -> None:
        forecast_layer(thought(folder, "demo", "native"), tools)

        asked = [one for one in index.requests if one.path.endswith(".whl")]
        assert len(asked) == 3
        assert all("range" in request.headers for request in asked)

    def test_without_a_lock_writes_nothing(self, folder: Path, tools: Tools) -> None:
        before = sorted(folder.iterdir())

        forecast_layer(thought(folder, "demo"), tools)
        forecast_layer(written(folder), tools)

        assert sorted(folder.iterdir()) == before

    def test_with_a_lock_has_its_pins(
        self, folder: Path, tools: Tools, index: Index
    ) -> None:
        lock_layer(written(folder), tools)
        make_wheel(index.folder, "helper", "2.0", {"helper.py": b"ANSWER = 43\n"})

        locked = forecast_layer(written(folder), tools)
        free = forecast_layer(thought(folder, "demo"), tools)

        assert [one.version for one in locked.packages] == ["1.0", "1.1"]
        assert [one.version for one in free.packages] == ["1.0", "2.0"]

    def test_with_a_stale_lock_is_refused(self, folder: Path, tools: Tools) -> None:
        lock_layer(written(folder), tools)
        (folder / "requirements.txt").write_text("helper\n")

        with pytest.raises(LockError) as caught:
            forecast_layer(written(folder), tools)

        assert caught.value.message.endswith(
            "was made from other requirements than web has now"
        )

    def test_with_a_source_must_be_compiled_and_says_so(
        self,
        folder: Path,
        tools: Tools,
        heard: list[Event],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        job = written(folder)
        lock = lock_layer(job, tools)
        sources = tuple(
            replace(pin, filename=f"{pin.name}-{pin.version}.tar.gz")
            for pin in lock.pins
        )
        text = dump_lock(replace(lock, pins=sources), job.target, folder)
        job.lock_file.write_text(text)
        heard.clear()

        with pytest.raises(EngineError):
            forecast_layer(job, tools)

        assert heard == [
            Noted(
                message="nothing less than compiling tells what demo 1.0, helper 1.1 "
                "weighs"
            )
        ]

    def test_has_files_of_the_users_own(self, folder: Path, tools: Tools) -> None:
        (folder / "layerforge.toml").write_text(
            '[layers.web]\nrequirements = ["helper"]\n'
            'runtimes = ["python3.13"]\narchitectures = ["x86_64"]\n'
            'include = { "own.txt" = "python/own.txt" }\n'
        )
        (folder / "own.txt").write_bytes(b"own" * 100)

        forecast = forecast_layer(thought(folder, "web"), tools)

        assert forecast.included == 300

    def test_has_bytecode_where_it_is_asked_for(
        self, folder: Path, tools: Tools
    ) -> None:
        def compiled(spec: LayerSpec) -> LayerSpec:
            return replace(spec, bytecode=True)

        without = forecast_layer(written(folder), tools)
        forecast = forecast_layer(written(folder, compiled), tools)

        assert without.bytecode == 0 < without.bytecode_estimate
        assert forecast.bytecode == without.bytecode_estimate
        assert forecast.total == without.total + forecast.bytecode


def selected(folder: Path, **words: Any) -> list[Job]:  # noqa: ANN401 - any field
    runtimes = ("python3.12", "python3.13")
    selection = Selection(
        folder=folder, runtimes=runtimes, architectures=("arm64",), **words
    )
    return [*select_forecasts(selection, find_project(folder))]


class TestSelection:
    def test_of_requirements_is_one_layer_without_a_lock(self, folder: Path) -> None:
        jobs = selected(folder, names=("demo", "helper>=1"))

        assert [str(job) for job in jobs] == [
            "demo, helper>=1 for python3.12-arm64",
            "demo, helper>=1 for python3.13-arm64",
        ]
        assert {job.lock_words for job in jobs} == {()}

    def test_of_a_file_has_a_lock_where_the_layer_is_named(self, folder: Path) -> None:
        file = Path("requirements.txt")

        [unnamed, _] = selected(folder, requirements=file)
        [named, _] = selected(folder, requirements=file, name="web")

        assert unnamed.lock_words == ()
        assert named.lock_file == folder / "pylock.web-python312-arm64.toml"
        assert named.lock_words

    def test_has_each_target_of_one_zip(self, folder: Path) -> None:
        (folder / "layerforge.toml").write_text(
            '[layers.web]\npackages = ["pg"]\none-zip = true\n'
            'runtimes = ["nodejs22.x", "nodejs24.x"]\narchitectures = ["arm64"]\n'
        )
        selection = Selection(folder=folder, names=("web",))

        jobs = select_forecasts(selection, find_project(folder))

        assert [str(job.target) for job in jobs] == [
            "nodejs22.x-arm64",
            "nodejs24.x-arm64",
        ]

    def test_of_words_and_a_file_is_refused(self, folder: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            selected(folder, names=("demo",), requirements=Path("requirements.txt"))

        assert caught.value.message == (
            "demo and -r requirements.txt are asked for at once"
        )


def entry(path: str, size: int, origin: str) -> FileEntry:
    content = Content(
        file="", offset=0, length=1, method=0, size=size, crc32=0, sha256=""
    )
    return FileEntry(path=f"python/{path}", origin=origin, content=content)


def pack(name: str, *entries: FileEntry) -> Pack:
    return Pack(name=name, version="1.0", digest="", entries=entries, predicted=True)


class TestSum:
    def weighed(self, folder: Path, change: Change = lambda spec: spec) -> Forecast:
        one = entry("shared.py", 100, "one"), entry("one.py", 10, "one")
        other = entry("shared.py", 300, "other"), entry("other.py", 1000, "other")
        packs = {"one": pack("one", *one), "other": pack("other", *other)}
        pins = tuple(
            Pin(name=name, version="1.0", filename="", url="", digest="")
            for name in packs
        )
        lock = Lock(layer="web", target="", inputs="", roots=(), pins=pins)
        return weigh_layer(written(folder, change), lock, packs, (*one, *other))

    def test_has_each_path_once(self, folder: Path) -> None:
        forecast = self.weighed(folder)

        assert [one.kept for one in forecast.packages] == [110, 1000]
        assert [one.stripped for one in forecast.packages] == [0, 300]

    def test_has_the_file_that_was_chosen(self, folder: Path) -> None:
        chosen = {"python/shared.py": "other"}

        forecast = self.weighed(folder, lambda spec: replace(spec, collisions=chosen))

        assert [one.kept for one in forecast.packages] == [10, 1300]

    def test_without_libraries_is_no_estimate(self, folder: Path) -> None:
        assert not self.weighed(folder).predicted

    def test_has_no_more_bytecode_than_there_is_room_for(self, folder: Path) -> None:
        def tight(spec: LayerSpec) -> LayerSpec:
            return replace(spec, bytecode=True, max_unzipped=1200)

        forecast = self.weighed(folder, tight)

        assert (forecast.total, forecast.excess) == (1200, 0)


def forecast(total: int, most: int = MAX_UNZIPPED) -> Forecast:
    package = PackageForecast(name="demo", version="1.0", unzipped=total, kept=total)
    return Forecast(
        layer="web", target="python3.13-arm64", packages=(package,), most=most
    )


@pytest.mark.parametrize(
    ("total", "most", "excess"),
    [
        (UNZIPPED_LIMIT - 1, MAX_UNZIPPED, 0),
        (UNZIPPED_LIMIT, MAX_UNZIPPED, 1),
        (1001, 1000, 1),
    ],
)
def test_a_layer_must_be_smaller_than_the_limit(
    total: int, most: int, excess: int
) -> None:
    assert forecast(total, most).excess == excess


NUMPY: Final = PackageForecast(
    name="numpy",
    version="2.5.5",
    unzipped=51_245_525,
    kept=43_463_580,
    required_by=("pandas", "pyarrow"),
    predicted=True,
)
PANDAS: Final = PackageForecast(
    name="pandas",
    version="3.1.1",
    unzipped=46_240_476,
    kept=31_067_644,
    asked=True,
    predicted=True,
)
SIX: Final = PackageForecast(
    name="six", version="1.17.0", unzipped=37_975, kept=37_431, required_by=("pandas",)
)
ARM: Final = Forecast(
    layer="data",
    target="python3.13-arm64",
    packages=(NUMPY, PANDAS, SIX),
    bytecode_estimate=18_866_642,
)


class TestReport:
    def test_of_one_target_is_a_table(self) -> None:
        assert forecast_tables([ARM]) == (
            "data for python3.13-arm64\n"
            "  package         unzipped    stripped        kept  required by\n"
            "  numpy 2.5.5   51,245,525   7,781,945  43,463,580  pandas, pyarrow\n"
            "  pandas 3.1.1  46,240,476  15,172,832  31,067,644  the layer\n"
            "  six 1.17.0        37,975         544      37,431  pandas\n"
            "  all           97,523,976  22,955,321  74,568,655\n"
            "\n"
            "  target            about bytes  of the limit\n"
            "  python3.13-arm64   74,568,655         28.4%  fits\n"
            "  Lambda's limit is 262,144,000 bytes: a layer must be smaller\n"
            "  bytecode would add about 18,866,642 bytes (bytecode = true)"
        )

    def test_of_several_targets_has_rows_for_what_differs(self) -> None:
        other = replace(NUMPY, unzipped=252_765_338, kept=244_961_066)
        x86_64 = replace(ARM, target="python3.13-x86_64", packages=(other, PANDAS, SIX))

        assert forecast_tables([ARM, x86_64]) == (
            "data for python3.13-arm64, python3.13-x86_64\n"
            "  package                       unzipped    stripped         kept\n"
            "  numpy\n"
            "    python3.13-arm64 2.5.5    51,245,525   7,781,945   43,463,580\n"
            "    required by pandas, pyarrow\n"
            "    python3.13-x86_64 2.5.5  252,765,338   7,804,272  244,961,066\n"
            "    required by pandas, pyarrow\n"
            "  pandas 3.1.1                46,240,476  15,172,832   31,067,644\n"
            "  six 1.17.0                      37,975         544       37,431\n"
            "    required by pandas\n"
            "  all\n"
            "    python3.13-arm64          97,523,976  22,955,321   74,568,655\n"
            "    python3.13-x86_64        299,043,789  22,977,648  276,066,141\n"
            "\n"
            "  target             about bytes  of the limit\n"
            "  python3.13-arm64    74,568,655         28.4%  fits\n"
            "  python3.13-x86_64  276,066,141        105.3%  "
            "13,922,142 bytes too many\n"
            "  Lambda's limit is 262,144,000 bytes: a layer must be smaller\n"
            "  bytecode would add about 18,866,642 bytes (bytecode = true)"
        )

    def test_of_too_large_a_layer_says_by_how_much(self) -> None:
        table = forecast_tables([forecast(UNZIPPED_LIMIT + 1)])

        assert table.splitlines()[-2:] == [
            "  python3.13-arm64  262,144,001        100.0%  2 bytes too many",
            "  Lambda's limit is 262,144,000 bytes: a layer must be smaller",
        ]

    def test_of_a_layer_with_nothing_in_it_says_so(self) -> None:
        table = forecast_tables([replace(ARM, packages=())])

        assert "  0          0.0%  nothing is in it\n" in table

    def test_of_a_layer_with_a_limit_of_its_own_says_so(self) -> None:
        table = forecast_tables([forecast(2000, most=1500)])

        assert "500 bytes too many for max-unzipped" in table

    def test_has_a_table_for_each_layer(self) -> None:
        web = replace(ARM, layer="web")

        assert forecast_tables([ARM, web]) == (
            f"{forecast_tables([ARM])}\n\n{forecast_tables([web])}"
        )

    def test_is_never_wider_than_a_terminal(self) -> None:
        wide = replace(
            NUMPY,
            name="nvidia-cusparselt-cu13-of-a-long-name",
            version="2026.10.18.post20261018",
            unzipped=5_274_193_376,
        )
        table = forecast_tables([replace(ARM, packages=(wide, PANDAS))])

        assert max(map(len, table.splitlines())) <= 80

    def test_as_json_has_all_numbers(self) -> None:
        document = forecast_document(ARM)

        assert document["packages"][0] == {
            "name": "numpy",
            "version": "2.5.5",
            "unzipped": 51_245_525,
            "stripped": 7_781_945,
            "kept": 43_463_580,
            "location": "",
            "asked": False,
            "required_by": ["pandas", "pyarrow"],
            "predicted": True,
        }
        del document["packages"]
        assert document == {
            "layer": "data",
            "target": "python3.13-arm64",
            "unzipped": 74_568_655,
            "predicted": True,
            "limit": 262_144_000,
            "most": 262_143_999,
            "excess": 0,
            "included": 0,
            "bytecode": 0,
            "bytecode_estimate": 18_866_642,
        }


def test_a_refusal_names_each_target_that_is_too_small() -> None:
    error = refusal([forecast(300_000_000), ARM, forecast(2000, most=1500)])

    assert error.message == (
        "web for python3.13-arm64: 37,856,001 bytes too many\n"
        "web for python3.13-arm64: 500 bytes too many for max-unzipped"
    )
    assert error.remedy == (
        "Leave something out (--strip slim, --exclude-runtime-sdk, fewer packages), "
        "or split the layer: a function takes five, but their sum has the same limit."
    )


def test_a_refusal_names_each_target_that_nothing_is_for() -> None:
    error = refusal([ARM, replace(ARM, packages=())])

    assert error.message == "data for python3.13-arm64: nothing is in it"
    assert error.remedy == (
        "Lambda takes no empty zip: ask for a package that the target needs, and that "
        "no base has."
    )
