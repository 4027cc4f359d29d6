#!/usr/bin/env python3
"""Prove the rules of layerforge/data/strip.toml on packages that people use.

    scripts/prove_strip.py                      # those of prove_strip.toml; slow
    scripts/prove_strip.py pandas "numpy<2.3"   # a layer for each requirement
    scripts/prove_strip.py --python python3.12  # imported there, not by this Python

For each it lays a layer out whole, and again with each profile, and imports in both
every module that the profile leaves. Whatever fails only in the second is named, with
its error, and makes the exit status 1: the rule at fault needs a ``keep``. Run it after
a change to strip.toml.
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
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Final

from packaging.requirements import Requirement

from layerforge.ecosystems import ecosystem_of
from layerforge.errors import LayerforgeError
from layerforge.spec import LayerSpec, Requirements
from layerforge.store import Store, default_folder
from layerforge.strip import (
    Profile,
    Removal,
    Stripping,
    all_rules,
    rules_for,
    strip,
)
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tools import Tools
from layerforge.tree import FileEntry, unite
from layerforge.trim import trim_libraries

PROOF: Final = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)

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
    signal.alarm(60)
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
class Breakage:
    """A statement that runs in a whole layer, and fails in what a profile leaves."""

    profile: Profile
    statement: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one requirement: how many statements ran, which run no more."""

    requirement: str
    ran: int = 0
    broken: tuple[Breakage, ...] = ()
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
    """Import a layer of one requirement whole, and as each profile leaves it."""
    tools = Tools(store=store)
    try:
        entries = laid_out(requirement, interpreter.target, tools)
    except LayerforgeError as error:
        return Verdict(requirement=requirement, failure=error.message)
    exercises = PROOF["exercises"].get(Requirement(requirement).name, [])
    before: dict[str, str] = {}
    broken: list[Breakage] = []
    removals: frozenset[Removal] = frozenset()
    with tempfile.TemporaryDirectory(prefix="layerforge-") as name:
        run = partial(run_all, folder=Path(name), interpreter=interpreter)
        for profile in (Profile.SAFE, Profile.SLIM):
            left, removed = stripped(entries, interpreter.target, profile, tools)
            removals |= removed
            # The same ones in the same order: a failure may change what follows.
            statements = [*imports_of(left, interpreter), *exercises]
            if statements != list(before):
                write_tree(entries, Path(name) / "layer")
                before = run(statements)
                broken += breakages(Profile.NONE, dict.fromkeys(exercises, ""), before)
            write_tree(left, Path(name) / "layer")
            broken += breakages(profile, before, run(statements))
    return Verdict(
        requirement=requirement,
        ran=sum(not error for error in before.values()),
        broken=tuple(broken),
        removals=removals,
    )


def breakages(
    profile: Profile, before: Mapping[str, str], after: Mapping[str, str]
) -> list[Breakage]:
    """Give the statements that ran before, and fail after; those that are no more."""
    return [
        Breakage(profile=profile, statement=statement, error=after[statement])
        for statement, error in before.items()
        if not error and after[statement]
    ]


def laid_out(requirement: str, target: Target, tools: Tools) -> tuple[FileEntry, ...]:
    """Give all files of a requirement's layer, none left out."""
    spec = LayerSpec(name="proof", requirements=Requirements(lines=(requirement,)))
    ecosystem = ecosystem_of(target)
    lock, _ = ecosystem.resolve(spec, target, tools, preferred=())
    packs = ecosystem.obtain(lock, spec, target, tools)
    return ecosystem.lay_out(packs, target, tools)


def stripped(
    entries: Sequence[FileEntry], target: Target, profile: Profile, tools: Tools
) -> tuple[tuple[FileEntry, ...], frozenset[Removal]]:
    """Give what a profile leaves, libraries trimmed, and what it removes."""
    rules = rules_for(target, profile)
    result = strip(entries, Stripping(root="python/", rules=rules))
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
    """Give an import statement for each module but for programs and tests.

    What is left of tests is there for the modules that import it: those tell.
    """
    modules = set()
    for entry in entries:
        path = entry.path.removeprefix("python/")
        suffix = next((s for s in interpreter.suffixes if path.endswith(s)), "")
        parts = path.removesuffix(suffix).removesuffix("/__init__").split("/")
        named = all(
            part.isidentifier() and not keyword.iskeyword(part) for part in parts
        )
        tests = "tests" in path.split("/")[:-1]
        if suffix and named and not tests and parts[-1] not in {"__main__", "conftest"}:
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
            # Without a PATH, since ctypes would ask compilers for each library.
            env={"HOME": str(folder), "PATH": "", "LC_ALL": "C.UTF-8"},
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
    ran, broken = verdict.ran, len(verdict.broken)
    lines = [f"{verdict.requirement}: {ran:,} statements run, {broken} break"]
    # One file that is missing breaks all that import it: its first victim tells.
    errors = Counter((broken.profile, broken.error) for broken in verdict.broken)
    for (profile, error), times in errors.items():
        first = next(b.statement for b in verdict.broken if b.error == error)
        lines.append(f"    {profile}, {times} times: {error} ({first})")
    return "\n".join(lines)


def summary(verdicts: Sequence[Verdict], noun: str = "layers") -> str:
    """Add up what was proven, and what each rule removed: each file counts once."""
    sizes, files = Counter[str](), Counter[str]()
    for removal in frozenset().union(*(verdict.removals for verdict in verdicts)):
        sizes[removal.rule] += removal.size
        files[removal.rule] += 1
    built = [verdict for verdict in verdicts if not verdict.failure]
    ran = sum(verdict.ran for verdict in built)
    broken = sum(len(verdict.broken) for verdict in built)
    proven = f"{len(built)} of {len(verdicts)} {noun}"
    lines = [f"{proven}, {ran:,} statements run, {broken} broken"]
    for profile in (Profile.SAFE, Profile.SLIM):
        rules = {rule.id for rule in all_rules() if rule.profile is profile}
        left_out = Counter({rule: sizes[rule] for rule in rules & sizes.keys()})
        lines.append(f"{profile} leaves out {left_out.total():,} bytes")
        for rule, size in left_out.most_common():
            lines.append(f"  {rule:20} {files[rule]:7,} files {size:13,} bytes")
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
        for verdict in pool.map(one, options.requirements or PROOF["packages"]):
            print(report(verdict), flush=True)
            verdicts.append(verdict)
    print(summary(verdicts))
    return int(any(verdict.broken or verdict.failure for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
