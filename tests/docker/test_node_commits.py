"""A dependency that is a commit, packed by npm in the build container."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings
from layerforge.events import Event, Finished
from layerforge.jobs import Selection, select_jobs
from layerforge.pipeline import build_layer
from layerforge.plan import Job
from layerforge.spec import Project
from layerforge.store import Store
from layerforge.tools import Tools
from tests.registry import lock_of

# The packages of the build image come from the system's own servers.
pytestmark = [
    pytest.mark.docker,
    pytest.mark.network,
    pytest.mark.xdist_group("build image of Node.js"),
    pytest.mark.skipif(shutil.which("git") is None, reason="serves with git"),
]

# The engine's own loopback, where the repository is served.
BASES: Final = ContainerSettings(
    image="layerforge-base:{runtime}-{arch}", network="host"
)
MANIFEST: Final = {
    "name": "demo",
    "version": "1.2.3",
    "main": "made.js",
    "files": ["made.js"],
    "scripts": {"prepare": "echo 'module.exports = 42' > made.js"},
}


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Demo", "-c", "user.email=demo@example.org")
    done = subprocess.run(
        ("git", *identity, *words),
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull},
    )
    return done.stdout.strip()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Serve a repository on loopback, and give the address of its one commit."""
    work = tmp_path / "demo"
    work.mkdir()
    (work / "package.json").write_text(json.dumps(MANIFEST))
    git(work, "init", "--quiet")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "Demo")
    commit = git(work, "rev-parse", "HEAD")
    git(tmp_path, "clone", "--quiet", "--bare", "demo", "demo.git")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    daemon = subprocess.Popen(
        (
            *("git", "daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"),
            *(f"--port={port}", f"--base-path={tmp_path}", str(tmp_path)),
        ),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield f"git://127.0.0.1:{port}/demo.git#{commit}"
    os.killpg(daemon.pid, 15)
    daemon.wait()


def job_of(folder: Path, address: str) -> Job:
    manifest = {"name": "web", "version": "1", "dependencies": {"demo": address}}
    (folder / "package.json").write_text(json.dumps(manifest))
    rows = {"node_modules/demo": {"version": "1.2.3", "resolved": address}}
    (folder / "package-lock.json").write_text(lock_of(manifest, rows))
    selection = Selection(
        folder=folder,
        package_json=Path("package.json"),
        name="web",
        runtimes=("nodejs22.x",),
        architectures=("x86_64",),
    )
    [job] = select_jobs(selection, Project(folder=folder))
    return job


def test_a_commit_is_packed_with_what_its_prepare_script_makes_and_once(
    address: str, tmp_path: Path
) -> None:
    heard: list[Event] = []
    folder = tmp_path / "project"
    folder.mkdir()
    job = job_of(folder, address)

    with Containers(BASES, heard.append) as containers:
        store = Store(tmp_path / "store")
        tools = Tools(store=store, containers=containers, listen=heard.append)
        build_layer(job, tools)
        build_layer(job, tools)

    with zipfile.ZipFile(job.output) as layer:
        assert layer.namelist() == [
            "nodejs/node_modules/demo/made.js",
            "nodejs/node_modules/demo/package.json",
        ]
        assert layer.read("nodejs/node_modules/demo/made.js") == (
            b"module.exports = 42\n"
        )
    finished = [event.task for event in heard if isinstance(event, Finished)]
    assert finished.count("demo 1.2.3") == 1
