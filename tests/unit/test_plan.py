"""What a build would do, told without doing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from layerforge.ecosystems.python.inputs import inputs_digest
from layerforge.errors import LockError
from layerforge.lock import Lock, Pin, dump_lock, lock_path
from layerforge.plan import BuildPlan, Job, check_lock, plan_build, present_lock
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store
from layerforge.strip import Profile, StripRule
from layerforge.target import Arch, Target, find_runtime

TARGET = Target(runtime=find_runtime("python3.12"), arch=Arch.X86_64)
OTHER = replace(TARGET, arch=Arch.ARM64)
WEB = LayerSpec(name="web", requirements=Requirements(lines=("demo>=1",)))
UPDATE = "Bring it up to date: layerforge lock web"

Write = Callable[..., Lock]


def pin(name: str, version: str = "1.0") -> Pin:
    filename = f"{name}-{version}-py3-none-any.whl"
    return Pin(
        name=name,
        version=version,
        filename=filename,
        url=f"https://example.org/{filename}",
        digest=sha256(name.encode()).hexdigest(),
    )


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        spec=WEB,
        target=TARGET,
        lock_file=lock_path(tmp_path, "web", TARGET),
        output=tmp_path / "dist" / "web.zip",
        lock_words=("layerforge", "lock", "web"),
    )


@pytest.fixture
def write(job: Job) -> Write:
    """Lock a job's requirements, for its target or another."""

    def run(*pins: Pin, spec: LayerSpec = WEB, target: Target = TARGET) -> Lock:
        lock = Lock(
            layer="web",
            target=str(target),
            inputs=inputs_digest(spec, target),
            roots=("demo",),
            pins=pins,
        )
        job.lock_file.write_text(dump_lock(lock, target, job.lock_file.parent))
        return lock

    return run


def refused(job: Job) -> LockError:
    with pytest.raises(LockError) as caught:
        check_lock(job)
    return caught.value


class TestPlan:
    def test_without_a_lock_says_so(self, job: Job, tmp_path: Path) -> None:
        assert plan_build(job, Store(tmp_path / "store")) == BuildPlan(
            job=job, lock=None
        )

    def test_tells_what_is_here_from_what_is_to_be_fetched(
        self, job: Job, write: Write, tmp_path: Path
    ) -> None:
        here, there = pin("demo"), pin("other")
        lock = write(here, there)
        store = Store(tmp_path / "store")
        wheel = tmp_path / here.filename
        wheel.write_bytes(b"demo")
        store.adopt(wheel, here.digest)

        assert plan_build(job, store) == BuildPlan(
            job=job, lock=lock, present=(here,), missing=(there,)
        )

    def test_writes_nothing(self, job: Job, write: Write, tmp_path: Path) -> None:
        write(pin("demo"))

        plan_build(job, Store(tmp_path / "store"))

        assert list(tmp_path.iterdir()) == [job.lock_file]


class TestPresentLock:
    def test_is_read_where_it_fits(self, job: Job, write: Write) -> None:
        assert write(pin("demo")) == present_lock(job)

    def test_of_another_target_is_refused(self, job: Job, write: Write) -> None:
        write(pin("demo"), target=OTHER)

        error = refused(job)

        assert error.message == (
            f"{job.lock_file} is a lock for python3.12-arm64, not for python3.12-x86_64"
        )
        assert error.remedy == UPDATE

    @pytest.mark.parametrize(
        "changed",
        [
            replace(WEB, requirements=Requirements(lines=("demo>=2",))),
            replace(WEB, requirements=Requirements(lines=("demo>=1", "other"))),
            replace(WEB, exclude_runtime_sdk=True),
        ],
    )
    def test_of_other_inputs_is_refused(
        self, job: Job, write: Write, changed: LayerSpec
    ) -> None:
        write(pin("demo"))

        error = refused(replace(job, spec=changed))

        assert error.message == (
            f"{job.lock_file} was made from other requirements than web has now"
        )
        assert error.remedy == UPDATE

    def test_stays_good_where_only_the_spelling_changed(
        self, job: Job, write: Write
    ) -> None:
        lock = write(pin("demo"))
        respelled = replace(WEB, requirements=Requirements(lines=("Demo >= 1",)))

        assert present_lock(replace(job, spec=respelled)) == lock

    def test_stays_good_where_only_the_contents_of_the_layer_changed(
        self, job: Job, write: Write
    ) -> None:
        lock = write(pin("demo"))
        changed = replace(WEB, strip=Profile.SLIM, exclude=("demo/x",), description="x")

        assert present_lock(replace(job, spec=changed)) == lock

    def test_without_an_interpreter_is_refused_for_bytecode(
        self, job: Job, write: Write
    ) -> None:
        write(pin("demo"))

        error = refused(replace(job, spec=replace(WEB, bytecode=True)))

        assert error.message == (
            f"{job.lock_file} names no interpreter to compile bytecode with"
        )


class TestCheck:
    def test_gives_a_lock_that_fits(self, job: Job, write: Write) -> None:
        assert write(pin("demo")) == check_lock(job)

    def test_refuses_where_there_is_none(self, job: Job) -> None:
        error = refused(job)

        assert error.message == (
            f"there is no lock of web for python3.12-x86_64 ({job.lock_file})"
        )
        assert error.remedy == "Make it: layerforge lock web"

    def test_refuses_a_pin_that_was_edited(self, job: Job, write: Write) -> None:
        write(pin("demo", "0.9"))

        assert refused(job).message == (
            "the requirements ask for demo>=1, the lock pins demo 0.9"
        )


class TestStripping:
    def test_has_the_rules_of_the_recipe_that_the_profile_includes(
        self, job: Job
    ) -> None:
        rules = tuple(
            StripRule(id=f"own-{profile}", why="x", drop=("x",), profile=profile)
            for profile in (Profile.SAFE, Profile.SLIM)
        )

        def own(profile: Profile) -> list[str]:
            spec = replace(WEB, rules=rules, strip=profile)
            stripping = replace(job, spec=spec).stripping
            return [rule.id for rule in stripping.rules if rule.id.startswith("own")]

        assert own(Profile.NONE) == []
        assert own(Profile.SAFE) == ["own-safe"]
        assert own(Profile.SLIM) == ["own-safe", "own-slim"]

    def test_ends_with_what_the_user_leaves_out(self, job: Job) -> None:
        spec = replace(WEB, exclude=("demo/big",), keep=("**/tests",))

        stripping = replace(job, spec=spec).stripping

        assert stripping.rules[-1] == StripRule(
            id="exclude", why="The layer leaves it out.", drop=("demo/big",)
        )
        assert stripping.keep == ("**/tests",)
        assert stripping.root == "python/"

    @pytest.mark.parametrize(
        ("profile", "trims"),
        [(Profile.NONE, False), (Profile.SAFE, True), (Profile.SLIM, True)],
    )
    def test_includes_tails_but_for_none(
        self, job: Job, profile: Profile, *, trims: bool
    ) -> None:
        assert replace(job, spec=replace(WEB, strip=profile)).trims is trims
