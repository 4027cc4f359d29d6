"""From what a user names to the jobs that it means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from layerforge.ecosystems import ecosystem_of
from layerforge.errors import ConfigError, guess
from layerforge.plan import Job
from layerforge.recipes import find_recipe, recipe_names
from layerforge.spec import LAYER_NAME, LayerSpec, Project, Requirements
from layerforge.strip import Profile
from layerforge.target import (
    LANGUAGE_NAMES,
    Target,
    find_arch,
    find_runtime,
    load_runtimes,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The words of a command line that say what is to be built, and where to.

    ``folder`` is where the user stands. ``lines`` are requirements of a layer that is
    only thought of. Empty and `None` mean "not said".
    """

    folder: Path
    names: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    requirements: Path | None = None
    package_json: Path | None = None
    name: str = ""
    runtimes: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    output_folder: Path | None = None
    output: Path | None = None
    strip: Profile | None = None
    exclude_runtime_sdk: bool = False
    bytecode: bool = False
    container: bool = False
    one_zip: bool = False


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


def select_forecasts(selection: Selection, project: Project) -> tuple[Job, ...]:
    """Give a job for each layer and target that is to be weighed.

    One name alone may be a recipe's, as for a build. Names that are no layer's are the
    requirements of one that is only thought of. It has no lock, and so no
    ``lock_words``; nor has one of a requirements file that is given no name. Raises
    `ConfigError`.
    """
    file = selection.requirements or selection.package_json
    layers = [name for name in selection.names if project.layer(name)]
    if layers and len(layers) < len(selection.names):
        others = [name for name in selection.names if name not in layers]
        raise ConfigError(
            f"{', '.join(layers)} {'is a layer' if len(layers) == 1 else 'are layers'} "
            f"of layerforge.toml, and {', '.join(others)} "
            f"{'is' if len(others) == 1 else 'are'} not",
            remedy="Name layers, or requirements, in one command.",
        )
    if file and not selection.name:
        selection = replace(selection, name=re.sub(r"[^\w-]", "-", file.stem))
        locked = bool(selection.package_json)  # npm's lock goes by no name
    elif selection.names and not layers and not file and not _is_recipe(selection):
        selection = replace(selection, names=(), lines=selection.names)
        locked = False
    else:
        locked = True
    return tuple(
        each if locked else replace(each, lock_words=())
        for job in select_jobs(selection, project)
        for each in (job, *job.others)
    )


def _is_recipe(selection: Selection) -> bool:
    """Tell whether one name alone is a recipe's, for the languages that are wanted."""
    recipe = find_recipe(selection.names[0]) if len(selection.names) == 1 else None
    languages = {find_runtime(name).language for name in selection.runtimes}
    return recipe is not None and languages <= {recipe.requirements.language}


def _choose(selection: Selection, project: Project) -> Iterable[_Chosen]:
    if selection.requirements and selection.package_json:
        raise ConfigError(
            f"-r {selection.requirements} and --package-json {selection.package_json} "
            "are asked for at once",
            remedy="Give one of them.",
        )
    if selection.requirements:
        asked = Requirements(file=selection.requirements)
        yield _from_file(selection, "-r", asked)
        return
    if selection.package_json:
        if selection.package_json.name != "package.json":
            raise ConfigError(
                f"{selection.package_json} is not named package.json",
                remedy="Put it under that name into a folder of its own: npm knows no "
                "other.",
            )
        asked = Requirements(language="node", file=selection.package_json)
        yield _from_file(selection, "--package-json", asked)
        return
    if selection.lines:
        yield _thought_of(selection, project)
        return
    if not selection.names and not project.layers:
        raise ConfigError(
            "there is no layerforge.toml here or in a folder above",
            remedy="Make one: layerforge init. Or name a recipe (layerforge build "
            "pandas), or a file (-r FILE, --package-json FILE, with --name LAYER).",
        )
    for name in selection.names or _suitable(selection, project):
        layer = project.layer(name)
        if layer:
            zips = project.folder / "dist"
            yield _Chosen(spec=layer, locks=project.folder, zips=zips, words=(name,))
        else:
            yield _from_recipe(name, selection.folder, project)


def _thought_of(selection: Selection, project: Project) -> _Chosen:
    runtimes = tuple(map(find_runtime, selection.runtimes)) or project.runtimes
    languages = {runtime.language for runtime in runtimes} or {"python"}
    if len(languages) > 1:
        raise ConfigError(
            f"{', '.join(map(str, runtimes))} are of several languages, and "
            f"{', '.join(selection.lines)} can be requirements of one",
            remedy="Name runtimes of one language: --runtime "
            f"{_example(runtimes[0].language)}",
        )
    language = languages.pop()
    lines = tuple(
        line for word in selection.lines for line in _asked_for(word, language)
    )
    asked = Requirements(language=language, lines=lines, folder=selection.folder)
    spec = LayerSpec(name=", ".join(selection.lines), requirements=asked)
    folder = selection.folder
    return _Chosen(spec=spec, locks=folder, zips=folder, words=())


def _asked_for(word: str, language: str) -> tuple[str, ...]:
    """Give a requirement, or all that the recipe of this name asks for."""
    recipe = find_recipe(word)
    if recipe and recipe.requirements.language == language:
        return recipe.requirements.lines
    return (word,)


def _suitable(selection: Selection, project: Project) -> list[str]:
    """Name all layers, but for those that no runtime that was asked for is for."""
    languages = {find_runtime(name).language for name in selection.runtimes}
    names = [layer.name for layer in project.layers]
    suitable = [
        layer.name
        for layer in project.layers
        if layer.requirements.language in languages
    ]
    return suitable or names


def _from_file(selection: Selection, option: str, asked: Requirements) -> _Chosen:
    file = asked.file or Path()
    if selection.names:
        raise ConfigError(
            f"{', '.join(selection.names)} and {option} {file} are asked for at once",
            remedy="Name layers, or give a file and --name.",
        )
    if not re.fullmatch(LAYER_NAME, selection.name):
        raise ConfigError(
            f"{selection.name!r} is no name for a layer: {LAYER_NAME}"
            if selection.name
            else f"the layer of {file} has no name",
            remedy=f"Give it one: {option} {file} --name web",
        )
    path = selection.folder / file
    if not path.is_file():
        raise ConfigError(f"there is no file {file}")
    return _Chosen(
        spec=LayerSpec(name=selection.name, requirements=replace(asked, file=path)),
        locks=path.parent,
        zips=selection.folder / "dist",
        words=(option, str(file), "--name", selection.name),
    )


def _from_recipe(name: str, folder: Path, project: Project) -> _Chosen:
    recipe = find_recipe(name)
    if recipe is None:
        layers = [layer.name for layer in project.layers]
        raise ConfigError(
            f"{name} is neither a layer of layerforge.toml nor a recipe",
            remedy=guess(name, (*layers, *recipe_names()))
            + "For a requirement: -r FILE --name LAYER.",
        )
    asked = replace(recipe.requirements, folder=folder)
    recipe = replace(recipe, requirements=asked)
    return _Chosen(spec=recipe, locks=folder, zips=folder / "dist", words=(name,))


def _jobs(chosen: _Chosen, selection: Selection, project: Project) -> Iterable[Job]:
    spec = _with_targets(chosen.spec, selection, project)
    folder = selection.output_folder or chosen.zips
    for targets in _by_zip(spec):
        output = selection.output or folder / _zip_name(spec, targets)
        jobs = [
            replace(
                _job(chosen, spec, target, output, selection),
                bases=_bases(spec, target, project),
            )
            for target in targets
        ]
        yield replace(jobs[0], others=tuple(jobs[1:]))


def _zip_name(spec: LayerSpec, targets: Sequence[Target]) -> str:
    runtimes = (str(target.runtime) for target in targets)
    return f"{'-'.join((spec.name, *runtimes, str(targets[0].arch)))}.zip"


def _by_zip(spec: LayerSpec) -> list[tuple[Target, ...]]:
    """Put the targets together that one zip is for."""
    if not spec.one_zip:
        return [(target,) for target in spec.targets]
    return [
        tuple(target for target in spec.targets if target.arch is arch)
        for arch in spec.architectures
    ]


def _job(
    chosen: _Chosen,
    spec: LayerSpec,
    target: Target,
    output: Path,
    selection: Selection,
) -> Job:
    options = ["--runtime", target.runtime.id, "--arch", str(target.arch)]
    if selection.exclude_runtime_sdk:
        options.append("--exclude-runtime-sdk")
    if selection.bytecode:
        options.append("--bytecode")
    if selection.container:
        options.append("--container")
    return Job(
        spec=spec,
        target=target,
        lock_file=ecosystem_of(target).lock_path(chosen.locks, spec, target),
        output=output,
        lock_words=("layerforge", "lock", *chosen.words, *options),
    )


def _bases(
    spec: LayerSpec, target: Target, project: Project, above: tuple[str, ...] = ()
) -> tuple[Job, ...]:
    """Give the jobs of the layers that one stands on, those below before them."""
    jobs: dict[str, Job] = {}
    for name in spec.provided_by:
        job = _base(name, target, project, (*above, spec.name))
        jobs |= {each.spec.name: each for each in (*job.bases, job)}
    return tuple(jobs.values())


def _base(name: str, target: Target, project: Project, above: tuple[str, ...]) -> Job:
    layer = project.layer(name)
    if layer is None:
        raise ConfigError(
            f"{above[-1]} is provided-by {name}, which is no layer of layerforge.toml",
            remedy="Name layers of the same file.",
        )
    language = target.runtime.language
    if layer.requirements.language != language:
        raise ConfigError(
            f"{above[-1]} is a layer for {LANGUAGE_NAMES[language]}, and {name}, which "
            "it is provided-by, is not",
            remedy="Name layers of the same language.",
        )
    if name in above:
        raise ConfigError(
            f"layers stand on each other: {' on '.join((*above, name))}",
            remedy="Take one of them out of provided-by.",
        )
    as_it_is = Selection(folder=project.folder)
    spec = _with_targets(layer, as_it_is, project)
    if target not in spec.targets:
        raise ConfigError(
            f"{above[-1]} is provided-by {name}, which is not made for {target}",
            remedy=f"Give {name} that runtime and architecture too.",
        )
    zips = project.folder / "dist"
    chosen = _Chosen(spec=spec, locks=project.folder, zips=zips, words=(name,))
    (targets,) = (each for each in _by_zip(spec) if target in each)
    job = _job(chosen, spec, target, zips / _zip_name(spec, targets), as_it_is)
    return replace(job, bases=_bases(spec, target, project, above))


def _example(language: str) -> str:
    """Name the newest runtime that is no preview."""
    known = load_runtimes().values()
    return [one.id for one in known if one.language == language and not one.preview][-1]


def _with_targets(spec: LayerSpec, selection: Selection, project: Project) -> LayerSpec:
    runtimes = tuple(map(find_runtime, selection.runtimes))
    architectures = tuple(map(find_arch, selection.architectures))
    named = runtimes or spec.runtimes or project.runtimes
    language = spec.requirements.language
    spec = replace(
        spec,
        runtimes=tuple(one for one in named if one.language == language),
        architectures=architectures or spec.architectures or project.architectures,
        strip=selection.strip or spec.strip,
        exclude_runtime_sdk=selection.exclude_runtime_sdk or spec.exclude_runtime_sdk,
        bytecode=selection.bytecode or spec.bytecode,
        container=selection.container or spec.container,
        one_zip=selection.one_zip or spec.one_zip,
        waivers=spec.waivers or project.waivers,
    )
    if named and not spec.runtimes:
        title = LANGUAGE_NAMES[language]
        raise ConfigError(
            f"{spec.name} is a layer for {title}, and {', '.join(map(str, named))} "
            f"{'is' if len(named) == 1 else 'are'} not",
            remedy=f"Name a runtime of {title}: layerforge runtimes",
        )
    if not spec.targets:
        missing = "runtime" if not spec.runtimes else "architecture"
        raise ConfigError(
            f"no {missing} is named for {spec.name}",
            remedy=f"Give --runtime and --arch (--runtime {_example(language)} --arch "
            "arm64), or runtimes and architectures in [defaults] of layerforge.toml.",
        )
    return spec
