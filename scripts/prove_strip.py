#!/usr/bin/env python3
"""Prove the rules of layerforge/data/strip.toml on packages that people use.

    scripts/prove_strip.py                      # those named below: a good half hour
    scripts/prove_strip.py pandas "numpy<2.3"   # a layer for each requirement
    scripts/prove_strip.py --python python3.12  # imported there, not by this Python

For each it lays a layer out whole, imports every module in it, lays it out again with
each profile, and imports again what was imported before and is still there. Whatever
fails only then is named, with its error, and makes the exit status 1: the rule at
fault needs a ``keep``. Run it after a change to strip.toml.
"""

from __future__ import annotations

import argparse
import json
import keyword
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Final

from layerforge.ecosystems import Tools, ecosystem_of
from layerforge.errors import LayerforgeError
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store, default_folder
from layerforge.strip import Profile, Removal, Stripping, rules_for, strip
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import FileEntry, unite
from layerforge.trim import trim_libraries

PACKAGES: Final = (
    *("aiohttp", "alembic", "anthropic", "astropy", "aws-lambda-powertools[all]"),
    *("aws-xray-sdk", "babel", "beautifulsoup4", "biopython", "bokeh", "boto3"),
    *("celery", "cffi", "cryptography", "dask[array,dataframe]", "dateparser"),
    *("ddtrace", "django", "docutils", "duckdb", "faker", "fastapi", "flask"),
    *("fsspec", "geopandas", "gevent", "google-cloud-storage", "grpcio", "h5py"),
    *("httpx", "imageio-ffmpeg", "jsonschema", "keyring", "langchain", "librosa"),
    *("lightgbm", "lxml", "matplotlib", "networkx", "networkx<3", "nltk", "numba"),
    *("numpy", "numpy==2.2.*", "onnxruntime", "openai", "opencv-python-headless"),
    *("openpyxl", "opentelemetry-distro", "opentelemetry-exporter-otlp", "pandas"),
    *("paramiko", "pillow", "plotly", "polars", "psycopg[binary,pool]"),
    *("psycopg2-binary", "pyarrow", "pydantic[email]", "pymongo", "pymupdf"),
    *("pyproj", "redis", "redshift_connector", "reportlab", "requests", "ruff"),
    *("scikit-image", "scikit-learn", "scipy", "selenium", "sentry-sdk", "setuptools"),
    *("shapely", "snowflake-connector-python", "soundfile", "spacy", "sqlalchemy"),
    *("statsmodels", "sympy", "tables", "thinc", "tiktoken", "tzdata", "werkzeug"),
    *("xarray", "zarr"),
)

# What a package reads only while it works, or finds by entry points: statements to run
# once its modules are imported.
EXERCISES: Final = {
    "babel": ("import babel.dates; babel.dates.format_date(locale='de')",),
    "bokeh": ("import bokeh.embed, bokeh.plotting, bokeh.resources as r; "
              "bokeh.embed.file_html(bokeh.plotting.figure(), r.INLINE)",),
    "boto3": ("import boto3; boto3.client('s3', 'eu-west-1')",),
}  # fmt: skip

# Runs statements as they come in, and answers with each one's error, or nothing. One
# that takes too long ends it, as a crash does. /opt/python is a site folder in Lambda.
_RUNNER: Final = """
import json, os, signal, site, sys
statements = sys.stdin.read().splitlines()
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
before = len(sys.path)
site.addsitedir(sys.argv[1])
sys.path[:] = sys.path[before:] + sys.path[:before]
scope = {}
for statement in statements:
    signal.alarm(120)
    try:
        exec(statement, scope)
        error = ""
    except BaseException as problem:
        error = f"{type(problem).__name__}: {problem}"
    print(json.dumps(error), file=answers)
answers.close()
os._exit(0)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that imports, and the target that it is like."""

    path: str
    target: Target
    suffixes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one requirement: how many statements ran, which run no more."""

    requirement: str
    size: int = 0
    ran: int = 0
    broken: tuple[str, ...] = ()
    removals: frozenset[Removal] = frozenset()
    failure: str = ""


def ask_interpreter(python: str) -> Interpreter:
    """Ask a Python which runtime it is like."""
    question = (
        "import sys, importlib.machinery as m, json; "
        "print(json.dumps([sys.executable, sys.version_info[:2], m.all_suffixes()]))"
    )
    answer = subprocess.run(
        [python, "-I", "-c", question], capture_output=True, text=True, check=True
    )
    path, (major, minor), suffixes = json.loads(answer.stdout)
    arch = find_arch({"aarch64": "arm64"}.get(platform.machine(), platform.machine()))
    target = Target(runtime=find_runtime(f"python{major}.{minor}"), arch=arch)
    return Interpreter(path=path, target=target, suffixes=tuple(suffixes))


def prove(requirement: str, interpreter: Interpreter, store: Store) -> Verdict:
    """Import a layer of one requirement whole, and again after each profile."""
    tools = Tools(store=store)
    try:
        entries = laid_out(requirement, interpreter.target, tools)
    except LayerforgeError as error:
        return Verdict(requirement=requirement, failure=error.message)
    with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
        run = partial(run_all, folder=Path(name), interpreter=interpreter)
        write_tree(entries, Path(name) / "layer")
        own = requirement.partition("[")[0].partition("<")[0].partition("=")[0]
        ran = run([*imports_of(entries, interpreter), *EXERCISES.get(own, ())])
        works = [statement for statement, error in ran.items() if not error]
        removals: frozenset[Removal] = frozenset()
        broken: list[str] = []
        for profile in (Profile.SAFE, Profile.SLIM):
            left, removed = stripped(entries, profile, tools)
            gone = set(ran) - {*imports_of(left, interpreter), *EXERCISES.get(own, ())}
            write_tree(left, Path(name) / "layer")
            again = run([statement for statement in works if statement not in gone])
            broken += [f"{profile}: {s}: {error}" for s, error in again.items() if error]
            removals |= removed
    return Verdict(
        requirement=requirement,
        size=sum(entry.size for entry in entries),
        ran=len(works),
        broken=tuple(broken),
        removals=removals,
    )


def laid_out(requirement: str, target: Target, tools: Tools) -> tuple[FileEntry, ...]:
    """Give all files of a requirement's layer, none left out."""
    spec = LayerSpec(name="proof", requirements=Requirements(lines=(requirement,)))
    ecosystem = ecosystem_of(target)
    lock, packs = ecosystem.resolve(spec, target, tools, preferred=(), whole=True)
    return ecosystem.lay_out([packs[pin.name] for pin in lock.pins], target, tools)


def stripped(
    entries: Sequence[FileEntry], profile: Profile, tools: Tools
) -> tuple[tuple[FileEntry, ...], frozenset[Removal]]:
    """Give what a profile leaves, libraries trimmed, and what it removes."""
    result = strip(
        entries, Stripping(root="python/", rules=rules_for("python", profile))
    )
    return trim_libraries(result.entries, tools.store), frozenset(result.removals)


def write_tree(entries: Iterable[FileEntry], folder: Path) -> None:
    """Make ``folder`` what /opt would be; of two files at a path the first stays.

    Its files have one date, so that bytecode of the same sources stays valid.
    """
    rmtree(folder, ignore_errors=True)
    for entry in unite(entries, same=lambda _one, _other: True):
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.content is None:
            path.symlink_to(entry.link)
            continue
        path.write_bytes(entry.content.inflated())
        path.chmod(0o755 if entry.executable else 0o644)
        os.utime(path, (0, 0))


def imports_of(
    entries: Iterable[FileEntry], interpreter: Interpreter
) -> tuple[str, ...]:
    """Give an import statement for each module, but for those that are programs."""
    modules = set()
    for entry in entries:
        path = entry.path.removeprefix("python/")
        suffix = next((s for s in interpreter.suffixes if path.endswith(s)), "")
        parts = path.removesuffix(suffix).removesuffix("/__init__").split("/")
        named = all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)
        if suffix and named and parts[-1] not in {"__main__", "conftest"}:
            modules.add(".".join(parts))
    return tuple(f"import {module}" for module in sorted(modules))


def run_all(
    statements: Sequence[str], folder: Path, interpreter: Interpreter
) -> dict[str, str]:
    """Run statements in the layer of ``folder``: each one's error, if any.

    What follows one that took the interpreter down is run by another.
    """
    errors: dict[str, str] = {}
    while rest := statements[len(errors) :]:
        answer = subprocess.run(
            [
                *(interpreter.path, "-I", "-S", "-X", f"pycache_prefix={folder}/pyc"),
                *("-c", _RUNNER, folder / "layer" / "python"),
            ],
            input="\n".join(rest),
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={"HOME": str(folder), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
        answers = [json.loads(line) for line in answer.stdout.splitlines()]
        errors |= zip(rest, answers, strict=False)
        if len(answers) < len(rest):
            errors[rest[len(answers)]] = f"ended with status {answer.returncode}"
    return errors


def report(verdict: Verdict) -> str:
    """Say in a few lines what came of a requirement."""
    if verdict.failure:
        return f"{verdict.requirement}: not built: {verdict.failure}"
    lines = [
        f"{verdict.requirement}: {verdict.ran} of its statements run, "
        f"{len(verdict.broken)} break; {verdict.size:,} bytes",
        *(f"    {line}" for line in verdict.broken),
    ]
    return "\n".join(lines)


def summary(verdicts: Sequence[Verdict]) -> str:
    """Add up what was proven, and what each rule removed, every package counted once."""
    sizes, files = Counter[str](), Counter[str]()
    for removal in frozenset().union(*(verdict.removals for verdict in verdicts)):
        sizes[removal.rule] += removal.size
        files[removal.rule] += 1
    proven = [verdict for verdict in verdicts if not verdict.failure]
    lines = [
        f"{len(proven)} of {len(verdicts)} layers, "
        f"{sum(verdict.ran for verdict in proven)} statements, "
        f"{sum(len(verdict.broken) for verdict in proven)} broken",
        *(f"  {rule:20} {files[rule]:7,} files {size:13,} bytes"
          for rule, size in sizes.most_common()),
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    """Prove what is asked for; give the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("requirements", nargs="*", metavar="REQUIREMENT")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--cache-dir", type=Path, default=default_folder())
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()

    one = partial(
        prove,
        interpreter=ask_interpreter(options.python),
        store=Store(options.cache_dir),
    )
    verdicts = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(one, options.requirements or PACKAGES):
            print(report(verdict), flush=True)
            verdicts.append(verdict)
    print(summary(verdicts))
    return int(any(verdict.broken or verdict.failure for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
