"""Make images that stand for Lambda's runtimes, for machines that reach no registry.

    base_images.py [RUNTIME ARCH]...      layerforge-base:RUNTIME-ARCH, for each

Debian's packages are the system (mmdebstrap, from the mirror that this machine's apt
uses), and its Python the runtime's: as it is where the suite has the right version,
else compiled from Debian's source of it. Node.js comes from npm's registry. The
runtime's client and emulator come from the package index. build-images/debian/ and
build-images/debian-node/ say how they become an image.

An image whose recipe is the same is not made again, and what was made is kept as a tar
below the user's cache folder, from where another engine loads it in seconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node_binaries import NPM, fetch_node

from layerforge.containers.engine import Engine
from layerforge.containers.secrets import proxies
from layerforge.containers.service import Containers
from layerforge.containers.streams import ImageBuild, build
from layerforge.errors import LayerforgeError
from layerforge.events import Event, Finished, Started
from layerforge.target import Arch, Target, find_arch, find_runtime

ROOT: Final = Path(__file__).parents[1]
RECIPE: Final = ROOT / "build-images" / "debian"
# By language: what makes an image of a system, and what that has to have for it.
RECIPES: Final = {"python": RECIPE, "node": ROOT / "build-images" / "debian-node"}
PACKAGES: Final = {
    "python": ("python3", "python3-distutils"),
    "node": ("libatomic1", "libstdc++6"),
}
CERTIFICATES: Final = Path("/usr/local/share/ca-certificates")
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
BINFMT: Final = Path("/proc/sys/fs/binfmt_misc")
LABEL: Final = "layerforge.recipe"

# A suite whose glibc is no newer than that of Amazon Linux 2023, which is 2.34, where
# there is one with that Python or that can compile it. None has Amazon Linux 2's 2.26.
SUITES: Final = {
    "python3.9": "bullseye",
    "python3.11": "bookworm",
    "python3.13": "bullseye",
    **{f"nodejs{version}.x": "bullseye" for version in NPM},
}
# What the suite itself has is never compiled.
COMPILED: Final = {"python3.13"}
NEEDED_BY_TESTS: Final = (
    ("python3.13", "x86_64"),
    ("python3.9", "x86_64"),
    ("python3.11", "x86_64"),
    ("python3.9", "arm64"),
    ("nodejs22.x", "x86_64"),
    ("nodejs20.x", "x86_64"),
)

# Libraries of a compiled Python; those of the suite bring theirs.
LIBRARIES: Final = ("libffi7", "libsqlite3-0", "libssl1.1", "libuuid1")
# A system that is only extracted: what the essential ones would bring, as far as
# building takes it.
EXTRACTED: Final = (
    *("apt", "base-files", "base-passwd", "bash", "coreutils", "dash", "debianutils"),
    *("diffutils", "dpkg", "findutils", "gawk", "grep", "gzip", "libc-bin", "openssl"),
    *("perl-base", "python3-dev", "sed", "tar", "util-linux"),
)


class MissingError(LayerforgeError):
    """What it takes is not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """An image to be made."""

    target: Target

    @property
    def name(self) -> str:
        """Give its name on an engine."""
        return f"layerforge-base:{self.target}"

    @property
    def suite(self) -> str:
        """Give the Debian that it is made of."""
        return SUITES[self.target.runtime.id]

    @property
    def foreign(self) -> bool:
        """Say whether this machine can only emulate it."""
        return self.target.arch.machine != platform.machine()

    @property
    def packages(self) -> tuple[str, ...]:
        """Give what is installed, or extracted: then with compilers.

        Installing them later would take minutes under emulation.
        """
        runtime = self.target.runtime
        compiled = runtime.id in COMPILED
        own = LIBRARIES if compiled else PACKAGES[runtime.language]
        names = ("ca-certificates", *own)
        if not self.foreign:
            return names
        lines = (RECIPE.parent / "packages.apt").read_text().splitlines()
        compilers = [line for line in lines if not line.startswith("#")]
        return tuple(sorted({*names, *EXTRACTED, *compilers}))

    @property
    def recipe(self) -> tuple[Path, ...]:
        """Give the files of build-images/ that it is made by."""
        own = RECIPES[self.target.runtime.language]
        return tuple(sorted({*own.iterdir(), RECIPE / "lambda-entrypoint.sh"}))

    @property
    def digest(self) -> str:
        """Digest what it is made of, as far as this checkout and machine decide."""
        sources = [*self.recipe, *_certificates()]
        words = (self.name, self.suite, self.packages)
        digest = hashlib.sha256(repr(words).encode())
        for source in sources:
            digest.update(hashlib.sha256(source.read_bytes()).digest())
        return digest.hexdigest()


def main(words: list[str]) -> int:
    """Make what is named, or what the tests need; give the exit status."""
    pairs = list(zip(words[::2], words[1::2], strict=False)) or list(NEEDED_BY_TESTS)
    try:
        if len(words) % 2:
            raise MissingError("expected RUNTIME ARCH, as in: python3.13 x86_64")
        with Containers() as containers:
            for runtime, arch in pairs:
                base = _base(runtime, arch)
                _have(base, containers.engine(base.target.arch))
                print(base.name, flush=True)
    except LayerforgeError as error:
        _say("\n".join(filter(None, [error.message, error.remedy])))
        return 1
    except subprocess.CalledProcessError as error:
        _say(f"failed with exit status {error.returncode}: {shlex.join(error.cmd)}")
        return 1
    return 0


def _say(message: str) -> None:
    print(f"scripts/base-images: {message}", file=sys.stderr, flush=True)


def _hear(event: Event) -> None:
    if isinstance(event, Started):
        _say(f"{event.doing} {event.task}")
    elif isinstance(event, Finished):
        _say(f"{event.task} is done")


def _base(runtime: str, arch: str) -> Base:
    base = Base(target=Target(runtime=find_runtime(runtime), arch=find_arch(arch)))
    if runtime not in SUITES:
        raise MissingError(
            f"no image for {base.target}: no Debian suite has that Python, or its "
            "source",
            remedy=f"There is {', '.join(SUITES)}.",
        )
    if runtime in COMPILED and base.foreign:
        raise MissingError(
            f"no image for {base.target}: its Python would have to be compiled under "
            "emulation, which takes hours",
            remedy=f"Make it on a machine that is {base.target.arch} itself.",
        )
    return base


def _have(base: Base, engine: Engine) -> None:
    """Have an image on the engine: it is there, is loaded, or is made."""
    folder = _cache()
    folder.mkdir(parents=True, exist_ok=True)
    tar = folder / f"{base.target}-{base.digest[:12]}.tar"
    with _alone(folder), engine.explained():
        if base.foreign:
            _see_to_emulation(base.target.arch)
        if _recipe_of(base, engine) == base.digest:
            return
        if tar.is_file():
            _say(f"loading {base.name} from {tar}")
            with tar.open("rb") as stream:
                engine.client.images.load(stream)
            return
        _make(base, engine)
        _keep(base, engine, tar)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold off other processes; a lock of the system's ends with whoever has it."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another process makes images; waiting for that")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cache() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "layerforge" / "base-images"


def _recipe_of(base: Base, engine: Engine) -> str:
    from docker.errors import ImageNotFound  # noqa: PLC0415 - slow to import

    try:
        return str(engine.client.images.get(base.name).labels.get(LABEL))
    except ImageNotFound:
        return ""


def _make(base: Base, engine: Engine) -> None:
    with tempfile.TemporaryDirectory(prefix="layerforge-base-") as name:
        folder = Path(name)
        mirror = _mirror()
        _make_rootfs(base, mirror, folder / "rootfs.tar")
        (folder / "ca-certificates").mkdir()
        for certificate in _certificates():
            shutil.copy(certificate, folder / "ca-certificates")
        runtime = base.target.runtime
        FETCH[runtime.language](base.target, folder)
        _fetch_emulator(base, folder / "aws-lambda-rie")
        files = (*base.recipe, *folder.iterdir())
        recipe = ImageBuild(
            name=base.name,
            arch=base.target.arch,
            context={path.name: path for path in files},
            arguments={runtime.language.upper(): runtime.version, "MIRROR": mirror},
            proxies=proxies(),
            labels={LABEL: base.digest},
        )
        build(engine, recipe, _hear)


def _keep(base: Base, engine: Engine, tar: Path) -> None:
    """Write the image's tar, and delete those of earlier recipes."""
    with tempfile.NamedTemporaryFile(dir=tar.parent, delete=False) as file:
        for chunk in engine.client.api.get_image(base.name):
            file.write(chunk)
    Path(file.name).rename(tar)
    for other in tar.parent.glob(f"{base.target}-*.tar"):
        if other != tar:
            other.unlink()


def _certificates() -> list[Path]:
    """Give the authorities that this machine trusts besides the usual ones."""
    return sorted(CERTIFICATES.glob("*.crt"))


def _mirror() -> str:
    """Ask apt where this machine's own Debian comes from."""
    if not Path("/usr/bin/apt-get").exists():
        raise MissingError("this machine is no Debian: there is no apt-get")
    form = ("--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian")
    answer = subprocess.run(
        ["/usr/bin/apt-get", "indextargets", *form, "Created-By: Packages"],
        check=True,
        capture_output=True,
        text=True,
    )
    # Without a list of packages, apt doesn't know whose a source is.
    return (answer.stdout.split() or ["http://deb.debian.org/debian"])[0]


def _make_rootfs(base: Base, mirror: str, tar: Path) -> None:
    _see_to_program("mmdebstrap", "mmdebstrap")
    _say(f"making a {base.suite} of Debian's packages")
    options = ["--variant=apt"]
    if base.foreign:
        hook = f'{shlex.quote(str(RECIPE / "settle-rootfs"))} "$1"'
        options = ["--variant=extract", "--skip=check/qemu", f"--extract-hook={hook}"]
    # Debian calls machines as images do.
    machine = base.target.arch.docker.removeprefix("linux/")
    _run(
        "mmdebstrap",
        "--quiet",
        *options,
        f"--arch={machine}",
        f"--include={','.join(base.packages)}",
        base.suite,
        str(tar),
        f"deb [signed-by={KEYRING}] {mirror} {base.suite} main",
    )


def _fetch_client(target: Target, folder: Path) -> None:
    """Fetch what Lambda's image has beside Python: its client and the SDK."""
    machine = target.arch.machine
    platforms = (f"manylinux_2_28_{machine}", f"manylinux2014_{machine}")
    _pip(
        "install",
        f"--target={folder / 'runtime'}",
        "--no-compile",
        *(f"--platform={name}" for name in platforms),
        f"--python-version={target.runtime.version}",
        "awslambdaric",
        "boto3",
    )


# By language: what brings the runtime, or what it lacks, into a folder.
FETCH: Final = {"python": _fetch_client, "node": fetch_node}


def _fetch_emulator(base: Base, file: Path) -> None:
    """Take the runtime interface emulator out of AWS's own package of it."""
    with tempfile.TemporaryDirectory() as folder:
        _pip("download", f"--dest={folder}", "--no-deps", "aws-sam-cli")
        (wheel,) = Path(folder).glob("*.whl")
        name = f"samcli/local/rapid/aws-lambda-rie-{base.target.arch}"
        with zipfile.ZipFile(wheel) as archive:
            file.write_bytes(archive.read(name))
    file.chmod(0o755)


def _pip(*arguments: str) -> None:
    _run(sys.executable, "-m", "pip", "--quiet", *arguments, "--only-binary=:all:")


def _see_to_emulation(arch: Arch) -> None:
    """Let the kernel run another machine's programs, in containers as well."""
    if not (BINFMT / "register").exists():
        _refuse_without_root(f"binfmt_misc is not mounted at {BINFMT}")
        _run("mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT))
    entry = BINFMT / f"qemu-{arch.machine}"
    # F: opened once for all, so that it need not be inside the container.
    if entry.exists() and "F" in _flags(entry):
        return
    _see_to_program("update-binfmts", "binfmt-support", "qemu-user-static")
    _run("update-binfmts", "--import", entry.name)
    if not entry.exists():
        _run("update-binfmts", "--enable", entry.name)


def _flags(entry: Path) -> str:
    lines = entry.read_text().splitlines()
    return next(line for line in lines if line.startswith("flags:"))[len("flags:") :]


def _see_to_program(program: str, *packages: str) -> None:
    if shutil.which(program):
        return
    _refuse_without_root(f"there is no {program}, of Debian's {' and '.join(packages)}")
    _run("apt-get", "update")
    _run("apt-get", "install", "--yes", "--no-install-recommends", *packages)


def _refuse_without_root(what: str) -> None:
    if os.geteuid() != 0:
        raise MissingError(what, remedy="See to it, or be root: then this does.")


def _run(*command: str) -> None:
    """Run a program; what it says goes to stderr, since stdout has names of images."""
    # With a fixed time the same packages give mmdebstrap the same tar, so that the
    # engine's own cache has what was compiled on it.
    environ = os.environ | {
        "DEBIAN_FRONTEND": "noninteractive",
        "SOURCE_DATE_EPOCH": "946684800",  # 2000-01-01
    }
    subprocess.run(
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        env=environ,
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
