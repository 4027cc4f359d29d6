"""pip-tools in the runtime's container finds what the resolver of this machine does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings
from layerforge.ecosystems.python.locking import make_lock
from layerforge.errors import LockError
from layerforge.indexes import IndexSettings
from layerforge.lock import Lock
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store
from layerforge.target import Arch, Target, find_runtime
from layerforge.tools import Tools

pytestmark = [pytest.mark.docker, pytest.mark.network]

BASES = ContainerSettings(image="layerforge-base:{runtime}-{arch}")
PYTHON_3_13 = Target(runtime=find_runtime("python3.13"), arch=Arch.X86_64)
PYTHON_3_9 = Target(runtime=find_runtime("python3.9"), arch=Arch.X86_64)

# Markers for versions and platforms, extras, yanked files, backports, native code.
SETS = (
    ("requests",),
    ("pydantic", "fastapi"),
    ("boto3", "aws-lambda-powertools[tracer]"),
    ("flask", "gunicorn"),
    ("sqlalchemy[asyncio]", "psycopg[binary]"),
    ("httpx[http2]", "anyio"),
    ("jinja2", "pyyaml", "click<8.2"),
    ("cryptography", "pyjwt[crypto]"),
    ("numpy<2.3", "python-dateutil"),
    ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"),
    ("importlib-metadata", "tomli; python_version < '3.11'", "typing-extensions"),
)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    with Containers(BASES) as containers:
        yield Tools(
            store=Store(tmp_path_factory.mktemp("store")),
            indexes=IndexSettings(index_url="https://pypi.org/simple"),
            containers=containers,
        )


def locked(tools: Tools, target: Target, *lines: str, container: bool) -> Lock:
    spec = LayerSpec(
        name="web", requirements=Requirements(lines=lines), container=container
    )
    return make_lock(spec, target, tools, preferred=())[0]


def pinned(lock: Lock) -> list[str]:
    return [f"{pin} {pin.digest} {pin.dependencies}" for pin in lock.pins]


@pytest.mark.parametrize("target", [PYTHON_3_13, PYTHON_3_9], ids=str)
@pytest.mark.parametrize("lines", SETS, ids=" ".join)
def test_both_resolvers_pin_the_same_files(
    tools: Tools, target: Target, lines: tuple[str, ...]
) -> None:
    there = locked(tools, target, *lines, container=True)

    assert pinned(there) == pinned(locked(tools, target, *lines, container=False))


def test_what_the_runtime_brings_is_left_out_of_both(tools: Tools) -> None:
    spec = LayerSpec(
        name="web",
        requirements=Requirements(lines=("boto3", "requests")),
        exclude_runtime_sdk=True,
        container=True,
    )

    lock, _ = make_lock(spec, PYTHON_3_13, tools, preferred=())

    assert [pin.name for pin in lock.pins] == [
        "certifi",
        "charset-normalizer",
        "idna",
        "requests",
    ]


def test_pins_stay_where_they_can(tools: Tools) -> None:
    old = locked(tools, PYTHON_3_13, "idna==3.7", container=True)
    spec = LayerSpec(
        name="web", requirements=Requirements(lines=("idna",)), container=True
    )

    lock, _ = make_lock(spec, PYTHON_3_13, tools, preferred=old.pins)

    assert [str(pin) for pin in lock.pins] == ["idna 3.7"]


def test_constraints_hold_in_a_container(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("urllib3<2\n")
    file = tmp_path / "requirements.txt"
    file.write_text("urllib3\n-c constraints.txt\n")
    spec = LayerSpec(name="web", requirements=Requirements(file=file), container=True)

    lock, _ = make_lock(spec, PYTHON_3_13, tools, preferred=())

    assert [pin.version.partition(".")[0] for pin in lock.pins] == ["1"]


def test_what_has_no_version_is_told_as_pip_tells_it(tools: Tools) -> None:
    with pytest.raises(LockError) as refused:
        locked(tools, PYTHON_3_13, "idna==999", container=True)

    lines = refused.value.message.splitlines()
    assert lines[0] == "python3.13-x86_64: pip-compile could not resolve:"
    assert "No matching distribution found for idna==999" in refused.value.message
