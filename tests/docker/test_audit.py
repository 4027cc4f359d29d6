"""What an audit says of native code, held to what the loader of a container does."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from layerforge.archive import write_archive
from layerforge.archives.zips import index_zip
from layerforge.audit import audit
from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings
from layerforge.findings import Severity, Waiver
from layerforge.pipeline import build_layer
from layerforge.plan import Job
from layerforge.probe import probe_zip
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from layerforge.tree import FileEntry, Tree, unite
from tests.elf_files import Workshop
from tests.entries import make_entry

pytestmark = pytest.mark.docker

BASES: Final = "layerforge-base:{runtime}-{arch}"
TARGET: Final = Target(runtime=find_runtime("python3.9"), arch=Arch.X86_64)
OPENED: Final = """
import ctypes, os

here = os.path.dirname(__file__)
for name in {names}:
    ctypes.CDLL(os.path.join(here, name))
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A package whose library needs another, which lies at ``at`` below /opt."""

    name: str
    loads: bool
    at: str = ""
    flags: tuple[str, ...] = ()
    before: tuple[str, ...] = ()  # what the package opens first
    link: str = ""

    @property
    def needed(self) -> str:
        return f"libneeded_{self.name}.so"

    def entries(self, workshop: Workshop) -> list[FileEntry]:
        shared, library = ("-shared", "-nostdlib"), f"lib_{self.name}.so"
        dependency = workshop.compile(
            "int x;", self.needed, *shared, f"-Wl,-soname,{self.needed}"
        )
        linked = ("-Wl,--no-as-needed", "-L.", f"-l:{self.needed}", *self.flags)
        user = workshop.compile("int y;", library, *shared, *linked)
        names = (*self.before, library)
        source = OPENED.format(names=names).encode()
        contents = {
            f"python/{self.name}/__init__.py": source,
            f"python/{self.name}/{library}": bytes(user),
            **({self.at: bytes(dependency)} if self.at else {}),
        }
        entries = [
            make_entry(workshop.folder, path, data, origin=path.split("/")[1])
            for path, data in contents.items()
        ]
        link = FileEntry(path=self.link, origin=self.name, link=f"../{self.at}")
        return [*entries, link] if self.link else entries


def rpath(folder: str) -> tuple[str, ...]:
    return ("-Wl,--disable-new-dtags", f"-Wl,-rpath,{folder}")


def runpath(folder: str) -> tuple[str, ...]:
    return ("-Wl,--enable-new-dtags", f"-Wl,-rpath,{folder}")


CASES: Final = (
    Case(name="nowhere", loads=False),
    Case(name="in_lib", loads=True, at="lib/libneeded_in_lib.so"),
    Case(
        name="by_rpath",
        loads=True,
        at="python/by_rpath.libs/libneeded_by_rpath.so",
        flags=rpath("$ORIGIN/../by_rpath.libs"),
    ),
    Case(
        name="by_runpath",
        loads=True,
        at="share/libneeded_by_runpath.so",
        flags=runpath("/opt/share"),
    ),
    Case(
        name="by_link",
        loads=True,
        at="share/real.so",
        link="lib/libneeded_by_link.so",
    ),
    Case(
        name="opened_before",
        loads=True,
        at="python/opened_before/deep/libneeded_opened_before.so",
        before=("deep/libneeded_opened_before.so",),
    ),
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    if platform.machine() != "x86_64":
        pytest.skip("the compiler here makes no libraries for x86_64")
    workshop = Workshop.open(tmp_path_factory.mktemp("audit"))
    return unite(entry for case in CASES for entry in case.entries(workshop))


@pytest.fixture(scope="module")
def failed(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Import every package in the runtime's image; give those that can't be."""
    folder = tmp_path_factory.mktemp("probe")
    archive = write_archive(tree, folder / "layer.zip")
    with Containers(ContainerSettings(image=BASES)) as containers:
        tools = Tools(store=Store(folder / "store"), containers=containers)
        report = probe_zip(archive.path, tree, TARGET, tools)
    return {row.module for row in report.failed}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_the_loader_finds_is_not_missed_and_the_rest_is_an_error(
    case: Case, tree: Tree, failed: set[str]
) -> None:
    errors = {
        finding.path.split("/")[1]
        for finding in audit(tree, TARGET)
        if finding.is_error
    }

    assert (case.name not in failed) is case.loads
    assert (case.name not in errors) is case.loads


@pytest.mark.network
@pytest.mark.parametrize(
    ("package", "broken"),
    [("pyodbc", {"pyodbc"}), ("fiona", {"fiona"}), ("psycopg2-binary", set[str]())],
)
def test_what_misses_a_library_of_al2023_is_told_without_importing_it(
    tmp_path: Path, package: str, broken: set[str]
) -> None:
    waiver = Waiver(check="library", why="That it doesn't load, is what is shown.")
    requirements = Requirements(lines=(package,))
    spec = LayerSpec(name="demo", requirements=requirements, waivers=(waiver,))
    job = Job(
        spec=spec,
        target=Target(runtime=find_runtime("python3.13"), arch=Arch.X86_64),
        lock_file=tmp_path / "pylock.demo.toml",
        output=tmp_path / "demo.zip",
        lock_words=(),
    )
    with Containers(ContainerSettings(image=BASES)) as containers:
        tools = Tools(store=Store(tmp_path / "store"), containers=containers)
        report = build_layer(job, tools)
        entries = index_zip(job.output)
        tree = Tree(tuple(sorted(entries, key=lambda entry: entry.path)))
        probed = probe_zip(job.output, tree, job.target, tools)

    waived = {finding for finding in report.findings if finding.waived}
    errors = {f for f in waived if f.severity is Severity.ERROR}
    assert {row.module for row in probed.failed} == broken
    assert bool(errors) is bool(broken)
