#!/usr/bin/env python3
"""Prove the Node.js rules of layerforge/data/strip.toml on packages that people use.

    scripts/prove_node_strip.py                     # those of prove_node_strip.toml
    scripts/prove_node_strip.py pg "redis@^5"       # one tree of these
    scripts/prove_node_strip.py --node node22/bin/node

npm 11 installs them for this machine's architecture, without their scripts. Every
package of the tree is loaded by all the names that it exports, whole, and again as each
profile leaves it. Whatever fails only in the second is named, with its error, and so is
a file that went although what stayed requires it; both make the exit status 1: the rule
at fault needs a ``keep``. Run it after a change to strip.toml.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from shutil import rmtree, which
from typing import Final

from prove_strip import Breakage, Verdict, breakages, report, summary

from layerforge.strip import Profile, Removal, Stripping, rules_for, strip
from layerforge.target import Arch, Target, find_arch, find_runtime
from layerforge.tree import STORED, Content, FileEntry

PROOF: Final = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)
ROOT: Final = "nodejs/node_modules/"
SCRIPTS: Final = (".js", ".cjs", ".mjs")
_BATCH: Final = 20  # packages in a process
_MOST: Final = 100  # names by one pattern

_RUNNER: Final = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")

_REQUIRED: Final = re.compile(
    r"""\b(?:require(?:\.resolve)?\s*\(|import\s*\(|from|import)\s*["'](\.{1,2}/[^"'\n]*)["']"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package of the tree: the folder that its node_modules is in, and its name."""

    base: str
    name: str

    @property
    def folder(self) -> str:
        """Where its files are, from the tree's own folder."""
        return f"{self.base}node_modules/{self.name}"

    def __str__(self) -> str:
        return self.folder


def install(requirements: Sequence[str], folder: Path, arch: Arch) -> None:
    """Have npm make a tree of the requirements; raises `CalledProcessError`."""
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
    subprocess.run(
        [
            *("npx", "--yes", "npm@11", "install", "--ignore-scripts", "--no-audit"),
            *("--no-fund", "--loglevel=error", "--legacy-peer-deps", "--os=linux"),
            *(f"--cpu={arch.npm}", "--libc=glibc", *requirements),
        ],
        cwd=folder,
        check=True,
    )


def files_of(folder: Path) -> tuple[FileEntry, ...]:
    """Give all files below ``folder``/node_modules as a layer's; links are left out."""
    modules = folder / "node_modules"
    entries = []
    for parent, _, names in os.walk(modules):
        for name in names:
            path = Path(parent, name)
            if path.is_symlink():
                continue
            inside = path.relative_to(modules).as_posix()
            size = path.stat().st_size
            content = Content(
                file=str(path),
                offset=0,
                length=size,
                method=STORED,
                size=size,
                crc32=0,
                sha256="",
            )
            entries.append(
                FileEntry(path=ROOT + inside, origin=owner(inside), content=content)
            )
    return tuple(sorted(entries, key=lambda entry: entry.path))


def owner(path: str) -> str:
    """Name the package that a file below node_modules belongs to."""
    *outer, inner = path.split("node_modules/")
    parts = inner.split("/")
    name = "/".join(parts[: 2 if inner.startswith("@") else 1])
    return "node_modules/".join([*outer, name])


def packages_of(entries: Iterable[FileEntry]) -> tuple[Package, ...]:
    """Give the packages of a tree: the folders that have a package.json, and a name."""
    manifests = {entry.origin for entry in entries if _is_manifest(entry)}
    found = []
    for origin in sorted(manifests):
        base, _, name = origin.rpartition("node_modules/")
        found.append(Package(base=f"node_modules/{base}" if base else "", name=name))
    return tuple(found)


def _is_manifest(entry: FileEntry) -> bool:
    return entry.path == f"{ROOT}{entry.origin}/package.json"


def names_of(package: Package, tree: Path) -> tuple[str, ...]:
    """Give all that a function can ask for of a package, as it would write it.

    Without ``exports`` any file can be asked for: those of the top folder are.
    """
    folder = tree / package.folder
    try:
        manifest = json.loads((folder / "package.json").read_bytes())
    except ValueError:
        return ()
    exports = manifest.get("exports")
    if exports is None:
        names = sorted(file.name for file in folder.glob("[!.]*"))
        paths = [".", *(f"./{name}" for name in names if name.endswith(SCRIPTS))]
    elif isinstance(exports, dict) and all(key.startswith(".") for key in exports):
        paths = list(
            chain.from_iterable(_expanded(key, exports[key], folder) for key in exports)
        )
    else:
        paths = ["."]
    return tuple(f"{package.name}{path[1:]}" for path in dict.fromkeys(paths))


def _expanded(key: str, goal: object, folder: Path) -> Iterator[str]:
    """Give what a pattern of ``exports`` stands for, by the first files that fit."""
    if "*" not in key:
        yield key
        return
    for pattern in _goals(goal):
        before, _, after = pattern.removeprefix("./").partition("*")
        inside = folder / before.rpartition("/")[0]
        paths = [file.relative_to(folder).as_posix() for file in inside.rglob("*")]
        fitting = [
            path[len(before) : len(path) - len(after)]
            for path in sorted(paths)
            if path.startswith(before)
            and path.endswith(after)
            and path.endswith(SCRIPTS)
            and "node_modules/" not in path
        ]
        yield from (key.replace("*", each) for each in fitting[:_MOST])


def _goals(goal: object) -> Iterator[str]:
    """Give the files that an entry of ``exports`` may lead to, under any condition."""
    if isinstance(goal, str):
        yield goal
    elif isinstance(goal, list):
        yield from chain.from_iterable(map(_goals, goal))
    elif isinstance(goal, dict):
        yield from chain.from_iterable(map(_goals, goal.values()))


def copy_files(entries: Iterable[FileEntry], folder: Path) -> None:
    """Make a tree of ``entries`` in ``folder``, without a copy of any byte."""
    rmtree(folder, ignore_errors=True)
    made = {folder}
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
    for entry in entries:
        path = folder / entry.path.removeprefix("nodejs/")
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        path.hardlink_to(_file(entry))


def _file(entry: FileEntry) -> Path:
    if entry.content is None:
        raise ValueError(f"{entry.path} is a link")
    return Path(entry.content.file)


def run_all(
    lines: Sequence[tuple[str, str]], folder: Path, node: str
) -> dict[str, str]:
    """Run lines beside a node_modules: each one's error, if any.

    What follows one that took the process down is run by another.
    """
    errors: dict[str, str] = {}
    with tempfile.NamedTemporaryFile(prefix="layerforge-") as file:
        while rest := lines[len(errors) :]:
            done = len(errors)
            Path(file.name).write_bytes(b"")
            status = _run(rest, folder, node, file.name)
            answers = Path(file.name).read_text(encoding="utf-8").splitlines()
            for (_, what), answer in zip(rest, answers, strict=False):
                errors[what] = json.loads(answer)
            if len(errors) - done < len(rest):
                errors[rest[len(answers)][1]] = f"ended with status {status}"
    return errors


def _run(lines: Sequence[tuple[str, str]], folder: Path, node: str, file: str) -> int:
    try:
        return subprocess.run(
            [node, "--no-warnings", "-e", _RUNNER, file],
            input=json.dumps(lines).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            cwd=folder,
            timeout=300,
            env={"HOME": str(folder), "PATH": str(Path(node).parent)},
        ).returncode
    except subprocess.TimeoutExpired:
        return -1


def required_in_vain(
    left: Sequence[FileEntry], removed: Iterable[Removal]
) -> Iterator[tuple[str, str]]:
    """Give each script that stays though it names a file that went, and that file.

    Loading doesn't find all of these: some are required only when they are used.
    """
    gone = {removal.path for removal in removed}
    known = gone | {entry.path for entry in left}
    for entry in left:
        if not entry.path.endswith(SCRIPTS):
            continue
        text = _file(entry).read_text(encoding="utf-8", errors="replace")
        folder = entry.path.rpartition("/")[0]
        for name in set(_REQUIRED.findall(text)):
            path = os.path.normpath(f"{folder}/{name}")
            files = [
                path,
                *(f"{path}{suffix}" for suffix in (*SCRIPTS, ".json", ".node")),
                f"{path}/index.js",
            ]
            found = next((each for each in files if each in known), "")
            # Comments name types for TypeScript; who has a library for each platform
            # names all, and those that matter here are loaded later.
            if found in gone and not found.endswith(("ts", ".tsx", ".node")):
                yield entry.path.removeprefix(ROOT), found.removeprefix(ROOT)


def prove(
    packages: Sequence[Package], trees: Mapping[Profile, Path], node: str
) -> Verdict:
    """Load packages of one folder as each profile leaves them.

    What fails then is tried whole: it breaks only if it runs there.
    """
    whole, base = trees[Profile.NONE], packages[0].base
    lines = [("load", name) for each in packages for name in names_of(each, whole)]
    if not base:
        exercises = [PROOF["exercises"].get(each.name, ()) for each in packages]
        lines += [("run", exercise) for exercise in chain.from_iterable(exercises)]
    broken: list[Breakage] = []
    never = set()
    for profile, tree in trees.items():
        if profile is Profile.NONE:
            continue
        after = run_all(lines, tree / base, node)
        failed = [(how, what) for how, what in lines if after[what]]
        before = run_all(failed, whole / base, node)
        never |= {what for what, error in before.items() if error}
        broken += [
            Breakage(profile=Profile.NONE, statement=what, error=before[what])
            for how, what in failed
            if how == "run" and before[what]
        ]
        broken += breakages(profile, before, after)
    return Verdict(
        requirement=str(packages[0]), ran=len(lines) - len(never), broken=tuple(broken)
    )


def batches(packages: Iterable[Package]) -> Iterator[tuple[Package, ...]]:
    """Give packages together that one process can load; starting one takes longer."""
    by_base: dict[str, list[Package]] = {}
    for package in packages:
        by_base.setdefault(package.base, []).append(package)
    for neighbours in by_base.values():
        for start in range(0, len(neighbours), _BATCH):
            yield tuple(neighbours[start : start + _BATCH])


def leave(
    entries: Sequence[FileEntry], profile: Profile, target: Target, folder: Path
) -> tuple[frozenset[Removal], tuple[Breakage, ...]]:
    """Make the tree that a profile leaves; give what it removes, and who names that."""
    rules = rules_for(target, profile)
    result = strip(entries, Stripping(root=ROOT, rules=rules))
    copy_files(result.entries, folder)
    vain = required_in_vain(result.entries, result.removals)
    return frozenset(result.removals), tuple(
        Breakage(profile=profile, statement=script, error=f"{file} went")
        for script, file in vain
    )


def prove_tree(
    installed: Path, work: Path, target: Target, node: str, jobs: int
) -> list[Verdict]:
    """Prove all packages of a tree that npm made; print each one's verdict."""
    entries = files_of(installed)
    trees = {Profile.NONE: installed}
    removals: frozenset[Removal] = frozenset()
    broken: tuple[Breakage, ...] = ()
    for profile in (Profile.SAFE, Profile.SLIM):
        trees[profile] = work / profile
        removed, named = leave(entries, profile, target, trees[profile])
        if removed == removals:
            del trees[profile]
            continue
        removals |= removed
        broken += named
    packages = packages_of(entries)
    names = f"what {len(packages):,} packages require"
    verdicts = [Verdict(requirement=names, removals=removals, broken=broken)]
    print(report(verdicts[0]), flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        together = batches(packages)
        for verdict in pool.map(partial(prove, trees=trees, node=node), together):
            if verdict.broken:
                print(report(verdict), flush=True)
            verdicts.append(verdict)
    return verdicts


def main() -> int:
    """Prove what is asked for; give the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("requirements", nargs="*", metavar="REQUIREMENT")
    parser.add_argument("--node", default="node")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument(
        "--tree",
        type=Path,
        action="append",
        default=[],
        help="a folder that npm has made a node_modules in",
    )
    options = parser.parse_args()

    arch = find_arch({"aarch64": "arm64"}.get(platform.machine(), platform.machine()))
    target = Target(runtime=find_runtime("nodejs22.x"), arch=arch)
    node = which(options.node)
    if node is None:
        parser.error(f"there is no {options.node}")
    run = partial(prove_tree, target=target, node=node, jobs=options.jobs)
    verdicts = []
    for tree in options.tree:
        with tempfile.TemporaryDirectory(dir=tree.absolute().parent) as work:
            verdicts += run(tree.absolute(), Path(work))
    asked = [options.requirements] if options.requirements else PROOF["trees"]
    for requirements in [] if options.tree else asked:
        with tempfile.TemporaryDirectory(prefix="layerforge-") as work:
            installed = Path(work) / "installed"
            install(requirements, installed, arch)
            verdicts += run(installed, Path(work))
    print(summary(verdicts, "batches"))
    return int(any(verdict.broken for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
