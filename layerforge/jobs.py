"""From what a user names to the jobs that it means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from layerforge.ecosystems import ecosystem_of
from layerforge.errors import ConfigError
from layerforge.plan import Job
from layerforge.recipes import find_recipe, recipe_names
from layerforge.spec import LAYER_NAME, LayerSpec, Project, Requirements
from layerforge.strip import Profile
from layerforge.target import find_arch, find_runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The words of a command line that say what is to be built, and where to.

    ``folder`` is where the user stands. Empty and `None` mean "not said".
    """

    folder: Path
    names: tuple[str, ...] = ()
    requirements: Path | None = None
    name: str = ""
    runtimes: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    output_folder: Path | None = None
    output: Path | None = None
    strip: Profile | None = None
    exclude_runtime_sdk: bool = False
    bytecode: bool = False
    container: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """A layer, the folders of its lock and its zips, and how to name it again."""

    spec: LayerSpec
    locks: Path
    zips: Path
    words: tuple[str, ...]


def select_jobs(selection: Selection, project: Project) -> tuple[Job, ...]:
    """Give a job for each layer and target; raises `ConfigError`."""
    jobs = tuple(
        job
        for chosen in _choose(selection, project)
        for job in _jobs(chosen, selection, project)
    )
    if selection.output and len(jobs) != 1:
        raise ConfigError(
            f"-o names one file, and there are {len(jobs)} zips to make",
            remedy="Give --output-dir, or name one layer, --runtime and --arch.",
        )
    return jobs


def _choose(selection: Selection, project: Project) -> Iterable[_Chosen]:
    if selection.requirements:
        yield _from_requirements(selection, selection.requirements)
        return
    if not selection.names and not project.layers:
        raise ConfigError(
            "there is no layerforge.toml here or in a folder above",
            remedy="Make one: layerforge init. Or name a recipe (layerforge build "
            "pandas), or a requirements file (-r FILE --name LAYER).",
        )
    for name in selection.names or [layer.name for layer in project.layers]:
        layer = project.layer(name)
        if layer:
            zips = project.folder / "dist"
            yield _Chosen(spec=layer, locks=project.folder, zips=zips, words=(name,))
        else:
            yield _from_recipe(name, selection.folder, project)


def _from_requirements(selection: Selection, file: Path) -> _Chosen:
    if selection.names:
        raise ConfigError(
            f"{', '.join(selection.names)} and -r {file} are asked for at once",
            remedy="Name layers, or give a file and --name.",
        )
    if not re.fullmatch(LAYER_NAME, selection.name):
        raise ConfigError(
            f"{selection.name!r} is no name for a layer: {LAYER_NAME}"
            if selection.name
            else f"the layer of {file} has no name",
            remedy=f"Give it one: -r {file} --name web",
        )
    path = selection.folder / file
    if not path.is_file():
        raise ConfigError(f"there is no file {file}")
    return _Chosen(
        spec=LayerSpec(name=selection.name, requirements=Requirements(file=path)),
        locks=path.parent,
        zips=selection.folder / "dist",
        words=("-r", str(file), "--name", selection.name),
    )


def _from_recipe(name: str, folder: Path, project: Project) -> _Chosen:
    recipe = find_recipe(name)
    if recipe is None:
        layers = [layer.name for layer in project.layers]
        import difflib  # noqa: PLC0415 - for errors alone

        near = difflib.get_close_matches(name, [*layers, *recipe_names()], n=3)
        guess = f"Did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(
            f"{name} is neither a layer of layerforge.toml nor a recipe",
            remedy=f"{guess}For a requirement: -r FILE --name LAYER.",
        )
    return _Chosen(spec=recipe, locks=folder, zips=folder / "dist", words=(name,))


def _jobs(chosen: _Chosen, selection: Selection, project: Project) -> Iterable[Job]:
    spec = _with_targets(chosen.spec, selection, project)
    folder = selection.output_folder or chosen.zips
    for target in spec.targets:
        options = ["--runtime", target.runtime.id, "--arch", str(target.arch)]
        if selection.exclude_runtime_sdk:
            options.append("--exclude-runtime-sdk")
        if selection.bytecode:
            options.append("--bytecode")
        if selection.container:
            options.append("--container")
        yield Job(
            spec=spec,
            target=target,
            lock_file=ecosystem_of(target).lock_path(chosen.locks, spec.name, target),
            output=selection.output or folder / f"{spec.name}-{target}.zip",
            lock_words=("layerforge", "lock", *chosen.words, *options),
        )


def _with_targets(spec: LayerSpec, selection: Selection, project: Project) -> LayerSpec:
    runtimes = tuple(map(find_runtime, selection.runtimes))
    architectures = tuple(map(find_arch, selection.architectures))
    spec = replace(
        spec,
        runtimes=runtimes or spec.runtimes or project.runtimes,
        architectures=architectures or spec.architectures or project.architectures,
        strip=selection.strip or spec.strip,
        exclude_runtime_sdk=selection.exclude_runtime_sdk or spec.exclude_runtime_sdk,
        bytecode=selection.bytecode or spec.bytecode,
        container=selection.container or spec.container,
    )
    if not spec.targets:
        missing = "runtime" if not spec.runtimes else "architecture"
        raise ConfigError(
            f"no {missing} is named for {spec.name}",
            remedy="Give --runtime and --arch (--runtime python3.13 --arch arm64), or "
            "runtimes and architectures in [defaults] of layerforge.toml.",
        )
    return spec
