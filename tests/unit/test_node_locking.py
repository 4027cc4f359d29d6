"""When a Node.js layer's lock is made anew, from what, and when it stays."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from layerforge.ecosystems.node.locking import make_lock
from layerforge.errors import LockError, UnsuitableLockError
from layerforge.events import Event, Noted
from layerforge.lock import Lock, Pin
from layerforge.pipeline import lock_layer
from layerforge.plan import Job
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools
from tests.registry import integrity_of, lock_of, make_tarball

ARM: Final = Target(runtime=find_runtime("nodejs22.x"), arch=Arch.ARM64)

# It writes the lock that it is told to, and keeps what it was called with.
NPM: Final = """\
#!/bin/sh
if [ "$1" = --version ]; then echo 11.0.0; exit; fi
echo "$1 $2" >> {folder}/called
if [ -f package-lock.json ]; then cp package-lock.json {folder}/began-from; fi
cp {folder}/answer package-lock.json
"""

Asked = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A project, and an npm that gives one answer."""

    folder: Path
    heard: list[Event] = field(default_factory=list)

    @property
    def lock_file(self) -> Path:
        return self.folder / "package-lock.json"

    @property
    def spec(self) -> LayerSpec:
        asked = Requirements(language="node", file=self.folder / "package.json")
        return LayerSpec(name="web", requirements=asked)

    @property
    def tools(self) -> Tools:
        return Tools(store=Store(self.folder / "store"), listen=self.heard.append)

    @property
    def called(self) -> list[str]:
        """Which commands npm was called with, by their first words."""
        path = self.folder / "npm" / "called"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def began_from(self) -> str:
        """The lock that npm found."""
        path = self.folder / "npm" / "began-from"
        return path.read_text() if path.exists() else ""

    def ask(self, **asked: str) -> None:
        document = {"name": "web", "version": "1.0.0", "dependencies": asked}
        (self.folder / "package.json").write_text(json.dumps(document))

    def lock_text(self, asked: Asked, **rows: Mapping[str, Any]) -> str:
        manifest = {"name": "web", "version": "1.0.0", "dependencies": asked}
        packages = {
            f"node_modules/{name}": {**self.row(name), **rows.get(name, {})}
            for name in asked
        }
        return lock_of(manifest, packages)

    def row(self, name: str) -> dict[str, Any]:
        tarball = make_tarball({"package.json": b"{}"})
        (self.folder / f"{name}.tgz").write_bytes(tarball)
        return {
            "version": "1.0.0",
            "resolved": f"file:{name}.tgz",
            "integrity": integrity_of(tarball),
        }

    def will_answer(self, text: str) -> None:
        (self.folder / "npm" / "answer").write_text(text)

    def make(self, preferred: Sequence[Pin] = ()) -> Lock:
        lock, packs = make_lock(
            self.spec, ARM, "nodejs/", self.tools, preferred=preferred
        )
        assert [pin.id for pin in lock.pins] == list(packs)
        return lock

    def keep(self) -> Lock:
        """Make a lock as a user does who wants nothing upgraded."""
        job = Job(
            spec=self.spec,
            target=ARM,
            lock_file=self.lock_file,
            output=self.folder / "web.zip",
            lock_words=("layerforge", "lock", "web"),
        )
        return lock_layer(job, self.tools)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    folder = tmp_path / "npm"
    folder.mkdir()
    program = folder / "npm"
    program.write_text(NPM.format(folder=folder))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    place = Place(folder=tmp_path)
    place.ask(a="^1")
    return place


def test_one_that_agrees_stays_and_npm_is_not_called(place: Place) -> None:
    place.lock_file.write_text(place.lock_text({"a": "^1"}))
    before = place.lock_file.stat()

    lock = place.keep()

    assert [pin.id for pin in lock.pins] == ["a"]
    assert (place.lock_file.stat(), place.called) == (before, [])


def test_one_that_is_not_there_is_npms(place: Place) -> None:
    answer = place.lock_text({"a": "^1"})
    place.will_answer(answer)

    lock = place.keep()

    assert (lock.roots, place.called) == (("a",), ["install --package-lock-only"])
    assert place.lock_file.read_text() == answer


def test_of_a_stale_one_npm_goes_on(place: Place) -> None:
    stale = place.lock_text({"a": "^1"})
    place.lock_file.write_text(stale)
    place.ask(a="^1", b="*")
    place.will_answer(place.lock_text({"a": "^1", "b": "*"}))

    lock = place.keep()

    assert lock.roots == ("a", "b")
    assert place.began_from == stale
    assert place.called == ["install --package-lock-only"]


def test_of_a_damaged_one_npm_does_not_go_on(place: Place) -> None:
    place.lock_file.write_text("<<<<<<< HEAD\n")
    place.will_answer(place.lock_text({"a": "^1"}))

    place.keep()

    assert place.began_from == ""
    (note,) = [each for each in place.heard if isinstance(each, Noted)]
    assert note.message.startswith(f"{place.lock_file} is damaged: ")
    assert note.message.endswith(": it is made anew")


def test_one_of_version_1_is_left_to_its_owner(place: Place) -> None:
    text = '{"name": "web", "lockfileVersion": 1}'
    place.lock_file.write_text(text)

    with pytest.raises(LockError) as caught:
        place.keep()

    assert caught.value.message == (
        f"{place.lock_file} has lockfileVersion 1, which doesn't say all that is needed"
    )
    assert (place.lock_file.read_text(), place.called) == (text, [])


def test_an_upgrade_begins_from_nothing(place: Place) -> None:
    place.lock_file.write_text(place.lock_text({"a": "^1"}))
    place.will_answer(place.lock_text({"a": "^1"}, a={"version": "1.5.0"}))

    (pin,) = place.make().pins

    assert pin.version == "1.5.0"
    assert (place.called, place.began_from) == (["install --package-lock-only"], "")


def test_what_is_not_preferred_is_updated(place: Place) -> None:
    place.ask(a="^1", b="*")
    present = place.lock_text({"a": "^1", "b": "*"})
    place.lock_file.write_text(present)
    place.will_answer(present)
    preferred = [pin for pin in place.keep().pins if pin.name == "b"]

    place.make(preferred)

    assert (place.called, place.began_from) == (["update a"], present)


class TestAnUnsuitableOne:
    """A lock that has nothing for the target."""

    def test_that_agrees_is_refused_and_npm_is_not_called(self, place: Place) -> None:
        text = place.lock_text({"a": "^1"}, a={"os": ["darwin"]})
        place.lock_file.write_text(text)

        with pytest.raises(UnsuitableLockError) as caught:
            place.keep()

        assert caught.value.message == (
            "a 1.0.0 (node_modules/a) does not suit nodejs22.x-arm64: it is for "
            "os darwin"
        )
        assert (place.lock_file.read_text(), place.called) == (text, [])

    def test_is_made_anew_once_something_else_is_asked_for(self, place: Place) -> None:
        present = place.lock_text({"a": "^1"}, a={"os": ["darwin"]})
        place.lock_file.write_text(present)
        place.ask(b="*")
        place.will_answer(place.lock_text({"b": "*"}))

        lock = place.keep()

        assert [pin.id for pin in lock.pins] == ["b"]
        assert place.began_from == present

    def test_is_refused_where_npm_gives_no_other(self, place: Place) -> None:
        present = place.lock_text({"a": "^1"}, a={"os": ["darwin"]})
        place.lock_file.write_text(present)
        place.ask(a="^1.0.0")
        place.will_answer(place.lock_text({"a": "^1.0.0"}, a={"os": ["darwin"]}))

        with pytest.raises(UnsuitableLockError):
            place.keep()


def test_one_with_a_folder_that_is_gone_is_made_anew(place: Place) -> None:
    rows: dict[str, dict[str, object]] = {
        "node_modules/own": {"resolved": "own", "link": True},
        "own": {"version": "1.0.0"},
    }
    manifest = {"name": "web", "version": "1.0.0", "dependencies": {"a": "^1"}}
    place.lock_file.write_text(
        lock_of(manifest, {"node_modules/a": place.row("a"), **rows})
    )
    place.will_answer(place.lock_text({"a": "^1"}))

    lock = place.keep()

    assert [pin.id for pin in lock.pins] == ["a"]
    assert place.called == ["install --package-lock-only"]


class TestAnotherToolsLock:
    """What is beside a yarn.lock."""

    @pytest.fixture
    def own(self, place: Place) -> Path:
        """Give the path of the layer's own lock, and have npm find nothing to pin."""
        place.ask()
        (place.folder / "yarn.lock").write_text("# yarn lockfile v1\n\n\n")
        place.will_answer(place.lock_text({}))
        return place.folder / "package-lock.web.json"

    def test_is_converted_into_one_of_the_layers_own(
        self, place: Place, own: Path
    ) -> None:
        place.make()

        assert set(json.loads(own.read_text())["layerforge"]) == {"made-from"}
        assert not place.lock_file.exists()

    def test_is_not_converted_twice(self, place: Place, own: Path) -> None:
        place.make()
        before = own.stat()

        place.make()

        assert own.stat() == before
        assert len(place.called) == 1

    def test_is_converted_again_once_it_has_changed(
        self, place: Place, own: Path
    ) -> None:
        place.make()
        before = own.read_text()
        (place.folder / "yarn.lock").write_text("# yarn lockfile v1\n")

        place.make()

        assert own.read_text() != before
        assert len(place.called) == 2


def test_the_lock_of_a_list_lies_in_its_folder(place: Place) -> None:
    asked = Requirements(language="node", lines=("a@^1",), folder=place.folder)
    place.will_answer(place.lock_text({"a": "^1"}))

    make_lock(
        replace(place.spec, requirements=asked),
        ARM,
        "nodejs/",
        place.tools,
        preferred=(),
    )

    assert (place.folder / "package-lock.web.json").is_file()
