"""Options that several commands share, and the values that they become."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from layerforge.cli.console import Console
from layerforge.jobs import Selection, select_jobs
from layerforge.plan import Job
from layerforge.project import find_project
from layerforge.spec import Project
from layerforge.strip import Profile

if TYPE_CHECKING:  # start-up time
    from layerforge.store import Store
    from layerforge.tools import Tools

F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def _stacked(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


console_options = _stacked(
    click.option("--json", is_flag=True, help="Print one JSON document."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings."),
    click.option("-v", "--verbose", is_flag=True, help="Say more, and where a bug is."),
)

store_options = _stacked(
    click.option(
        "--cache-dir",
        type=_FOLDER,
        envvar="LAYERFORGE_CACHE_DIR",
        help="Where archives are kept (LAYERFORGE_CACHE_DIR).",
    ),
)

index_options = _stacked(
    click.option("--index-url", default="", help="The index of Python packages."),
    click.option("--extra-index-url", multiple=True, help="A further index."),
    click.option("--find-links", multiple=True, help="A folder or page of wheels."),
    click.option("--no-index", is_flag=True, help="Use --find-links alone."),
)

selection_options = _stacked(
    click.argument("names", nargs=-1, metavar="[LAYER | RECIPE]..."),
    click.option(
        "-r", "--requirement", "requirements", type=_PATH, help="Requirements to build."
    ),
    click.option("--package-json", type=_PATH, help="A package.json to build."),
    click.option("--name", default="", help="The name of that file's layer."),
    click.option("--runtime", multiple=True, help="A runtime, such as python3.13."),
    click.option("--arch", multiple=True, help="x86_64 or arm64."),
    click.option(
        "--strip",
        type=click.Choice([str(profile) for profile in Profile]),
        help="How much is left out.",
    ),
    click.option(
        "--exclude-runtime-sdk",
        is_flag=True,
        help="Leave out the AWS SDK, which the runtime has.",
    ),
    click.option("--bytecode", is_flag=True, help="Compile Python, for quick starts."),
    click.option(
        "--container", is_flag=True, help="Resolve and compile in a container."
    ),
    click.option("--one-zip", is_flag=True, help="One zip for all runtimes."),
)

container_options = _stacked(
    click.option(
        "--image",
        default="",
        envvar="LAYERFORGE_IMAGE",
        help="A base image of your own (LAYERFORGE_IMAGE).",
    ),
)

output_options = _stacked(
    click.option("--output-dir", type=_FOLDER, help="Where zips go; dist by default."),
    click.option("-o", "--output", type=_PATH, help="The one zip to write."),
)


def console_of(options: dict[str, Any]) -> Console:
    """Take the console's options out of a command's."""
    return Console(
        json=options.pop("json"),
        quiet=options.pop("quiet"),
        verbose=options.pop("verbose"),
    )


def store_of(options: dict[str, Any]) -> Store:
    """Take the store's option out of a command's."""
    from layerforge.store import Store, default_folder  # noqa: PLC0415 - as below

    return Store(options.pop("cache_dir") or default_folder())


def jobs_of(options: dict[str, Any], project: Project | None = None) -> tuple[Job, ...]:
    """Take what is to be built out of a command's options."""
    selection = selection_of(options)
    return select_jobs(selection, project or find_project(selection.folder))


def selection_of(options: dict[str, Any]) -> Selection:
    """Take what is named out of a command's options."""
    strip = options.pop("strip")
    return Selection(
        folder=Path.cwd(),
        names=options.pop("names"),
        requirements=options.pop("requirements"),
        package_json=options.pop("package_json"),
        name=options.pop("name"),
        runtimes=options.pop("runtime"),
        architectures=options.pop("arch"),
        output_folder=options.pop("output_dir", None),
        output=options.pop("output", None),
        strip=Profile(strip) if strip else None,
        exclude_runtime_sdk=options.pop("exclude_runtime_sdk"),
        bytecode=options.pop("bytecode", False),
        container=options.pop("container"),
        one_zip=options.pop("one_zip", False),
    )


@contextmanager
def tools_of(
    options: dict[str, Any], console: Console, project: Project
) -> Iterator[Tools]:
    """Take the options of store, indexes and containers; give tools while they last."""
    # Many commands have no use for these, and they cost start-up time.
    from layerforge.containers.service import Containers  # noqa: PLC0415
    from layerforge.indexes import IndexSettings  # noqa: PLC0415
    from layerforge.tools import Tools  # noqa: PLC0415

    image = options.pop("image")
    settings = project.containers
    if image:
        settings = replace(settings, image=image)
    indexes = IndexSettings(
        index_url=options.pop("index_url"),
        extra_index_urls=options.pop("extra_index_url"),
        find_links=tuple(
            place if "://" in place else str(Path(place).absolute())
            for place in options.pop("find_links")
        ),
        no_index=options.pop("no_index"),
    )
    with (
        console.listening() as listen,
        Containers(settings, listen) as containers,
    ):
        yield Tools(
            store=store_of(options),
            indexes=indexes,
            containers=containers,
            listen=listen,
        )
