"""What the last build was made from: the same again is nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from layerforge.ecosystems.python.inputs import inputs_digest
from layerforge.errors import LockError
from layerforge.lock import Lock, Pin, dump_lock, lock_path
from layerforge.manifest import BuildReport, dump_manifest, manifest_path
from layerforge.plan import Job
from layerforge.records import last_build, remember_build
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime

FIRST: Final = Target(runtime=find_runtime("python3.12"), arch=Arch.ARM64)
SECOND: Final = Target(runtime=find_runtime("python3.13"), arch=Arch.ARM64)
WEB: Final = LayerSpec(name="web", requirements=Requirements(lines=("demo",)))
REPORT: Final = BuildReport(
    layer="web",
    runtime="python3.12",
    runtimes=("python3.12", "python3.13"),
    architecture="arm64",
    description="",
    licence="",
    zip="web.zip",
    zipped=3,
    unzipped=3,
    files=1,
    code_sha256="q83v",
    tree_digest="ab" * 32,
    lock="pylock.web-python312-arm64.toml",
    lock_digest="cd" * 32,
    packages=(),
    removals=(),
    trimmed=0,
    bytecode=0,
    bytecode_estimate=0,
    findings=(),
    layerforge="0.1.0",
)

Build = Callable[[Job], None]


def lock(target: Target, version: str = "1.0") -> Lock:
    filename = f"demo-{version}-py3-none-any.whl"
    pin = Pin(
        name="demo",
        version=version,
        filename=filename,
        url=f"https://example.org/{filename}",
        digest="ef" * 32,
    )
    return Lock(
        layer="web",
        target=str(target),
        inputs=inputs_digest(WEB, target),
        roots=("demo",),
        pins=(pin,),
    )


def write(folder: Path, target: Target, version: str = "1.0") -> Lock:
    written = lock(target, version)
    path = lock_path(folder, "web", target)
    path.write_text(dump_lock(written, target, folder))
    return written


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    first, second = (
        Job(
            spec=WEB,
            target=target,
            lock_file=lock_path(tmp_path, "web", target),
            output=tmp_path / "web.zip",
            lock_words=("layerforge", "lock", "web"),
        )
        for target in (FIRST, SECOND)
    )
    return replace(first, others=(second,))


@pytest.fixture
def built(job: Job, store: Store, tmp_path: Path) -> BuildReport:
    """Have one zip for two runtimes, built a moment ago."""
    locks = [write(tmp_path, target) for target in (FIRST, SECOND)]
    job.output.write_bytes(b"zip")
    manifest_path(job.output).write_text(dump_manifest(REPORT))
    remember_build(job, locks, store)
    return REPORT


def test_the_same_again_is_nothing_to_do(
    job: Job, store: Store, built: BuildReport
) -> None:
    assert last_build(job, store) == replace(built, unchanged=True)


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("target", [FIRST, SECOND], ids=str)
def test_another_lock_of_any_runtime_is_something_to_do(
    job: Job, store: Store, tmp_path: Path, target: Target
) -> None:
    write(tmp_path, target, "2.0")

    assert last_build(job, store) is None


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("target", [FIRST, SECOND], ids=str)
def test_a_lock_that_is_gone_is_something_to_do(
    job: Job, store: Store, tmp_path: Path, target: Target
) -> None:
    lock_path(tmp_path, "web", target).unlink()

    assert last_build(job, store) is None


@pytest.mark.usefixtures("built")
def test_a_stale_lock_of_any_runtime_is_refused(job: Job, store: Store) -> None:
    changed = replace(WEB, requirements=Requirements(lines=("other",)))
    (other,) = job.others

    with pytest.raises(LockError) as caught:
        last_build(replace(job, others=(replace(other, spec=changed),)), store)

    assert caught.value.message == (
        f"{other.lock_file} was made from other requirements than web has now"
    )


@pytest.mark.usefixtures("built")
def test_fewer_runtimes_are_something_to_do(job: Job, store: Store) -> None:
    assert last_build(replace(job, others=()), store) is None


@pytest.mark.usefixtures("built")
def test_a_zip_that_was_touched_is_something_to_do(job: Job, store: Store) -> None:
    job.output.write_bytes(b"zap!")

    assert last_build(job, store) is None


@pytest.mark.usefixtures("built")
def test_what_is_shaken_is_always_something_to_do(job: Job, store: Store) -> None:
    shaken = replace(job, spec=replace(job.spec, shake=True))

    assert last_build(shaken, store) is None
