"""Images by name and by what they are, with an engine that only answers."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from docker.errors import APIError, ImageNotFound

from layerforge.containers import facts, images
from layerforge.containers.engine import Engine
from layerforge.containers.images import (
    KeptImage,
    base_image,
    build_image,
    build_images_folder,
    list_images,
    prune_images,
)
from layerforge.containers.settings import ContainerSettings, SystemPackages
from layerforge.containers.task import ImageError, Outcome, Task, TaskError
from layerforge.errors import ConfigError
from layerforge.events import Event, Failed, Finished, Progress, Said, Started
from layerforge.target import Arch, Target, find_runtime, load_runtimes

ROOT: Final = Path(__file__).parents[2]
X86: Final = Target(runtime=find_runtime("python3.13"), arch=Arch.X86_64)
ARM: Final = Target(runtime=find_runtime("python3.13"), arch=Arch.ARM64)
NODE: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.X86_64)
OWN: Final = ContainerSettings(image="own:{version}")
LIBPQ: Final = {"DNF_PACKAGES": "libpq-devel", "APT_PACKAGES": "libpq-dev"}
SEEN: Final = "x86_64\nglibc 2.34 3.13.9\n"


@dataclass
class FakeEngine:
    """An engine with images by name; a pull or a build adds those it has the words for.

    Its jobs all say ``said``, or fail with it.
    """

    present: dict[str, dict[str, Any]] = field(default_factory=dict)
    registry: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    building: list[dict[str, Any]] = field(default_factory=list)
    said: str | Exception = SEEN
    tasks: list[Task] = field(default_factory=list)
    builds: list[Any] = field(default_factory=list)
    used: tuple[str, ...] = ()

    @property
    def client(self) -> SimpleNamespace:
        return SimpleNamespace(api=self)

    @contextmanager
    def explained(self) -> Iterator[None]:
        yield

    def run(self, task: Task, _settings: ContainerSettings) -> Outcome:
        self.tasks.append(task)
        if isinstance(self.said, Exception):
            raise self.said
        return Outcome(stdout=self.said.encode())

    def inspect_image(self, name: str) -> dict[str, Any]:
        if name not in self.present:
            raise ImageNotFound(name)
        return self.present[name]

    def pull(self, name: str, *, platform: str, **_: bool) -> list[dict[str, Any]]:
        if name not in self.registry:
            raise APIError("404", explanation="no such repository")
        said = self.registry[name]
        if "error" not in said[-1]:
            self.present[name] = marks(platform.partition("/")[2])
        return said

    def build(self, **words: object) -> list[dict[str, Any]]:
        self.builds.append(words)
        if not self.building or "error" not in self.building[-1]:
            self.present[str(words["tag"])] = marks()
        return self.building

    def images(self, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        return [
            {"Id": "sha256:1", "RepoTags": [name], "Size": 7, "Labels": labels}
            for name, image in self.present.items()
            if filters["label"] in (labels := image.get("Labels", {}))
        ]

    def remove_image(self, name: str) -> None:
        if name in self.used:
            raise APIError("409", explanation="a container uses it")
        del self.present[name]

    def prune_images(self, filters: Mapping[str, object]) -> None:
        assert filters == {"dangling": True, "label": "layerforge.stage=build"}


def marks(arch: str = "amd64", **more: object) -> dict[str, Any]:
    return {"Id": f"sha256:{arch}", "Os": "linux", "Architecture": arch, **more}


def kept(target: str) -> dict[str, Any]:
    labels = {"layerforge.target": target, "layerforge.base": "own:3.13"}
    return marks(Labels=labels)


def as_engine(engine: FakeEngine) -> Engine:
    return cast("Engine", engine)


@pytest.fixture(autouse=True)
def _nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_SEEN", {})


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(present={"own:3.13": marks()})


@pytest.mark.parametrize("runtime", load_runtimes())
def test_every_runtime_has_an_image_of_aws_for_each_architecture(runtime: str) -> None:
    engine = FakeEngine()
    target = Target(runtime=find_runtime(runtime), arch=Arch.ARM64)

    with pytest.raises(ImageError, match=r"public\.ecr\.aws/lambda/\S+-arm64 "):
        base_image(as_engine(engine), target, ContainerSettings())


def test_an_image_whose_digest_is_known_is_taken_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = {"name": "lambda:{arch}", "digest": {"x86_64": "sha256:abc"}}
    monkeypatch.setattr(images, "_table", lambda: {"python3.13": row})
    engine = FakeEngine(present={"lambda:x86_64@sha256:abc": marks()})

    image = base_image(as_engine(engine), X86, ContainerSettings())

    assert image.name == "lambda:x86_64@sha256:abc"


def test_an_image_is_what_a_job_saw_in_it(engine: FakeEngine) -> None:
    image = base_image(as_engine(engine), X86, OWN)

    assert (image.id, image.name) == ("sha256:amd64", "own:3.13")
    assert (image.arch, image.glibc, image.interpreter) == (
        Arch.X86_64,
        (2, 34),
        "3.13.9",
    )


def test_an_image_is_looked_into_once(engine: FakeEngine) -> None:
    for _ in range(2):
        base_image(as_engine(engine), X86, OWN)

    assert len(engine.tasks) == 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("glibc 2.26", id="getconf"),
        pytest.param("ldd (GNU libc) 2.34", id="ldd"),
        pytest.param("ldd (Debian GLIBC 2.31-13+deb11u11) 2.31", id="Debian"),
    ],
)
def test_an_image_of_glibc_without_the_interpreter_is_refused(said: str) -> None:
    engine = FakeEngine(present={"own": marks()}, said=f"x86_64\n{said}\n")

    with pytest.raises(ImageError) as caught:
        base_image(as_engine(engine), NODE, ContainerSettings(image="own"))

    assert (
        caught.value.message == "own can't stand for nodejs22.x-x86_64: it has no node"
    )


def test_an_image_of_node_is_what_a_job_saw_in_it() -> None:
    engine = FakeEngine(present={"own": marks()}, said="x86_64\nglibc 2.34 22.23.3\n")

    image = base_image(as_engine(engine), NODE, ContainerSettings(image="own"))

    assert (image.glibc, image.interpreter) == ((2, 34), "22.23.3")


def test_an_image_of_another_node_is_refused() -> None:
    engine = FakeEngine(present={"own": marks()}, said="x86_64\nglibc 2.34 20.19.5\n")

    with pytest.raises(ImageError) as caught:
        base_image(as_engine(engine), NODE, ContainerSettings(image="own"))

    assert (
        caught.value.message
        == "own can't stand for nodejs22.x-x86_64: its node is 20.19.5"
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(
            "aarch64\nglibc 2.34 3.13.9\n", "its programs are for aarch64", id="machine"
        ),
        pytest.param("x86_64\nglibc 2.34\n", "it has no python3.13", id="python"),
        pytest.param(
            "x86_64\nmusl libc (x86_64)\n", "its C library isn't glibc", id="musl"
        ),
        pytest.param(
            TaskError("running a look failed: exec format error"),
            "running a look failed: exec format error",
            id="does not run",
        ),
    ],
)
def test_an_image_that_does_not_suit_is_refused(
    engine: FakeEngine, said: str | Exception, reason: str
) -> None:
    engine.said = said

    with pytest.raises(ImageError) as caught:
        base_image(as_engine(engine), X86, OWN)

    assert (
        caught.value.message == f"own:3.13 can't stand for python3.13-x86_64: {reason}"
    )
    assert caught.value.remedy == (
        "Name an image of that runtime and architecture: --image, or `image` in "
        "`[containers]` of layerforge.toml, with {runtime} and {arch} in its place."
    )


def test_an_image_that_is_not_here_is_pulled_and_told_of() -> None:
    def layer(name: str, done: int) -> dict[str, Any]:
        detail = {"current": done, "total": 100}
        return {"status": "Downloading", "id": name, "progressDetail": detail}

    said = [{"status": "Pulling"}, layer("a", 10), layer("b", 30), layer("a", 50)]
    engine = FakeEngine(registry={"own:3.13": said})
    events: list[Event] = []

    base_image(as_engine(engine), X86, OWN, events.append)

    assert events == [
        Started(task="own:3.13", doing="pulling", done="pulled"),
        Progress(task="own:3.13", done=10),
        Progress(task="own:3.13", done=40),
        Progress(task="own:3.13", done=80),
        Finished(task="own:3.13"),
    ]


@pytest.mark.parametrize(
    ("registry", "reason"),
    [
        pytest.param({}, "no such repository", id="refused"),
        pytest.param({"own:3.13": [{"error": "denied"}]}, "denied", id="broken off"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_an_error(
    registry: dict[str, list[dict[str, Any]]], reason: str
) -> None:
    engine = FakeEngine(registry=registry)

    with pytest.raises(ImageError) as caught:
        base_image(as_engine(engine), X86, OWN)

    assert caught.value.message == (
        f"there is no image for python3.13-x86_64: own:3.13 can't be pulled: {reason}"
    )
    assert caught.value.remedy == (
        "Log in to its registry, or name another image (--image, `image` in "
        "`[containers]` of layerforge.toml); scripts/base-images of layerforge's "
        "sources makes one where no registry is in reach."
    )


def test_another_machines_image_of_that_name_is_pulled_over(engine: FakeEngine) -> None:
    engine.registry = {"own:3.13": [{"status": "Pulling"}]}
    engine.said = "aarch64\nglibc 2.34 3.13.9\n"

    image = base_image(as_engine(engine), ARM, OWN)

    assert image.id == "sha256:arm64"


def test_another_machines_image_that_is_all_there_is_is_told(
    engine: FakeEngine,
) -> None:
    with pytest.raises(ImageError) as caught:
        base_image(as_engine(engine), ARM, OWN)

    assert caught.value.message == (
        "there is no image for python3.13-arm64: own:3.13 is here for linux/amd64 "
        "alone; own:3.13 can't be pulled: no such repository"
    )


def build(
    engine: FakeEngine,
    packages: SystemPackages | None = None,
    listen: Callable[[Event], None] = lambda _: None,
) -> str:
    return build_image(
        as_engine(engine), X86, OWN, list, packages or SystemPackages(), listen
    ).name


def test_a_build_image_is_made_once_and_its_tools_asked_for_once(
    engine: FakeEngine,
) -> None:
    asked = []

    for _ in range(2):
        build_image(
            as_engine(engine),
            X86,
            OWN,
            lambda: asked.append(1) or [],  # type: ignore[func-returns-value]  # a short way to count
            SystemPackages(),
        )

    assert (len(engine.builds), len(asked)) == (1, 1)


def test_a_build_image_is_of_its_runtime_and_its_packages(engine: FakeEngine) -> None:
    name = build(engine, SystemPackages(dnf=("libpq-devel",), apt=("libpq-dev",)))

    (words,) = engine.builds
    assert words["tag"] == name
    assert words["buildargs"].items() >= {
        ("BASE", "sha256:amd64"),
        ("VERSION", "3.13"),
        ("GLIBC", "2.34"),
        ("DNF_PACKAGES", "libpq-devel"),
        ("APT_PACKAGES", "libpq-dev"),
    }
    assert words["labels"]["layerforge.target"] == "python3.13-x86_64"


@pytest.mark.parametrize(
    ("target", "said", "own"),
    [
        pytest.param(X86, SEEN, {"install-tools", "manylinux.py"}, id="Python"),
        pytest.param(NODE, "x86_64\nglibc 2.34 22.1.0\n", {"install-tools"}, id="Node"),
    ],
)
def test_a_build_image_gets_the_tools_of_its_own_language(
    target: Target, said: str, own: set[str]
) -> None:
    engine = FakeEngine(present={"own": marks()}, said=said)

    build_image(
        as_engine(engine),
        target,
        ContainerSettings(image="own"),
        list,
        SystemPackages(),
    )

    (words,) = engine.builds
    with tarfile.open(fileobj=io.BytesIO(b"".join(words["fileobj"]))) as context:
        names = context.getnames()
    assert {name[6:] for name in names if name.startswith("tools/")} == own
    assert {"Dockerfile", "install-packages"} < set(names)


def test_other_packages_or_another_base_give_another_build_image(
    engine: FakeEngine,
) -> None:
    names = [build(engine), build(engine, SystemPackages(apt=("libpq-dev",)))]
    engine.present["own:3.13"]["Id"] = "sha256:newer"
    names.append(build(engine))

    assert len(set(names)) == 3


def test_a_failing_step_is_an_error_with_its_last_lines(engine: FakeEngine) -> None:
    pieces = [
        piece
        for number in range(30)
        for piece in ("\x1b[91mline", f" {number}\x1b[0m\n", " ---> 2433352c5031\n")
    ]
    engine.building = [*({"stream": piece} for piece in pieces), {"error": "code: 100"}]
    events: list[Event] = []

    with pytest.raises(ImageError) as caught:
        build(engine, listen=events.append)

    name = engine.builds[0]["tag"]
    told = "".join(f"\n  line {number}" for number in range(10, 30))
    assert caught.value.message == f"building {name} failed: code: 100{told}"
    assert events[0] == Started(task=name, doing="building", done="built")
    assert events[1] == Said(task=name, line="line 0")
    assert events[-1] == Failed(task=name, reason=caught.value.message)


@pytest.mark.parametrize("name", ["", "-y", "two words", "a;b", "$(x)"])
def test_what_is_no_name_of_a_package_never_reaches_an_installer(
    engine: FakeEngine, name: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(engine, SystemPackages(dnf=(name,)))

    assert caught.value.message == f"{name!r} is no name of a system package"
    assert engine.builds == []


def test_build_images_are_listed_by_name() -> None:
    engine = FakeEngine(present={"b": kept("x"), "a": kept("y"), "base": marks()})

    found = list_images(as_engine(engine))

    def image(name: str, target: str) -> KeptImage:
        base = "own:3.13"
        return KeptImage(id="sha256:1", name=name, target=target, base=base, size=7)

    assert found == (image("a", "y"), image("b", "x"))


def test_prune_leaves_bases_and_what_a_container_uses() -> None:
    present = {"a": kept("x"), "b": kept("x"), "base": marks()}
    engine = FakeEngine(present=present, used=("b",))

    gone = prune_images(as_engine(engine))

    assert [image.name for image in gone] == ["a"]
    assert set(engine.present) == {"b", "base"}


@pytest.mark.parametrize(
    ("minor", "answer"),
    [(17, None), (34, None), (35, False), (41, False)],
)
def test_tags_above_the_runtimes_glibc_are_denied(minor: int, answer: object) -> None:
    source = (build_images_folder() / "python" / "manylinux.py").read_text()
    module: dict[str, Any] = {}
    exec(source.replace("@GLIBC@", "2.34"), module)  # noqa: S102 - it is ours

    assert module["manylinux_compatible"](2, minor, "x86_64") is answer


@dataclass(frozen=True)
class System:
    """A folder of programs that note how they were called."""

    folder: Path

    def has(self, program: str, status: int = 0) -> None:
        path = self.folder / program
        path.write_text(f'#!/bin/sh\necho {program} "$@" >>"$CALLS"\nexit {status}\n')
        path.chmod(0o755)

    def install(self, *arguments: str, bundle: str = "", **environ: str) -> list[str]:
        context = self.folder / "context"
        context.mkdir()
        for file in build_images_folder().glob("*packages*"):
            (context / file.name).write_bytes(file.read_bytes())
        (context / "ca-bundle.pem").write_text(bundle)
        calls = self.folder / "calls"
        subprocess.run(
            ["/bin/sh", context / "install-packages", *arguments],
            env={"PATH": str(self.folder), "CALLS": str(calls), **environ},
            check=True,
        )
        said = calls.read_text().replace(str(context), "CONTEXT").splitlines()
        return [call for call in said if not call.startswith(("rpm", "dpkg"))]


@pytest.fixture
def system(tmp_path: Path) -> System:
    system = System(tmp_path)
    for program in ("dirname", "sed", "rm"):
        path = next(
            Path(folder, program)
            for folder in os.defpath.split(":")
            if folder and Path(folder, program).exists()
        )
        (tmp_path / program).symlink_to(path)
    return system


@pytest.mark.parametrize("manager", ["dnf", "microdnf", "yum"])
def test_amazon_linux_installs_by_what_it_has(system: System, manager: str) -> None:
    system.has(manager)
    system.has("rpm", status=1)

    calls = system.install(
        "extra", DNF_PACKAGES="libpq-devel", APT_PACKAGES="libpq-dev"
    )

    assert calls == [f"{manager} -y install libpq-devel", f"{manager} clean all"]


def test_debian_installs_by_apt(system: System) -> None:
    system.has("apt-get")
    system.has("dpkg-query", status=1)

    calls = system.install(
        "extra", DNF_PACKAGES="libpq-devel", APT_PACKAGES="libpq-dev"
    )

    assert calls == [
        "apt-get update",
        "apt-get install --yes --no-install-recommends -- libpq-dev",
    ]


@pytest.mark.parametrize(
    ("manager", "first"),
    [
        (
            "dnf",
            "dnf --setopt=sslcacert=CONTEXT/ca-bundle.pem -y install libpq-devel",
        ),
        ("apt-get", "apt-get -o Acquire::https::CaInfo=CONTEXT/ca-bundle.pem update"),
    ],
)
def test_packages_come_through_the_hosts_ca_bundle(
    system: System, manager: str, first: str
) -> None:
    system.has(manager)

    calls = system.install("extra", bundle="PEM", **LIBPQ)

    assert calls[0] == first


def test_the_common_packages_are_those_of_the_list(system: System) -> None:
    system.has("yum")

    calls = system.install()

    lines = (build_images_folder() / "packages.yum").read_text().splitlines()
    assert calls[0].split() == ["yum", "-y", "install", *lines[1:]]


def test_nothing_is_asked_of_a_server_where_all_is_there(system: System) -> None:
    system.has("dnf")
    system.has("rpm")

    assert system.install("extra", DNF_PACKAGES="libpq-devel") == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param(
            ("python3.12", "x86_64"),
            "no image for python3.12-x86_64: no Debian suite has that Python, or its "
            "source\nThere is python3.9, python3.11, python3.13, nodejs18.x, "
            "nodejs20.x, nodejs22.x, nodejs24.x, nodejs26.x.",
            id="no such Python",
        ),
        pytest.param(
            ("python3.13",),
            "expected RUNTIME ARCH, as in: python3.13 x86_64",
            id="half a pair",
        ),
    ],
)
def test_a_base_image_that_debian_cannot_give_is_refused(
    words: tuple[str, ...], reason: str
) -> None:
    process = subprocess.run(
        [sys.executable, ROOT / "scripts" / "base_images.py", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 1
    assert process.stderr == f"scripts/base-images: {reason}\n"
