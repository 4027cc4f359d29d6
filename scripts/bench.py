"""Measure `layerforge build` beside its peers and beside the floor, in one run.

    scripts/bench [--runs N] [--json] [--imports] [--check] [SET...]

With --check it is `layerforge check` of ten layers of a set for five targets each. With
--imports it is instead how long a cold start imports all of a layer, with bytecode
and without, in the runtime's image under Lambda's runtime interface.

Each way makes a zip of the same packages for the same target, with everything that it
needs from the network there before. Runs of all ways alternate, so that what else the
machine does falls on all of them. Seconds are medians; memory is the largest resident
set of any process of a way.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PYTHON_SETS = {"data": ("pandas", "pyarrow", "requests"), "web": ("requests",)}
NODE_SETS = {
    "pg-redis": {"pg": "^8", "redis": "^5"},
    "s3": {"@aws-sdk/client-s3": "^3"},
    "sharp": {"sharp": "^0.34"},
}
SETS = {**PYTHON_SETS, **NODE_SETS}
RUNTIME, ARCH, VERSION = "python3.12", "x86_64", "3.12"
NODE_RUNTIME = "nodejs22.x"
BINARIES = Path(sys.executable).parent
ZIP = "dist/bench.zip"

# The newest that scripts/base-images can make a stand-in for.
BUILD = (
    *(BINARIES / "layerforge", "build", "-r", "requirements.txt", "--name", "bench"),
    *("--runtime", "python3.13", "--arch", "x86_64", "--quiet"),
)
BYTECODE = ("--bytecode",)

OPTIONS = ("--arch", ARCH, "--cache-dir", "store", "--quiet", "--output", ZIP)
LAYERFORGE = (
    *(BINARIES / "layerforge", "build", "-r", "requirements.txt", "--name", "bench"),
    *("--runtime", RUNTIME, *OPTIONS),
)
NODE_LAYERFORGE = (
    *(BINARIES / "layerforge", "build", "--package-json", "package.json"),
    *("--name", "bench", "--runtime", NODE_RUNTIME, *OPTIONS),
)
# The machine's own npm: with its cache full, it asks no registry.
NPM = (
    *("npm", "ci", "--omit=dev", "--ignore-scripts", "--offline"),
    *("--no-audit", "--no-fund", "--loglevel=error"),
)
UV = (
    *(BINARIES / "uv", "pip", "install", "--quiet", "--target", "tree", "--offline"),
    *("--python-version", VERSION, "--python-platform", "x86_64-manylinux_2_34"),
    *("--only-binary", ":all:", "-r", "pins.txt"),
)
PIP = (
    *(BINARIES / "pip", "install", "--quiet", "--target", "tree", "--no-deps"),
    "--ignore-requires-python",  # it asks the running Python all the same
    *("--platform", "manylinux_2_34_x86_64", "--platform", "manylinux_2_28_x86_64"),
    *("--platform", "manylinux2014_x86_64", "--python-version", VERSION),
    *("--only-binary", ":all:", "--disable-pip-version-check", "-r", "pins.txt"),
)
ZIP_TREE = ("zip", "-qr", "tree.zip", "tree")
ZIP_MODULES = ("zip", "-qry", "tree.zip", "node_modules")
FLOOR = (("cp", ZIP, "copy.zip"), ("sha256sum", ZIP))

Command = Sequence[str | Path]


@dataclass
class Way:
    """One way to a zip: ``unmeasured`` puts things in place before each run."""

    name: str
    commands: Sequence[Command]
    unmeasured: Callable[[Path], None] = lambda _folder: None
    seconds: list[float] = field(default_factory=list)
    memory: int = 0

    def run(self, folder: Path) -> None:
        """Run all commands once, and note what that took."""
        self.unmeasured(folder)
        total = 0.0
        for command in self.commands:
            seconds, memory = timed(command, folder)
            total += seconds
            self.memory = max(self.memory, memory)
        self.seconds.append(total)


def timed(command: Command, folder: Path) -> tuple[float, int]:
    """Run a command in a folder; give seconds, and bytes of its largest process."""
    os.chdir(folder)
    start = time.perf_counter()
    silence = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    words = [str(word) for word in command]
    child = os.posix_spawnp(words[0], words, os.environ, file_actions=silence)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"failed in {folder}: {' '.join(words)}")
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def without(*names: str) -> Callable[[Path], None]:
    """Delete files and folders."""

    def delete(folder: Path) -> None:
        for name in names:
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)

    return delete


def ways(name: str) -> list[Way]:
    """Give what is compared; the first is what all others are compared with."""
    ours = NODE_LAYERFORGE if name in NODE_SETS else LAYERFORGE
    peer = without("tree", "node_modules", "tree.zip")
    peers = [
        Way("uv pip install --target + zip -r", [UV, ZIP_TREE], peer),
        Way("pip install --target + zip -r", [PIP, ZIP_TREE], peer),
    ]
    if name in NODE_SETS:
        peers = [Way("npm ci + zip -r", [NPM, ZIP_MODULES], peer)]
    return [
        Way("layerforge build, store warm", [ours], without(ZIP)),
        Way("layerforge build, nothing changed", [ours]),
        Way("layerforge build, store empty but for archives", [ours], forget),
        *peers,
        Way("the floor: cp + sha256sum", FLOOR),
    ]


def forget(folder: Path) -> None:
    """Forget the zip and all that the store made of the archives."""
    made = ("indexes", "contents", "derived", "records")
    without(ZIP, *(f"store/{part}" for part in made))(folder)


def prepare(name: str, folder: Path) -> None:
    """Lock, and have each way fetch what it needs, once."""
    if name in NODE_SETS:
        manifest = {"name": "bench", "dependencies": NODE_SETS[name]}
        (folder / "package.json").write_text(json.dumps(manifest))
        timed(NODE_LAYERFORGE, folder)
        timed([word for word in NPM if word != "--offline"], folder)
        return
    prepare_python(PYTHON_SETS[name], folder)


def prepare_python(packages: Sequence[str], folder: Path) -> None:
    """Lock, and have each way fetch the same wheels, once."""
    (folder / "requirements.txt").write_text("\n".join(packages) + "\n")
    timed(LAYERFORGE, folder)
    manifest = json.loads((folder / ZIP).with_suffix(".json").read_text())
    pins = [f"{row['name']}=={row['version']}\n" for row in manifest["packages"]]
    (folder / "pins.txt").write_text("".join(pins))
    for command in ([word for word in UV if word != "--offline"], PIP):
        timed(command, folder)
        without("tree")(folder)


def measure(name: str, runs: int) -> list[Way]:
    """Run every way so many times, in turns."""
    here = Path.cwd()
    compared = ways(name)
    with tempfile.TemporaryDirectory(prefix="layerforge-bench-") as place:
        folder = Path(place)
        prepare(name, folder)
        for _ in range(runs):
            for way in compared:
                way.run(folder)
        os.chdir(here)
    return compared


def imports(packages: Sequence[str], runs: int) -> dict[str, float]:
    """Have the runtime import a layer so many times; give medians in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="layerforge-bench-") as name:
        folder = Path(name)
        (folder / "requirements.txt").write_text("\n".join(packages) + "\n")
        zips = {}
        # In this order: the lock is then one that names an interpreter.
        for way, options in (("with bytecode", BYTECODE), ("without bytecode", ())):
            (folder / way).mkdir()
            zips[way] = folder / way / "layer.zip"
            command = (*BUILD, *options, "--output", zips[way])
            silence = subprocess.DEVNULL
            subprocess.run(command, check=True, cwd=folder, stdout=silence)
        found: dict[str, list[float]] = {way: [] for way in zips}
        for _ in range(runs):
            for way, path in zips.items():
                found[way].append(probed(path))
    return {way: statistics.median(times) for way, times in found.items()}


def probed(path: Path) -> float:
    """Import everything in a zip once, in a new container; give milliseconds."""
    words = (BINARIES / "layerforge", "verify", "--quiet", "--json", path)
    answer = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    (layer,) = json.loads(answer.stdout)["layers"]
    if "probe" not in layer:
        sys.exit(layer["error"]["message"])
    return float(layer["probe"]["import_milliseconds"])


def checks(packages: Sequence[str], runs: int) -> float:
    """Check ten layers for five targets so many times; give the median of seconds."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="layerforge-bench-") as name:
        folder = Path(name)
        runtimes = [f"python3.{minor}" for minor in range(10, 15)]
        lines = [f"[defaults]\nruntimes = {runtimes}\narchitectures = ['{ARCH}']"]
        lines += [
            f"[layers.bench{number}]\nrequirements = {list(packages)}"
            for number in range(10)
        ]
        (folder / "layerforge.toml").write_text("\n".join(lines))
        timed((BINARIES / "layerforge", "lock", "--quiet"), folder)
        command = (BINARIES / "layerforge", "check", "--quiet")
        seconds = [timed(command, folder)[0] for _ in range(runs)]
        os.chdir(here)
    return statistics.median(seconds)


def rows(compared: Sequence[Way]) -> list[dict[str, object]]:
    """Give the figures of each way; `times` is how often the first fits into it."""
    first = statistics.median(compared[0].seconds)
    return [
        {
            "way": way.name,
            "seconds": round(statistics.median(way.seconds), 3),
            "times": round(statistics.median(way.seconds) / first, 1),
            "memory_mb": round(way.memory / 10**6),
        }
        for way in compared
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--imports", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("sets", nargs="*", metavar="SET", help=" ".join(SETS))
    arguments = parser.parse_args()
    if arguments.imports:
        for name in arguments.sets or PYTHON_SETS:
            print(f"{name}: {' + '.join(PYTHON_SETS[name])}, python3.13 x86_64")
            for way, milliseconds in imports(PYTHON_SETS[name], arguments.runs).items():
                print(f"  {way:46}{milliseconds:>8,.0f} ms")
        return
    if arguments.check:
        for name in arguments.sets or PYTHON_SETS:
            seconds = checks(PYTHON_SETS[name], arguments.runs)
            print(f"{name}: layerforge check of 50 locks{seconds:>25.3f} s")
        return
    results = {
        name: rows(measure(name, arguments.runs)) for name in arguments.sets or SETS
    }
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    for name, table in results.items():
        runtime = NODE_RUNTIME if name in NODE_SETS else RUNTIME
        print(f"{name}: {' + '.join(SETS[name])}, {runtime} {ARCH}")
        print(f"  {'':46}{'seconds':>8}{'times':>8}{'MB':>6}")
        for row in table:
            print(
                f"  {row['way']:46}{row['seconds']:>8.3f}{row['times']:>8}"
                f"{row['memory_mb']:>6}"
            )


if __name__ == "__main__":
    main()
