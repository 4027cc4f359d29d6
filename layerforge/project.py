"""layerforge.toml, or ``[tool.layerforge]`` of pyproject.toml, read.

Everything that is wrong in it is reported at once, each mistake with its dotted path,
the value found and what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

import tomli

from layerforge.containers.settings import (
    PACKAGE_NAME,
    ContainerSettings,
    SystemPackages,
)
from layerforge.errors import ConfigError
from layerforge.fields import (
    Fields,
    Problems,
    Wrong,
    a_duration,
    a_flag,
    a_list_of,
    a_size,
    a_table,
    a_text,
    one_of,
    read_each,
)
from layerforge.functions import read_functions
from layerforge.limits import MAX_UNZIPPED
from layerforge.publication import read_accounts, read_publish
from layerforge.spec import (
    DESCRIPTION_LENGTH,
    LAYER_NAME,
    LICENCE_LENGTH,
    Include,
    LayerSpec,
    Project,
    Requirements,
    Script,
)
from layerforge.strip import Profile
from layerforge.target import LANGUAGE_NAMES, Arch, Runtime, find_arch, find_runtime
from layerforge.waivers import a_waiver

T = TypeVar("T")

FILE_NAME: Final = "layerforge.toml"
MODULE: Final = r"(@[\w.-]+/)?\w[\w./-]*"  # Python's, or a name that Node.js requires
_INCLUDE_ROOTS: Final = ("python", "nodejs", "bin", "lib")
# By which keys a layer says what is in it, and so which language it is for.
_LANGUAGES: Final = {
    "requirements": "python",
    "package-json": "node",
    "packages": "node",
}
# What layers of one language alone can ask for: how it is where nothing is said.
_ONLY: Final[dict[str, dict[str, Any]]] = {
    "python": {"bytecode": False, "container": False},
    "node": {
        "install-scripts": {},
        "shake": False,
        "entry-points": (),
        "versioned-folder": False,
    },
}


def find_project(folder: Path) -> Project:
    """Read the configuration of ``folder`` or the nearest folder above that has one.

    A project without layers stands for "none found". Raises `ConfigError`.
    """
    for candidate in (folder, *folder.parents):
        file = candidate / FILE_NAME
        if file.is_file():
            return read_project(file)
        pyproject = candidate / "pyproject.toml"
        if pyproject.is_file() and b"layerforge" in pyproject.read_bytes():
            tools = _load(pyproject).get("tool")
            if isinstance(tools, dict) and "layerforge" in tools:
                return _read_pyproject(tools, pyproject)
    return Project(folder=folder)


def read_project(file: Path) -> Project:
    """Read one layerforge.toml; raises `ConfigError` with every mistake in it."""
    return _project(_load(file), file, "")


def _read_pyproject(tools: Mapping[str, Any], file: Path) -> Project:
    problems = Problems()
    table: dict[str, Any] = Fields(tools, "tool.", problems).get(
        "layerforge", a_table, {}
    )
    problems.refuse(f"{file}:")
    return _project(table, file, "tool.layerforge.")


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomli.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error


def _project(document: Mapping[str, Any], file: Path, prefix: str) -> Project:
    problems = Problems()
    top = Fields(document, prefix, problems)
    defaults = top.table("defaults")
    shared = _read_layer("", defaults, file.parent)
    publish = top.table("publish")
    published, accounts = read_publish(publish), read_accounts(publish)
    layers: list[LayerSpec] = []
    for name, fields in top.tables("layers", LAYER_NAME, defaults):
        requirements = _read_requirements(fields, file.parent)
        own = fields.table("publish", publish)
        layer = replace(
            _read_layer(name, fields, file.parent),
            requirements=requirements,
            publish=read_publish(own),
        )
        own.finish()
        layers.append(_of_its_language(layer, fields))
        fields.finish()
    functions = read_functions(
        top, layers, file.parent, a_runtime=_a_runtime, an_arch=_an_arch
    )
    _refuse_names_of_parts(layers, top)
    containers = _read_containers(top.table("containers"), top.table("docker"))
    for table in (defaults, publish, top):
        table.finish()
    problems.refuse(f"{file}:")
    return Project(
        folder=file.parent,
        file=file,
        layers=tuple(layers),
        runtimes=shared.runtimes,
        architectures=shared.architectures,
        waivers=shared.waivers,
        containers=containers,
        publish=published,
        accounts=accounts,
        functions=functions,
    )


def _refuse_names_of_parts(layers: Sequence[LayerSpec], top: Fields) -> None:
    """Let no layer be called as a part of another is (see `split`)."""
    names = {layer.name for layer in layers}
    for layer in layers:
        for name in sorted(names.intersection(layer.part_names)):
            top.wrong(f"layers.{name}", f"another name: {layer.name} has parts", name)


def _read_layer(name: str, fields: Fields, folder: Path) -> LayerSpec:
    return LayerSpec(
        name=name,
        runtimes=fields.get("runtimes", a_list_of(_a_runtime), ()),
        architectures=fields.get("architectures", a_list_of(_an_arch), ()),
        include=fields.get("include", _includes_from(folder), ()),
        exclude=fields.get("exclude", a_list_of(a_text()), ()),
        keep=fields.get("keep", a_list_of(a_text()), ()),
        strip=fields.get("strip", one_of(Profile), Profile.SAFE),
        bytecode=fields.get("bytecode", a_flag, False),
        exclude_runtime_sdk=fields.get("exclude-runtime-sdk", a_flag, False),
        container=fields.get("container", a_flag, False),
        system_packages=read_system_packages(fields),
        imports=fields.get("imports", a_list_of(a_text(form=MODULE)), ()),
        install_scripts=fields.get("install-scripts", _scripts, {}),
        shake=fields.get("shake", a_flag, False),
        entry_points=fields.get("entry-points", a_list_of(a_file_in(folder)), ()),
        versioned_folder=fields.get("versioned-folder", a_flag, False),
        one_zip=fields.get("one-zip", a_flag, False),
        provided_by=fields.get("provided-by", a_list_of(a_text(form=LAYER_NAME)), ()),
        split=fields.get("split", a_flag, False),
        waivers=fields.get("waive", a_list_of(a_waiver), ()),
        licence_texts=fields.get("licence-texts", a_flag, False),
        max_unzipped=fields.get("max-unzipped", _a_limit, None),
        collisions=fields.get("collisions", _a_text_table, {}),
        description=fields.get("description", a_text(most=DESCRIPTION_LENGTH), ""),
        licence=fields.get("licence", a_text(most=LICENCE_LENGTH), ""),
    )


def read_system_packages(fields: Fields) -> SystemPackages:
    """Read what an image's installer is to bring: names for dnf, for apt, or both."""
    names = fields.table("system-packages")
    texts = a_list_of(a_text(form=PACKAGE_NAME))
    packages = SystemPackages(
        dnf=names.get("dnf", texts, ()), apt=names.get("apt", texts, ())
    )
    names.finish()
    return packages


def _read_containers(fields: Fields, docker: Fields) -> ContainerSettings:
    hosts = docker.table("hosts")
    address = a_text(form=r"(ssh|tcp|unix|http|https|npipe)://.+")
    named = [(arch, hosts.get(str(arch), address, "")) for arch in Arch]
    settings = ContainerSettings(
        image=fields.get("image", a_text(), ""),
        hosts={arch: host for arch, host in named if host},
        memory=fields.get("memory", a_size, 0),
        timeout=fields.get("timeout", a_duration, ContainerSettings().timeout),
        network=fields.get("network", a_text(), ""),
        compile_network=fields.get("compile-network", a_flag, False),
    )
    for table in (hosts, docker, fields):
        table.finish()
    return settings


def _read_requirements(fields: Fields, folder: Path) -> Requirements:
    extras: tuple[str, ...] = fields.get("extras", a_list_of(a_text()), ())
    groups: tuple[str, ...] = fields.get("groups", a_list_of(a_text()), ())
    named = [key for key in _LANGUAGES if fields.has(key)]
    if not named:
        fields.missing(
            "requirements",
            'a list of requirements, or a file such as "requirements.txt"; for '
            "Node.js, package-json or packages",
        )
        return Requirements()
    for key in named[1:]:
        found = fields.get(key, _anything, None)
        fields.wrong(key, f"none beside {named[0]}", found)
    asked = _READERS[named[0]](fields, folder)
    if (extras or groups) and (asked.file is None or not asked.is_project):
        key = "extras" if extras else "groups"
        fields.wrong(
            key,
            "none: only a pyproject.toml, or a lock of its tool, has any",
            extras or groups,
        )
    return replace(asked, extras=extras, groups=groups)


def _read_python(fields: Fields, folder: Path) -> Requirements:
    read = _a_requirements_value(folder)
    return fields.get("requirements", read, Requirements())


def _read_package_json(fields: Fields, folder: Path) -> Requirements:
    file = fields.get("package-json", a_file_in(folder), None)
    if file and file.name != "package.json":
        fields.wrong("package-json", "a file named package.json", file.name)
    return Requirements(language="node", file=file)


def read_packages(fields: Fields, folder: Path) -> Requirements:
    """Read what npm would be asked to install: ``pg``, ``redis@^5``."""
    lines: tuple[str, ...] = fields.get("packages", a_list_of(a_text()), ())
    return Requirements(language="node", lines=lines, folder=folder)


_READERS: Final = {
    "requirements": _read_python,
    "package-json": _read_package_json,
    "packages": read_packages,
}


def _of_its_language(layer: LayerSpec, fields: Fields) -> LayerSpec:
    """Refuse what only another language has, or forget it where it is a default."""
    for language, keys in _ONLY.items():
        if language == layer.requirements.language:
            continue
        for key, nothing in keys.items():
            if fields.has(key):
                found = getattr(layer, key.replace("-", "_"))
                title = LANGUAGE_NAMES[language]
                fields.wrong(key, f"none: only layers for {title} have it", found)
            layer = replace(layer, **{key.replace("-", "_"): nothing})
    return layer


def _a_requirements_value(folder: Path) -> Callable[[object], Requirements]:
    def read(value: object) -> Requirements:
        if isinstance(value, str):
            file = folder / value
            if not file.is_file():
                raise Wrong("a file that is there, or a list of requirements")
            return Requirements(file=file)
        return Requirements(lines=a_list_of(_a_requirement)(value))

    return read


def _a_requirement(value: object) -> str:
    from packaging.requirements import (  # noqa: PLC0415 - a file needs none of it
        InvalidRequirement,
        Requirement,
    )

    text = a_text()(value)
    try:
        Requirement(text)
    except InvalidRequirement:
        raise Wrong('a requirement such as "requests>=2.32"') from None
    return text


def _a_runtime(value: object) -> Runtime:
    return _looked_up(find_runtime, value, "a runtime of Lambda's")


def _an_arch(value: object) -> Arch:
    return _looked_up(find_arch, value, "an architecture of Lambda's")


def a_file_in(folder: Path) -> Callable[[object], Path]:
    """Read the path of a file that is there, from a folder."""

    def read(value: object) -> Path:
        file = folder / a_text()(value)
        if not file.is_file():
            raise Wrong("a file that is there")
        return file

    return read


def _scripts(value: object) -> dict[str, Script]:
    items = a_table(value).items()
    read = read_each([(f".{name}", said, one_of(Script)) for name, said in items])
    return dict(zip(dict(items), read, strict=True))


def _anything(value: object) -> object:
    return value


def _looked_up(find: Callable[[str], T], value: object, expected: str) -> T:
    try:
        return find(a_text()(value))
    except ConfigError as error:
        raise Wrong(f"{expected}. {error.remedy}") from None


def _a_limit(value: object) -> int:
    size = a_size(value)
    if size > MAX_UNZIPPED:
        raise Wrong(f"at most Lambda's own limit, {MAX_UNZIPPED} bytes")
    return size


def _a_text_table(value: object) -> dict[str, str]:
    items = a_table(value).items()
    texts = read_each([(f".{key}", item, a_text()) for key, item in items])
    return {key: text for (key, _), text in zip(items, texts, strict=True)}


def _includes_from(folder: Path) -> Callable[[object], tuple[Include, ...]]:
    def read(value: object) -> tuple[Include, ...]:
        return read_each(
            [
                (f".{source}", destination, _include_of(folder / source))
                for source, destination in a_table(value).items()
            ]
        )

    return read


def _include_of(source: Path) -> Callable[[object], Include]:
    def read(value: object) -> Include:
        destination = PurePosixPath(a_text()(value))
        if not source.exists():
            raise Wrong("a file or folder that is there", found=str(source))
        parts = destination.parts
        if not parts or parts[0] not in _INCLUDE_ROOTS or ".." in parts:
            roots = ", ".join(f"{root}/" for root in _INCLUDE_ROOTS)
            raise Wrong(f"a path below one of {roots}")
        return Include(source=source, destination=str(destination))

    return read
