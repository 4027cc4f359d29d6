from __future__ import annotations

import base64
import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from layerforge.errors import BuildError, LockError, VerifyError
from layerforge.events import Event, Noted
from layerforge.indexes import IndexSettings
from layerforge.jobs import Selection, select_jobs
from layerforge.lock import read_lock
from layerforge.manifest import BuildReport, manifest_path, read_manifest
from layerforge.pipeline import build_layer, lock_layer
from layerforge.plan import Job
from layerforge.project import find_project
from layerforge.records import last_build
from layerforge.spec import Include, LayerSpec
from layerforge.store import Store
from layerforge.strip import Profile
from layerforge.tools import Tools
from tests.elf_files import DATA, DEBUG, TEXT, make_elf
from tests.wheels import make_wheel

LIBRARY = bytes(make_elf(TEXT, DATA, DEBUG))
LOCK_COMMAND = (
    "layerforge lock -r requirements.txt --name web --runtime python3.12 --arch x86_64"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder with a requirements file and wheels, where layers are built."""

    folder: Path
    heard: list[Event]

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    @property
    def tools(self) -> Tools:
        indexes = IndexSettings(find_links=(str(self.wheels),), no_index=True)
        store = Store(self.folder / "store")
        return Tools(store=store, indexes=indexes, listen=self.heard.append)

    @property
    def notes(self) -> list[str]:
        return [event.message for event in self.heard if isinstance(event, Noted)]

    def ask(self, *lines: str) -> None:
        (self.folder / "requirements.txt").write_text("".join(f"{s}\n" for s in lines))

    def job(self, change: Callable[[LayerSpec], LayerSpec] | None = None) -> Job:
        selection = Selection(
            folder=self.folder,
            requirements=Path("requirements.txt"),
            name="web",
            runtimes=("python3.12",),
            architectures=("x86_64",),
        )
        (job,) = select_jobs(selection, find_project(selection.folder))
        return replace(job, spec=change(job.spec)) if change else job

    def build(self, job: Job | None = None) -> BuildReport:
        return build_layer(job or self.job(), self.tools)

    def last(self, job: Job | None = None) -> BuildReport | None:
        return last_build(job or self.job(), self.tools.store)


def make_wheels(folder: Path) -> None:
    make_wheel(
        folder,
        "demo",
        "1.0",
        {
            "demo/__init__.py": b"import other\n",
            "demo/tests/test_demo.py": b"assert True\n",
            "demo/_demo.so": LIBRARY,
            ".data/scripts/demo": b"#!python\nimport demo\n",
            ".data/scripts/plain": b"#!/bin/sh\n",
            ".data/headers/demo.h": b"int demo;\n",
            ".data/data/share/demo.txt": b"data\n",
        },
        requires=["other>=1", 'absent; python_version < "3"'],
        tag="py3-none-manylinux_2_17_x86_64",
        executables=[".data/scripts/demo", ".data/scripts/plain"],
    )
    make_wheel(folder, "other", "1.0", {"other.py": b"x = 1\n"})


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one folder with a lock and its wheels in the store, to copy from."""
    place = Place(folder=tmp_path_factory.mktemp("template"), heard=[])
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, place.folder)
        make_wheels(place.wheels)
        place.ask("demo")
        lock_layer(place.job(), place.tools)
    return place.folder


def isolate(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "LAYERFORGE_")):
            patch.delenv(name)
    patch.setenv("PIP_CONFIG_FILE", os.devnull)
    patch.setenv("UV_NO_CONFIG", "1")
    patch.setenv("HOME", str(home))


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Give a place where nothing was locked yet."""
    isolate(monkeypatch, tmp_path)
    place = Place(folder=tmp_path, heard=[])
    make_wheels(place.wheels)
    place.ask("demo")
    return place


@pytest.fixture
def place(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Give a place with a lock, and its wheels in the store."""
    isolate(monkeypatch, tmp_path)
    shutil.copytree(template, tmp_path / "place")
    lock = tmp_path / "place" / "pylock.web-python312-x86_64.toml"
    # What is in the lock's own folder is written as a path that starts from there.
    assert str(template) not in lock.read_text()
    return Place(folder=tmp_path / "place", heard=[])


def members(path: Path) -> dict[str, tuple[int, bytes]]:
    with zipfile.ZipFile(path) as opened:
        return {
            info.filename: (info.external_attr >> 16, opened.read(info))
            for info in opened.infolist()
        }


# -- a build --------


def test_the_first_build_locks_and_says_so(empty: Place) -> None:
    report = empty.build()

    job = empty.job()
    assert empty.notes[0] == (
        f"no lock yet: resolving web for python3.12-x86_64 into {job.lock_file}"
    )
    assert job.lock_file == empty.folder / "pylock.web-python312-x86_64.toml"
    assert job.lock_file.is_file()
    assert read_manifest(job.output) == report


def test_a_build_from_a_lock_says_nothing_and_leaves_the_lock(place: Place) -> None:
    before = place.job().lock_file.read_bytes()

    place.build()

    assert place.notes == []
    assert place.job().lock_file.read_bytes() == before


def test_files_are_at_their_places_below_opt(place: Place) -> None:
    place.build()

    found = members(place.folder / "dist" / "web-python3.12-x86_64.zip")
    file, program = stat.S_IFREG | 0o644, stat.S_IFREG | 0o755
    assert {
        path: mode for path, (mode, _) in found.items() if ".dist-info/" not in path
    } == {
        "python/bin/demo": program,
        "python/bin/plain": program,
        "python/demo/__init__.py": file,
        "python/demo/_demo.so": file,
        "python/other.py": file,
        "python/share/demo.txt": file,
    }


def test_scripts_are_run_by_the_runtime_s_python(place: Place) -> None:
    place.build()

    found = members(place.job().output)
    assert found["python/bin/demo"][1] == b"#!/var/lang/bin/python3.12\nimport demo\n"
    assert found["python/bin/plain"][1] == b"#!/bin/sh\n"


def test_the_report_tells_of_the_zip(place: Place) -> None:
    report = place.build()

    archive = place.job().output.read_bytes()
    found = members(place.job().output)
    digest = base64.b64encode(hashlib.sha256(archive).digest()).decode()
    assert (report.zip, report.zipped) == ("web-python3.12-x86_64.zip", len(archive))
    assert report.unzipped == sum(len(data) for _, data in found.values())
    assert (report.files, report.code_sha256) == (len(found), digest)


def test_the_report_tells_of_each_package(place: Place) -> None:
    report = place.build()

    assert [
        (package.name, package.version, package.archive, package.required_by)
        for package in report.packages
    ] == [
        ("demo", "1.0", "demo-1.0-py3-none-manylinux_2_17_x86_64.whl", ()),
        ("other", "1.0", "other-1.0-py3-none-any.whl", ("demo",)),
    ]
    assert sum(package.size for package in report.packages) == report.unzipped
    assert sum(package.files for package in report.packages) == report.files


def test_the_report_tells_what_was_left_out(place: Place) -> None:
    report = place.build()

    removed = [path for removal in report.removals for path in removal.paths]
    assert "python/demo/tests/test_demo.py" in removed
    assert report.trimmed > len(DEBUG.data)


def test_nothing_is_left_out_where_nothing_is_to_be(place: Place) -> None:
    job = place.job(lambda spec: replace(spec, strip=Profile.NONE))

    report = place.build(job)

    assert (report.removals, report.trimmed) == ((), 0)
    assert members(job.output)["python/demo/_demo.so"][1] == LIBRARY


def test_sizes_that_differ_from_the_lock_s_are_noted(place: Place) -> None:
    job = place.job(lambda spec: replace(spec, exclude=("demo/_demo.so",)))

    place.build(job)

    (note,) = place.notes
    assert note == (
        "the sizes in pylock.web-python312-x86_64.toml are not those of this build: "
        f"{LOCK_COMMAND} takes them"
    )


def test_a_lock_gives_the_same_bytes_in_another_place(
    place: Place, empty: Place
) -> None:
    for path in empty.wheels.iterdir():
        os.utime(path, (1, 1))

    first, second = place.build(), empty.build()

    assert first.code_sha256 == second.code_sha256
    assert place.job().output.read_bytes() == empty.job().output.read_bytes()


def test_a_store_that_was_deleted_is_filled_again(place: Place) -> None:
    first = place.build()
    shutil.rmtree(place.folder / "store")

    assert place.last() is None
    assert place.build().code_sha256 == first.code_sha256


# -- nothing to do --------


def test_nothing_is_done_twice(place: Place) -> None:
    report = place.build()

    assert place.last() == replace(report, unchanged=True)


def test_nothing_was_done_before_the_first_build(place: Place) -> None:
    assert place.last() is None


def test_a_zip_that_was_touched_is_built_again(place: Place) -> None:
    first = place.build()
    os.utime(place.job().output)

    assert place.last() is None
    assert place.build() == first
    assert place.last() is not None


@pytest.mark.parametrize("name", ["zip", "manifest", "lock"])
def test_what_was_deleted_is_built_again(place: Place, name: str) -> None:
    job = place.job()
    first = place.build()
    before = job.lock_file.read_bytes()
    paths = {"zip": job.output, "manifest": manifest_path(job.output)}
    paths["lock"] = job.lock_file
    paths[name].unlink()

    assert place.last() is None
    assert place.build() == first
    assert job.lock_file.read_bytes() == before


def test_a_zip_that_was_replaced_is_built_again(place: Place) -> None:
    first = place.build()
    output = place.job().output
    before = output.stat()
    output.unlink()
    output.write_bytes(bytes(before.st_size))
    os.utime(output, ns=(before.st_atime_ns, before.st_mtime_ns + 1))

    assert place.last() is None
    assert place.build() == first


CHANGES: dict[str, Callable[[LayerSpec], LayerSpec]] = {
    "exclude": lambda spec: replace(spec, exclude=("demo/_demo.so",)),
    "keep": lambda spec: replace(spec, keep=("demo/tests",)),
    "strip": lambda spec: replace(spec, strip=Profile.SLIM),
    "collisions": lambda spec: replace(spec, collisions={"python/a": "demo"}),
    "max-unzipped": lambda spec: replace(spec, max_unzipped=10**8),
    "description": lambda spec: replace(spec, description="Another."),
    "licence": lambda spec: replace(spec, licence="MIT"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_layer_that_is_asked_for_otherwise_is_built_again(
    place: Place, change: Callable[[LayerSpec], LayerSpec]
) -> None:
    place.build()
    changed = place.job(change)

    assert place.last(changed) is None
    report = place.build(changed)
    assert place.last(changed) == replace(report, unchanged=True)


def test_another_version_of_layerforge_builds_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.build()

    monkeypatch.setattr("layerforge.records.__version__", "99.0")

    assert place.last() is None


def test_another_compressor_builds_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.build()

    monkeypatch.setattr("layerforge.records.COMPRESSOR", "another")

    assert place.last() is None


def test_an_included_file_that_changes_is_taken_anew(place: Place) -> None:
    own = place.folder / "app.py"
    own.write_text("x = 1\n")
    include = (Include(source=own, destination="python/app.py"),)
    job = place.job(lambda spec: replace(spec, include=include))
    place.build(job)
    assert place.last(job) is not None

    own.write_text("x = 1234\n")

    assert place.last(job) is None
    place.build(job)
    assert members(job.output)["python/app.py"][1] == b"x = 1234\n"


# -- locks --------


def test_requirements_that_changed_make_the_lock_stale(place: Place) -> None:
    first = place.build()
    place.ask("demo", "other")

    with pytest.raises(LockError) as caught:
        place.build()

    assert caught.value.exit_code == 3
    assert caught.value.message == (
        f"{place.job().lock_file} was made from other requirements than web has now"
    )
    assert caught.value.remedy == f"Bring it up to date: {LOCK_COMMAND}"
    assert read_manifest(place.job().output) == first


def test_a_stale_lock_is_never_taken_for_unchanged(place: Place) -> None:
    place.build()
    place.ask("demo", "other")

    with pytest.raises(LockError, match="was made from other requirements"):
        place.last()


def test_locking_again_leaves_the_file_alone(place: Place) -> None:
    lock_file = place.job().lock_file
    before = lock_file.stat()

    lock_layer(place.job(), place.tools)

    assert lock_file.stat().st_mtime_ns == before.st_mtime_ns
    assert lock_file.stat().st_ino == before.st_ino


def versions(place: Place, *, upgrade: bool = False, freed: str = "") -> list[str]:
    lock = lock_layer(place.job(), place.tools, upgrade=upgrade, freed={freed} - {""})
    return [str(pin) for pin in lock.pins]


@pytest.fixture
def outdated(place: Place) -> Place:
    """Give a place whose lock has older versions than there are."""
    make_wheel(place.wheels, "demo", "1.1", {"demo.py": b""}, requires=["other"])
    make_wheel(place.wheels, "other", "1.1", {"other.py": b"x = 2\n"})
    return place


def test_pins_stay_while_they_can(outdated: Place) -> None:
    assert versions(outdated) == ["demo 1.0", "other 1.0"]


def test_pins_move_when_asked_to(outdated: Place) -> None:
    assert versions(outdated, upgrade=True) == ["demo 1.1", "other 1.1"]


def test_one_pin_moves_when_it_is_freed(outdated: Place) -> None:
    assert versions(outdated, freed="other") == ["demo 1.0", "other 1.1"]


def test_a_pin_that_is_not_there_cannot_be_freed(place: Place) -> None:
    with pytest.raises(LockError) as caught:
        versions(place, freed="absent")

    assert caught.value.message == f"{place.job().lock_file} pins no absent"
    assert caught.value.remedy == (
        "Name packages that the lock has with --upgrade-package."
    )


def test_a_direct_address_is_locked_with_its_hash(empty: Place) -> None:
    wheel = empty.wheels / "other-1.0-py3-none-any.whl"
    empty.ask(f"other @ {wheel.as_uri()}")

    report = empty.build()

    (package,) = report.packages
    assert package.digest == f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"


# -- failures leave what was there --------


def snapshot(place: Place) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (place.folder / "dist").iterdir()}


def test_a_layer_that_is_too_large_leaves_the_last_one_alone(place: Place) -> None:
    report = place.build()
    before = snapshot(place)
    job = place.job(lambda spec: replace(spec, max_unzipped=report.unzipped - 1))

    with pytest.raises(VerifyError) as caught:
        place.build(job)

    assert caught.value.exit_code == 5
    assert caught.value.message.splitlines()[0] == (
        f"web for python3.12-x86_64: it has {report.unzipped} bytes unzipped, 1 more "
        f"than max-unzipped allows: {report.unzipped - 1}"
    )
    assert snapshot(place) == before


def test_a_layer_that_is_as_large_as_it_may_be_is_built(place: Place) -> None:
    report = place.build()
    job = place.job(lambda spec: replace(spec, max_unzipped=report.unzipped))

    assert place.build(job).code_sha256 == report.code_sha256


def test_a_wheel_that_is_another_than_was_locked_leaves_the_last_layer_alone(
    place: Place,
) -> None:
    place.build()
    before = snapshot(place)
    shutil.rmtree(place.folder / "store")
    wheel = make_wheel(place.wheels, "other", "1.0", {"other.py": b"evil = 1\n"})
    pins = read_lock(place.job().lock_file).pins
    (locked,) = (pin.digest for pin in pins if pin.name == "other")

    with pytest.raises(BuildError) as caught:
        place.build()

    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert caught.value.message == (
        f"{wheel} has SHA-256 {found}, not {locked}, which was locked"
    )
    assert snapshot(place) == before


@pytest.fixture
def colliding(empty: Place) -> Place:
    make_wheel(empty.wheels, "one", "1.0", {"shared.py": b"one = 1\n"})
    make_wheel(empty.wheels, "two", "1.0", {"shared.py": b"two = 2\n"})
    empty.ask("one", "two")
    return empty


def test_packages_that_write_one_path_are_refused(colliding: Place) -> None:
    with pytest.raises(BuildError) as caught:
        colliding.build()

    assert caught.value.message == (
        "packages write different contents to the same path:\n"
        "  python/shared.py: one and two"
    )
    assert not colliding.job().output.exists()


@pytest.mark.parametrize(
    ("choice", "content"), [("one", b"one = 1\n"), ("two", b"two = 2\n")]
)
def test_a_collision_is_settled_by_a_choice(
    colliding: Place, choice: str, content: bytes
) -> None:
    chosen = {"python/shared.py": choice}
    job = colliding.job(lambda spec: replace(spec, collisions=chosen))

    colliding.build(job)

    assert members(job.output)["python/shared.py"][1] == content


def test_a_collision_is_settled_by_leaving_both_out(colliding: Place) -> None:
    job = colliding.job(lambda spec: replace(spec, exclude=("shared.py",)))

    colliding.build(job)

    assert "python/shared.py" not in members(job.output)


def test_a_layer_with_nothing_in_it_is_refused(place: Place) -> None:
    with pytest.raises(VerifyError) as caught:
        place.build(place.job(lambda spec: replace(spec, exclude=("**",))))

    assert caught.value.message == (
        "web for python3.12-x86_64: nothing is in it, and Lambda takes no empty zip"
    )
