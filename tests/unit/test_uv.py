"""uv itself, asked by way of a small index on 127.0.0.1, and its words in ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from layerforge.ecosystems.python.requirements import Asked
from layerforge.ecosystems.python.uv import Unresolved, Uv
from layerforge.errors import LockError
from layerforge.events import Event, Noted
from layerforge.indexes import IndexSettings
from layerforge.lock import Pin
from layerforge.target import Arch, Target, find_runtime
from tests.servers import Fault, Index
from tests.wheels import make_wheel

TARGET = Target(runtime=find_runtime("python3.12"), arch=Arch.ARM64)
FULL = TARGET.runtime.full_version


@pytest.fixture(autouse=True)
def _neutral(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    for version in ("1.0", "2.0", "3.0rc1"):
        wheel(folder, "base", version)
    wheel(folder, "old", "1.0", requires=["base<2"])
    wheel(folder, "new", "1.0", requires=["base>=2"])
    wheel(
        folder,
        "marked",
        "1.0",
        requires=[
            "base; platform_machine == 'aarch64' and python_version == '3.12'",
            "old; sys_platform == 'darwin' or python_full_version < '3.12.1'",
        ],
    )
    wheel(folder, "young", "1.0", requires_python=">=3.14")
    with Index(folder) as index:
        yield index


@pytest.fixture
def uv(index: Index, tmp_path: Path) -> Uv:
    settings = IndexSettings(index_url=index.simple_url)
    return Uv(indexes=settings, cache=tmp_path / "uv", folder=tmp_path)


def wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: list[str] | None = None,
    requires_python: str = "",
) -> None:
    files = {f"{name}.py": b""}
    make_wheel(
        *(folder, name, version, files),
        requires=requires or [],
        requires_python=requires_python,
    )


def pins_of(uv: Uv, asked: Asked) -> dict[str, str]:
    """Give versions by name."""
    return versions(uv.compile(asked, TARGET)["packages"])


def versions(packages: list[dict[str, str]]) -> dict[str, str]:
    return {package["name"]: package["version"] for package in packages}


def pin(name: str, version: str) -> Pin:
    return Pin(name=name, version=version, filename="", url="", digest="")


class TestCompile:
    def test_gives_the_newest_final_versions(self, uv: Uv) -> None:
        assert pins_of(uv, Asked(requirements=("new",))) == {
            "base": "2.0",
            "new": "1.0",
        }

    def test_gives_pre_releases_where_they_are_asked_for(self, uv: Uv) -> None:
        asked = Asked(requirements=("base",))

        assert pins_of(uv, replace(asked, prereleases=True)) == {"base": "3.0rc1"}
        assert pins_of(uv, Asked(requirements=("base>=3.0rc0",))) == {"base": "3.0rc1"}

    def test_holds_to_constraints(self, uv: Uv) -> None:
        asked = Asked(requirements=("base",), constraints=("base<2", "unheard-of>3"))

        assert pins_of(uv, asked) == {"base": "1.0"}

    def test_follows_the_markers_of_the_target(self, uv: Uv) -> None:
        assert pins_of(uv, Asked(requirements=("marked",))) == {
            "base": "2.0",
            "marked": "1.0",
        }

    def test_leaves_out_what_is_excluded_and_only_that_needs(self, uv: Uv) -> None:
        asked = Asked(requirements=("old", "new"))

        document = uv.compile(asked, TARGET, excluded=("old",))

        assert versions(document["packages"]) == {"base": "2.0", "new": "1.0"}

    def test_tells_of_extras_that_do_not_exist(self, uv: Uv) -> None:
        heard: list[Event] = []

        document = replace(uv, listen=heard.append).compile(
            Asked(requirements=("new[fast]",)), TARGET
        )

        assert versions(document["packages"]) == {"base": "2.0", "new": "1.0"}
        assert heard == [
            Noted(message="new 1.0 has no extra fast, which is asked for", warning=True)
        ]

    def test_keeps_what_is_preferred(self, uv: Uv) -> None:
        asked = Asked(requirements=("base",))

        document = uv.compile(asked, TARGET, preferred=(pin("base", "1.0"),))

        assert versions(document["packages"]) == {"base": "1.0"}

    def test_gives_up_a_preference_that_no_longer_fits(self, uv: Uv) -> None:
        asked = Asked(requirements=("new",))
        preferred = (pin("base", "1.0"), pin("gone", "7.0"))

        document = uv.compile(asked, TARGET, preferred=preferred)

        assert versions(document["packages"]) == {"base": "2.0", "new": "1.0"}

    def test_downloads_nothing_but_what_it_asks_of_the_index(
        self, uv: Uv, index: Index
    ) -> None:
        uv.compile(Asked(requirements=("new",)), TARGET)

        paths = {request.path for request in index.requests}
        assert [path for path in paths if path.endswith(".whl")] == []

    def test_keeps_its_files_in_the_store(self, uv: Uv) -> None:
        uv.compile(Asked(requirements=("base",)), TARGET)

        assert uv.cache.is_dir()

    def test_reads_no_settings_from_a_config_file_of_the_index_kind(
        self, uv: Uv, index: Index
    ) -> None:
        """What layerforge was told on its command line wins over uv.toml."""
        (uv.folder / "uv.toml").write_text(
            'index = [{url = "http://127.0.0.1:9/simple", default = true}]\n'
        )

        assert pins_of(uv, Asked(requirements=("base",))) == {"base": "2.0"}
        assert index.asked("/simple/base/")


class TestFailure:
    def failure(self, uv: Uv, *requirements: str) -> LockError:
        with pytest.raises(LockError) as caught:
            uv.compile(Asked(requirements=requirements), TARGET)
        return caught.value

    @pytest.mark.parametrize(
        ("requirements", "told"),
        [
            (
                ("base==9",),
                "there is no version of base==9 and the requirements ask for base==9.",
            ),
            (
                ("base<1",),
                "only base>=1.0 is available and the requirements ask for base<1.",
            ),
            (
                ("nowhere",),
                "nowhere is not in the index and the requirements ask for nowhere.",
            ),
            (
                ("old", "new"),
                (
                    "new depends on base>=2 and old depends on base<2, so new and old "
                    "are "
                    "incompatible; the requirements ask for old and new."
                ),
            ),
            (
                ("base<2", "new"),
                (
                    "new depends on base>=2 and the requirements ask for base<2, so "
                    "the "
                    "requirements and new are incompatible; the requirements ask for "
                    "new."
                ),
            ),
            (
                ("young",),
                (
                    f"the requested Python version (>={FULL}) does not satisfy "
                    "Python>=3.14 "
                    "and young==1.0 depends on Python>=3.14, so young==1.0 cannot be "
                    "used; "
                    "only young==1.0 is available and the requirements ask for young."
                ),
            ),
        ],
    )
    def test_is_told_in_plain_words(
        self, uv: Uv, requirements: tuple[str, ...], told: str
    ) -> None:
        error = self.failure(uv, *requirements)

        assert isinstance(error, Unresolved)
        assert error.message == f"python3.12-arm64: {told}"
        assert error.wheelless == ()

    @pytest.mark.parametrize("name", ["only-source", "other-machine"])
    def test_for_want_of_a_wheel_names_the_package(
        self, uv: Uv, index: Index, name: str
    ) -> None:
        (index.folder / "only_source-1.0.tar.gz").write_bytes(b"")
        make_wheel(
            *(index.folder, "other-machine", "1.0", {"a.py": b""}),
            tag="cp312-cp312-macosx_11_0_arm64",
        )
        make_wheel(
            *(index.folder, "needy", "1.0", {"n.py": b""}),
            requires=["only-source", "other-machine"],
        )

        error = self.failure(uv, name)

        assert isinstance(error, Unresolved)
        assert error.wheelless == (name,)

    def test_of_the_index_is_told_without_secrets(self, uv: Uv, index: Index) -> None:
        refused = Fault(status=401, headers={"WWW-Authenticate": "Basic"})
        index.script("/simple/base/", *[refused] * 20)
        url = index.simple_url.replace("://", "://me:secret@")
        indexes = IndexSettings(index_url=url)

        error = self.failure(replace(uv, indexes=indexes), "base")

        assert "secret" not in error.message + error.remedy
        assert "me:" not in error.message
        assert error.message.startswith("python3.12-arm64: ")

    def test_without_an_answer_says_where_to_look(
        self, uv: Uv, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        indexes = IndexSettings(index_url="http://127.0.0.1:9/simple")
        silent = replace(uv, indexes=indexes)

        error = self.failure(silent, "base")

        assert error.message.startswith("python3.12-arm64: uv could not resolve:\n  ")
        assert "http://127.0.0.1:9/simple/base/" in error.message
        assert error.remedy == (
            "See that the index can be reached: --index-url, proxy, CA bundle."
        )
