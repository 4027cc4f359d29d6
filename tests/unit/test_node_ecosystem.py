"""Node.js layers through the pipeline: built from a lock, without Node.js."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from layerforge.ecosystems import ecosystem_of
from layerforge.errors import BuildError, ConfigError, LockError
from layerforge.events import Event, Noted
from layerforge.findings import Severity
from layerforge.jobs import Selection, select_jobs
from layerforge.lock import Weight
from layerforge.manifest import BuildReport
from layerforge.pipeline import build_layer
from layerforge.plan import Job, check_lock, present_lock
from layerforge.project import find_project
from layerforge.records import last_build
from layerforge.spec import LayerSpec
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from tests.registry import integrity_of, lock_of, make_tarball

ARM: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.ARM64)
NODE: Final = ecosystem_of(ARM)
WEB: Final = LayerSpec(name="web")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A project with one package, which is a tarball of its own."""

    folder: Path
    heard: list[Event] = field(default_factory=list)

    @property
    def tools(self) -> Tools:
        return Tools(store=Store(self.folder / "store"), listen=self.heard.append)

    @property
    def ledger(self) -> Path:
        return self.folder / "layerforge-ledger.web-nodejs22-arm64.toml"

    @property
    def notes(self) -> list[str]:
        return [event.message for event in self.heard if isinstance(event, Noted)]

    def write(self, files: Mapping[str, bytes], **row: Any) -> None:  # noqa: ANN401 - JSON's values
        manifest = {"name": "web", "version": "1.0.0", "dependencies": {"a": "^1"}}
        tarball = make_tarball({"package.json": b'{"name": "a"}', **files})
        (self.folder / "a.tgz").write_bytes(tarball)
        (self.folder / "package.json").write_text(json.dumps(manifest))
        locked = {
            "version": "1.0.0",
            "resolved": "file:a.tgz",
            "integrity": integrity_of(tarball),
            **row,
        }
        text = lock_of(manifest, {"node_modules/a": locked})
        (self.folder / "package-lock.json").write_text(text)

    def job(self, *runtimes: str, **words: Any) -> Job:  # noqa: ANN401 - any field
        (job,) = select_jobs(
            Selection(
                folder=self.folder,
                package_json=Path("package.json"),
                name="web",
                runtimes=runtimes or ("nodejs22.x",),
                architectures=("arm64",),
                **words,
            ),
            find_project(self.folder),
        )
        return job

    def build(self, job: Job | None = None) -> BuildReport:
        return build_layer(job or self.job(), self.tools)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("PATH", "")  # nothing is to be found on this machine
    monkeypatch.setenv("HOME", str(tmp_path))
    place = Place(folder=tmp_path)
    place.write({"index.js": b"module.exports = 1\n", "index.d.ts": b"// a"})
    return place


def members(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as opened:
        return opened.namelist()


class TestABuild:
    def test_needs_a_lock_and_no_node(self, place: Place) -> None:
        report = place.build()

        assert members(place.job().output) == [
            "nodejs/node_modules/a/index.js",
            "nodejs/node_modules/a/package.json",
        ]
        assert report.target == "nodejs22.x-arm64"
        assert report.lock == "package-lock.json"

    def test_tells_of_each_package(self, place: Place) -> None:
        (package,) = place.build().packages

        assert (package.name, package.archive, package.location) == (
            "a",
            "a-1.0.0.tgz",
            "",
        )
        assert package.digest.startswith("sha512:")
        assert package.files == 2

    def test_gives_the_same_bytes_from_a_store_that_was_lost(
        self, place: Place
    ) -> None:
        place.build()
        before = place.job().output.read_bytes()
        shutil.rmtree(place.folder / "store")

        place.build()

        assert place.job().output.read_bytes() == before

    def test_leaves_the_lock_as_it_is_and_writes_the_ledger(self, place: Place) -> None:
        before = (place.folder / "package-lock.json").read_bytes()

        place.build()

        assert (place.folder / "package-lock.json").read_bytes() == before
        lock = present_lock(place.job())
        assert lock
        assert [pin.weight for pin in lock.pins] == [Weight(unzipped=36, kept=32)]
        assert place.notes == []

    def test_mends_a_damaged_ledger(self, place: Place) -> None:
        place.build()
        before = place.ledger.read_bytes()
        place.ledger.write_bytes(b"\xff")

        place.build()

        assert place.ledger.read_bytes() == before

    def test_does_without_a_ledger_that_cannot_be_written(self, place: Place) -> None:
        place.ledger.mkdir()

        report = place.build()

        assert report.files == 2

    def test_with_nothing_to_do_does_nothing(self, place: Place) -> None:
        report = place.build()

        assert last_build(place.job(), place.tools.store) == replace(
            report, unchanged=True
        )

    def test_puts_packages_into_the_runtimes_own_folder(self, place: Place) -> None:
        job = place.job()

        place.build(replace(job, spec=replace(job.spec, versioned_folder=True)))

        assert members(job.output) == [
            "nodejs/node22/node_modules/a/index.js",
            "nodejs/node22/node_modules/a/package.json",
        ]


class TestFindings:
    @pytest.fixture(autouse=True)
    def module(self, place: Place) -> None:
        place.write(
            {
                "package.json": b'{"name": "a", "type": "module", "main": "index.js"}',
                "index.js": b"export default 1;\n",
            }
        )

    def test_warn_of_what_require_refuses(self, place: Place) -> None:
        (finding,) = place.build(place.job("nodejs20.x")).findings

        assert (finding.check, finding.severity) == ("esm", Severity.WARNING)
        assert finding.message == (
            "a is an ES module, which require() of nodejs20.x refuses"
        )
        assert finding.remedy == (
            "Import it: await import('a'); or take nodejs24.x, or newer; or a version "
            "that is CommonJS as well."
        )

    def test_are_none_where_require_takes_it(self, place: Place) -> None:
        assert place.build(place.job("nodejs24.x")).findings == ()

    def test_are_those_of_any_runtime_of_one_zip(self, place: Place) -> None:
        report = place.build(place.job("nodejs24.x", "nodejs20.x", one_zip=True))

        assert [finding.message for finding in report.findings] == [
            "a is an ES module, which require() of nodejs20.x refuses"
        ]


class TestOneZip:
    def test_serves_several_runtimes(self, place: Place) -> None:
        job = place.job("nodejs22.x", "nodejs24.x", one_zip=True)

        report = place.build(job)

        assert report.runtimes == ("nodejs22.x", "nodejs24.x")
        assert report.target == "nodejs22.x-nodejs24.x-arm64"
        assert [path.name for path in (place.folder / "dist").glob("*.zip")] == [
            "web-nodejs22.x-nodejs24.x-arm64.zip"
        ]

    def test_has_a_ledger_for_each_runtime(self, place: Place) -> None:
        place.build(place.job("nodejs22.x", "nodejs24.x", one_zip=True))

        assert sorted(path.name for path in place.folder.glob("layerforge-*")) == [
            "layerforge-ledger.web-nodejs22-arm64.toml",
            "layerforge-ledger.web-nodejs24-arm64.toml",
        ]

    def test_is_refused_where_trees_differ(self, place: Place) -> None:
        job = place.job("nodejs22.x", "nodejs24.x", one_zip=True)
        spec = replace(job.spec, versioned_folder=True)
        others = tuple(replace(other, spec=spec) for other in job.others)

        with pytest.raises(BuildError) as caught:
            place.build(replace(job, spec=spec, others=others))

        assert caught.value.message == (
            "one zip can't be web for nodejs22.x-arm64 and web for nodejs24.x-arm64: "
            "4 files differ:\n"
            "  nodejs/node22/node_modules/a/index.js\n"
            "  nodejs/node22/node_modules/a/package.json\n"
            "  nodejs/node24/node_modules/a/index.js\n"
            "  nodejs/node24/node_modules/a/package.json"
        )
        assert not job.output.exists()

    def test_with_nothing_to_do_does_nothing(self, place: Place) -> None:
        job = place.job("nodejs22.x", "nodejs24.x", one_zip=True)
        report = place.build(job)

        assert last_build(job, place.tools.store) == replace(report, unchanged=True)
        assert last_build(replace(job, others=()), place.tools.store) is None


class TestALock:
    def test_that_disagrees_with_its_package_json_is_stale(self, place: Place) -> None:
        manifest = {"name": "web", "version": "1.0.0", "dependencies": {"a": "^2"}}
        (place.folder / "package.json").write_text(json.dumps(manifest))

        with pytest.raises(LockError) as caught:
            place.build()

        assert caught.value.message == (
            f"the lock does not agree with {place.folder / 'package.json'}:\n"
            "  dependencies: a is ^2, in the lock ^1"
        )
        assert caught.value.remedy == (
            "Bring it up to date: layerforge lock --package-json package.json --name "
            "web --runtime nodejs22.x --arch arm64"
        )

    def test_that_lacks_a_package_is_refused_by_check(self, place: Place) -> None:
        place.write({}, dependencies={"b": "^1"})

        with pytest.raises(LockError) as caught:
            check_lock(place.job())

        assert caught.value.message == (
            "the lock has no entry for what its packages need:\n"
            "  b ^1, for node_modules/a"
        )

    def test_that_is_good_passes_check(self, place: Place) -> None:
        assert [pin.id for pin in check_lock(place.job()).pins] == ["a"]


def test_bytecode_is_refused(place: Place) -> None:
    with pytest.raises(ConfigError) as caught:
        place.build(place.job(bytecode=True))

    assert caught.value.message == ("bytecode is asked for, and nodejs22.x has none")
    assert caught.value.remedy == "Leave out --bytecode."


def test_packages_go_below_nodejs() -> None:
    versioned = replace(WEB, versioned_folder=True)

    assert NODE.root(WEB, ARM) == "nodejs/node_modules/"
    assert NODE.root(versioned, ARM) == "nodejs/node22/node_modules/"


def test_names_are_spelled_as_they_are() -> None:
    assert NODE.spell("@Scope/My_Package") == "@Scope/My_Package"
