"""From requirements to pins that load, over a small index on 127.0.0.1."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from layerforge.client import Client
from layerforge.ecosystems.python.requirements import Asked, read_requirements_file
from layerforge.ecosystems.python.resolve import Resolver
from layerforge.ecosystems.python.tags import wheel_tags
from layerforge.ecosystems.python.uv import Uv
from layerforge.errors import LockError
from layerforge.indexes import IndexSettings
from layerforge.lock import Pin
from layerforge.pack import Pack
from layerforge.target import Arch, Target, find_runtime
from tests.servers import Index
from tests.wheels import make_wheel

AL2 = Target(runtime=find_runtime("python3.11"), arch=Arch.X86_64)
AL2023 = Target(runtime=find_runtime("python3.12"), arch=Arch.X86_64)
AL2023_ARM = replace(AL2023, arch=Arch.ARM64)


@pytest.fixture(autouse=True)
def _neutral(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    with Index(folder) as index:
        yield index


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(retries=0, timeout=5) as client:
        yield client


@pytest.fixture
def resolver(index: Index, client: Client, tmp_path: Path) -> Resolver:
    settings = IndexSettings(index_url=index.simple_url)
    uv = Uv(indexes=settings, cache=tmp_path / "uv", folder=tmp_path)
    return Resolver(uv=uv, client=client, target=AL2023)


def publish(
    index: Index,
    name: str,
    version: str,
    *tags: str,
    requires: Sequence[str] = (),
    build: str = "",
) -> None:
    """Put a wheel for each platform (``2_28_x86_64``) or of each tag on the index."""
    for tag in tags or ("py3-none-any",):
        for full in _tags(tag):
            make_wheel(
                *(index.folder, name, version, {f"{name}.py": tag.encode()}),
                requires=requires,
                tag=full,
                build=build,
            )


def _tags(tag: str) -> list[str]:
    if tag.count("-") == 2:
        return [tag]
    return [f"cp{minor}-cp{minor}-manylinux_{tag}" for minor in (311, 312)]


def filenames(resolver: Resolver, *requirements: str) -> list[str]:
    pins = resolver.from_requirements(Asked(requirements=requirements))
    return [pin.filename for pin in pins]


def refused(resolver: Resolver, *requirements: str) -> LockError:
    with pytest.raises(LockError) as caught:
        resolver.from_requirements(Asked(requirements=requirements))
    return caught.value


def wanted(target: Target) -> str:
    tags = wheel_tags(target)
    return f"  tags wanted: {tags[0]} … {tags[-1]} ({len(tags)} in all)"


class TestWheels:
    @pytest.mark.parametrize(
        ("target", "platform"),
        [
            (AL2, "cp311-cp311-manylinux_2_17_x86_64"),
            (AL2023, "cp312-cp312-manylinux_2_17_x86_64"),
            (AL2023_ARM, "cp312-cp312-manylinux_2_17_aarch64"),
        ],
        ids=str,
    )
    def test_are_those_of_the_target(
        self, resolver: Resolver, index: Index, target: Target, platform: str
    ) -> None:
        publish(index, "demo", "1.0", "2_17_x86_64", "2_17_aarch64")

        assert filenames(replace(resolver, target=target), "demo") == [
            f"demo-1.0-{platform}.whl"
        ]

    @pytest.mark.parametrize(
        ("tags", "best"),
        [
            (
                ("py3-none-any", "cp312-cp312-manylinux_2_17_x86_64"),
                "cp312-cp312-manylinux_2_17_x86_64",
            ),
            (
                (
                    "cp312-cp312-manylinux_2_17_x86_64",
                    "cp312-cp312-manylinux_2_34_x86_64",
                    "cp312-cp312-manylinux_2_28_x86_64",
                    "cp312-cp312-manylinux_2_35_x86_64",
                ),
                "cp312-cp312-manylinux_2_34_x86_64",
            ),
            (
                (
                    "cp39-abi3-manylinux_2_17_x86_64",
                    "cp311-abi3-manylinux_2_17_x86_64",
                    "cp313-abi3-manylinux_2_17_x86_64",
                ),
                "cp311-abi3-manylinux_2_17_x86_64",
            ),
        ],
    )
    def test_are_the_best_of_a_version(
        self, resolver: Resolver, index: Index, tags: tuple[str, ...], best: str
    ) -> None:
        publish(index, "demo", "1.0", *tags)

        assert filenames(resolver, "demo") == [f"demo-1.0-{best}.whl"]

    def test_of_the_highest_build_number_win(
        self, resolver: Resolver, index: Index
    ) -> None:
        for build in ("", "9", "10"):
            publish(index, "demo", "1.0", build=build)

        assert filenames(resolver, "demo") == ["demo-1.0-10-py3-none-any.whl"]

    def test_are_pinned_with_address_hash_and_size(
        self, resolver: Resolver, index: Index
    ) -> None:
        publish(index, "demo", "1.0")
        name = "demo-1.0-py3-none-any.whl"
        data = (index.folder / name).read_bytes()

        (pin,) = resolver.from_requirements(Asked(requirements=("demo",)))

        assert pin == Pin(
            name="demo",
            version="1.0",
            filename=name,
            url=index.file_url(name),
            digest=hashlib.sha256(data).hexdigest(),
            size=len(data),
        )

    def test_may_be_named_by_url(self, resolver: Resolver, index: Index) -> None:
        publish(index, "demo", "1.0")
        publish(index, "demo", "2.0")
        url = index.file_url("demo-1.0-py3-none-any.whl")

        assert filenames(resolver, f"demo @ {url}") == ["demo-1.0-py3-none-any.whl"]

    def test_may_lie_in_a_folder(
        self, resolver: Resolver, index: Index, tmp_path: Path
    ) -> None:
        place = tmp_path / "my wheels"
        make_wheel(place, "demo", "3.0", {"demo.py": b""})
        publish(index, "demo", "1.0")
        linked = IndexSettings(index_url=index.simple_url, find_links=(str(place),))
        uv = replace(resolver.uv, indexes=linked)

        (pin,) = replace(resolver, uv=uv).from_requirements(
            Asked(requirements=("demo",))
        )

        assert pin.path == place / "demo-3.0-py3-none-any.whl"


class TestTrueTags:
    """Amazon Linux 2 has glibc 2.26, for which uv has no platform."""

    def test_rule_out_versions_that_would_not_load(
        self, resolver: Resolver, index: Index
    ) -> None:
        publish(index, "demo", "1.0", "2_17_x86_64")
        publish(index, "demo", "1.5", "2_26_x86_64")
        for version in ("2.0", "2.1", "3.0"):
            publish(index, "demo", version, "2_27_x86_64")

        assert filenames(replace(resolver, target=AL2), "demo") == [
            "demo-1.5-cp311-cp311-manylinux_2_26_x86_64.whl"
        ]
        assert filenames(resolver, "demo") == [
            "demo-3.0-cp312-cp312-manylinux_2_27_x86_64.whl"
        ]

    def test_rule_out_versions_of_dependencies_too(
        self, resolver: Resolver, index: Index
    ) -> None:
        publish(index, "base", "1.0", "2_17_x86_64")
        publish(index, "base", "2.0", "2_28_x86_64")
        publish(index, "demo", "1.0", requires=["base"])
        publish(index, "demo", "2.0", requires=["base>=2"])

        assert filenames(replace(resolver, target=AL2), "demo") == [
            "base-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
            "demo-1.0-py3-none-any.whl",
        ]

    def test_take_one_round_for_all_versions_of_a_package(
        self, resolver: Resolver, index: Index
    ) -> None:
        publish(index, "demo", "1.0", "2_17_x86_64")
        for minor in range(30):
            publish(index, "demo", f"2.{minor}", "2_28_x86_64")

        assert filenames(replace(resolver, target=AL2), "demo") == [
            "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
        ]

    def test_hold_for_folders_of_wheels_too(
        self, resolver: Resolver, index: Index
    ) -> None:
        publish(index, "demo", "1.0", "2_17_x86_64")
        for minor in range(30):
            publish(index, "demo", f"2.{minor}", "2_28_x86_64")
        offline = IndexSettings(find_links=(str(index.folder),), no_index=True)
        uv = replace(resolver.uv, indexes=offline)

        found = filenames(replace(resolver, target=AL2, uv=uv), "demo")

        assert found == ["demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"]
        assert index.requests == []


class TestPreferences:
    def test_keep_a_pin(self, resolver: Resolver, index: Index) -> None:
        publish(index, "demo", "1.0")
        publish(index, "other", "1.0")
        asked = Asked(requirements=("demo", "other"))
        old = resolver.from_requirements(asked)
        publish(index, "demo", "2.0")
        publish(index, "other", "2.0")

        kept = resolver.from_requirements(asked, old)
        freed = resolver.from_requirements(asked, old[:1])

        assert [str(pin) for pin in kept] == ["demo 1.0", "other 1.0"]
        assert [str(pin) for pin in freed] == ["demo 1.0", "other 2.0"]

    def test_yield_to_the_requirements(self, resolver: Resolver, index: Index) -> None:
        publish(index, "demo", "1.0")
        old = resolver.from_requirements(Asked(requirements=("demo",)))
        publish(index, "demo", "2.0")

        (pin,) = resolver.from_requirements(Asked(requirements=("demo>1",)), old)

        assert pin.version == "2.0"


class TestHashes:
    def test_that_the_requirements_give_are_held_to(
        self, resolver: Resolver, index: Index
    ) -> None:
        publish(index, "demo", "1.0")
        name = "demo-1.0-py3-none-any.whl"
        own = hashlib.sha256((index.folder / name).read_bytes()).hexdigest()
        zeros = "0" * 64

        assert filenames(
            resolver, f"demo==1.0 --hash=sha256:{zeros} --hash=sha256:{own}"
        ) == [name]
        error = refused(resolver, f"demo==1.0 --hash=sha256:{zeros}")
        assert error.message == (
            f"{name} has SHA-256 {own}, which is not among the hashes that the "
            "requirements give for demo"
        )
        assert error.remedy == (
            "Find out why the index has another file; if it is right, add its hash to "
            "the requirements."
        )


class TestNoWheel:
    def test_of_any_version_names_tags_and_files(
        self, resolver: Resolver, index: Index
    ) -> None:
        (index.folder / "demo-1.0.tar.gz").write_bytes(b"")

        error = refused(resolver, "demo")

        assert error.message == (
            "demo has no wheel that loads on python3.12-x86_64: demo==1.0 has no "
            "usable "
            "wheels and only demo==1.0 is available, so demo cannot be used; the "
            "requirements ask for demo.\n"
            f"{wanted(AL2023)}\n"
            "  files of demo 1.0: demo-1.0.tar.gz"
        )
        assert error.remedy == "No version has one."

    def test_of_what_is_asked_for_names_an_older_version(
        self, resolver: Resolver, index: Index
    ) -> None:
        publish(index, "demo", "1.0", "2_17_x86_64")
        publish(index, "demo", "1.1", "2_17_x86_64")
        publish(index, "demo", "2.0", "2_28_x86_64", "2_28_aarch64")
        (index.folder / "demo-2.0.tar.gz").write_bytes(b"")

        error = refused(replace(resolver, target=AL2), "demo>=2")

        assert error.message == (
            "demo has no wheel that loads on python3.11-x86_64: no version that is "
            "asked for has one\n"
            f"{wanted(AL2)}\n"
            "  files of demo 2.0: demo-2.0-cp311-cp311-manylinux_2_28_aarch64.whl, "
            "demo-2.0-cp311-cp311-manylinux_2_28_x86_64.whl, "
            "demo-2.0-cp312-cp312-manylinux_2_28_aarch64.whl, "
            "demo-2.0-cp312-cp312-manylinux_2_28_x86_64.whl …"
        )
        assert error.remedy == "The newest version with one is 1.1: allow it."

    def test_for_another_machine_names_the_package(
        self, resolver: Resolver, index: Index
    ) -> None:
        publish(index, "demo", "1.0", "cp312-cp312-macosx_11_0_arm64")

        error = refused(resolver, "demo")

        first, *lines = error.message.splitlines()
        assert first.startswith("demo has no wheel that loads on python3.12-x86_64: ")
        assert lines == [
            wanted(AL2023),
            "  files of demo 1.0: demo-1.0-cp312-cp312-macosx_11_0_arm64.whl",
        ]

    def test_of_a_dependency_names_who_needs_it(
        self, resolver: Resolver, index: Index
    ) -> None:
        (index.folder / "base-1.0.tar.gz").write_bytes(b"")
        publish(index, "demo", "1.0", requires=["base"])

        error = refused(resolver, "demo")

        first = error.message.splitlines()[0]
        assert first.startswith("base has no wheel that loads on python3.12-x86_64: ")
        assert "demo depends on base" in first

    def test_is_told_without_asking_any_index_where_none_is_wanted(
        self, resolver: Resolver, index: Index
    ) -> None:
        publish(index, "demo", "1.0", "2_28_x86_64")
        offline = IndexSettings(
            index_url=index.simple_url, find_links=(str(index.folder),), no_index=True
        )
        uv = replace(resolver.uv, indexes=offline)

        error = refused(replace(resolver, uv=uv, target=AL2), "demo")

        assert "files of demo 1.0: demo-1.0-cp311-cp311-manylinux_2_28" in error.message
        assert index.requests == []


class TestConflicts:
    def test_are_told_in_plain_words(self, resolver: Resolver, index: Index) -> None:
        publish(index, "base", "1.0")
        publish(index, "demo", "1.0", requires=["base>=2"])

        error = refused(resolver, "demo")

        assert error.message == (
            "python3.12-x86_64: only base==1.0 is available and demo depends on "
            "base>=2, "
            "so demo cannot be used; the requirements ask for demo."
        )
        assert error.remedy == (
            "Loosen one of these requirements, or take another target."
        )

    def test_of_an_index_that_refuses_to_answer_ask_for_credentials(
        self, resolver: Resolver, index: Index
    ) -> None:
        index.credentials = ("anna", "secret")

        error = refused(resolver, "nowhere")

        assert error.message == (
            "python3.12-x86_64: nowhere is not in the index and the requirements ask "
            "for nowhere. But not every index let itself be asked: "
            f"{index.simple_url} (401 Unauthorized)."
        )
        assert error.remedy == (
            "Give a user and password that may read it: in ~/.netrc, in the index's "
            "address (https://USER:SECRET@HOST/...), or in a keyring."
        )

    def test_of_a_name_that_nobody_knows_point_at_the_index(
        self, resolver: Resolver
    ) -> None:
        error = refused(resolver, "nowhere")

        assert error.message == (
            "python3.12-x86_64: nowhere is not in the index and the requirements ask "
            "for nowhere."
        )
        assert error.remedy == (
            "See that the name is right, and the index: --extra-index-url."
        )


class TestProvided:
    def test_packages_are_left_out_with_all_that_only_they_need(
        self, resolver: Resolver, index: Index
    ) -> None:
        publish(index, "boto3", "1.0", requires=["only-boto3-needs"])
        publish(index, "demo", "1.0", requires=["boto3"])

        assert filenames(replace(resolver, provided=("boto3",)), "demo") == [
            "demo-1.0-py3-none-any.whl"
        ]


class TestCredentials:
    def test_never_reach_a_pin(self, resolver: Resolver, index: Index) -> None:
        publish(index, "demo", "1.0")
        index.credentials = ("me", "secret")
        settings = IndexSettings(index_url=f"http://me:secret@{index.host}/simple/")
        uv = replace(resolver.uv, indexes=settings)

        (pin,) = replace(resolver, uv=uv).from_requirements(
            Asked(requirements=("demo",))
        )

        assert pin.url == index.file_url("demo-1.0-py3-none-any.whl")

    def test_never_reach_a_message(
        self, resolver: Resolver, index: Index, tmp_path: Path
    ) -> None:
        index.credentials = ("me", "other")
        file = tmp_path / "requirements.txt"
        file.write_text(f"-i http://me:secret@{index.host}/simple/\ndemo\n")
        asked = read_requirements_file(file)
        uv = replace(resolver.uv, indexes=asked.indexes)

        with pytest.raises(LockError) as caught:
            replace(resolver, uv=uv).from_requirements(asked)

        assert "secret" not in caught.value.message + caught.value.remedy


def pylock(*packages: dict[str, Any]) -> dict[str, Any]:
    return {
        "lock-version": "1.0",
        "created-by": "tests",
        "packages": list(packages),
    }


def package(name: str, *tags: str, **more: object) -> dict[str, Any]:
    wheels = [
        {
            "name": f"{name}-1.0-{tag}.whl",
            "url": f"https://example.org/{name}-1.0-{tag}.whl",
            "hashes": {"sha256": "a" * 64},
        }
        for tag in tags or ("py3-none-any",)
    ]
    return {"name": name, "version": "1.0", "wheels": wheels} | more


class TestPylock:
    def pins(self, resolver: Resolver, *packages: dict[str, Any]) -> list[str]:
        found = resolver.from_pylock(pylock(*packages), Path("/project"))
        return [pin.filename for pin in found]

    def test_gives_the_wheel_of_the_target(self, resolver: Resolver) -> None:
        row = package(
            "demo",
            "py3-none-any",
            "cp312-cp312-manylinux_2_28_x86_64",
            "cp312-cp312-musllinux_1_2_x86_64",
        )

        assert self.pins(resolver, row) == [
            "demo-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"
        ]

    def test_follows_markers_of_the_target(self, resolver: Resolver) -> None:
        assert self.pins(
            resolver,
            package("here", marker="sys_platform == 'linux'"),
            package("there", marker="sys_platform == 'win32'"),
            package("old", marker="python_version < '3.12'"),
        ) == ["here-1.0-py3-none-any.whl"]

    def test_follows_extras_as_none_are_chosen(self, resolver: Resolver) -> None:
        assert self.pins(
            resolver,
            package("always"),
            package("more", marker="'fast' in extras"),
            package("dev", marker="'dev' in dependency_groups"),
        ) == ["always-1.0-py3-none-any.whl"]

    def test_includes_the_locks_own_default_groups(self, resolver: Resolver) -> None:
        document = pylock(
            package("always"),
            package("base", marker="'base' in dependency_groups"),
            package("dev", marker="'dev' in dependency_groups"),
        ) | {"dependency-groups": ["base", "dev"], "default-groups": ["base"]}

        pins = resolver.from_pylock(document, Path("/project"))

        assert [pin.name for pin in pins] == ["always", "base"]

    def test_starts_paths_from_its_folder(
        self, resolver: Resolver, tmp_path: Path
    ) -> None:
        row = package("demo")
        row["wheels"][0]["path"] = f"wheels/{row['wheels'][0]['name']}"
        del row["wheels"][0]["url"]

        (pin,) = resolver.from_pylock(pylock(row), tmp_path)

        assert pin.path == tmp_path / "wheels" / "demo-1.0-py3-none-any.whl"

    def test_without_a_wheel_for_the_target_is_refused(
        self, resolver: Resolver, index: Index
    ) -> None:
        publish(index, "demo", "0.9")

        with pytest.raises(LockError) as caught:
            self.pins(resolver, package("demo", "cp313-cp313-win_amd64"))

        assert caught.value.message == (
            "demo has no wheel that loads on python3.12-x86_64: the lock pins 1.0\n"
            f"{wanted(AL2023)}\n"
            "  files of demo 0.9: demo-0.9-py3-none-any.whl"
        )
        assert caught.value.remedy.startswith("The newest version with one is 0.9: ")

    def test_without_hashes_is_refused(self, resolver: Resolver) -> None:
        row = package("demo")
        row["wheels"][0]["hashes"] = {"md5": "x"}

        with pytest.raises(LockError) as caught:
            self.pins(resolver, row)

        assert caught.value.message == (
            "demo-1.0-py3-none-any.whl: the index gives no SHA-256 for it"
        )

    def test_that_is_malformed_is_refused(self, resolver: Resolver) -> None:
        with pytest.raises(LockError) as caught:
            resolver.from_pylock({"lock-version": "1.0"}, Path("/project"))

        assert caught.value.message == (
            "python3.12-x86_64: not a pylock file: Missing required value in "
            "'created-by'"
        )


class TestAudited:
    def pin(self, name: str) -> Pin:
        filename = f"{name}-1.0-py3-none-any.whl"
        return Pin(name=name, version="1.0", filename=filename, url="", digest="")

    def pack(self, name: str, *requires: str) -> Pack:
        return Pack(name=name, version="1.0", digest="", entries=(), requires=requires)

    def test_tells_roots_and_dependencies(self, resolver: Resolver) -> None:
        pins = [self.pin("a"), self.pin("b")]
        packs = {"a": self.pack("a", "B>=1"), "b": self.pack("b")}

        resolution = resolver.audited(pins, packs, [Requirement("A")])

        assert resolution.roots == ("a",)
        assert [pin.dependencies for pin in resolution.pins] == [("b",), ()]

    def test_refuses_what_does_not_fit(self, resolver: Resolver) -> None:
        packs = {"a": self.pack("a", "b", "c")}

        with pytest.raises(LockError) as caught:
            resolver.audited([self.pin("a")], packs, [Requirement("a")])

        assert caught.value.message == (
            "python3.12-x86_64: the versions do not fit together there:\n"
            "  a needs b, which is not among the pins\n"
            "  a needs c, which is not among the pins"
        )
        assert caught.value.remedy == (
            "Mend the lock or the requirements that they come from."
        )
