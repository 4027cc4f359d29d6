"""layerforge images."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from layerforge.cli.options import (
    console_of,
    console_options,
    container_options,
    index_options,
    store_options,
    tools_of,
)
from layerforge.containers.engine import Engine
from layerforge.containers.image import Image
from layerforge.containers.images import KeptImage, list_images, prune_images
from layerforge.containers.service import Containers
from layerforge.containers.settings import SystemPackages
from layerforge.ecosystems import ecosystem_of
from layerforge.project import find_project
from layerforge.reports.columns import bytes_of, columns, counted
from layerforge.target import Arch, Target, find_arch, find_runtime


@click.group("images", epilog="Try: layerforge images list")
def command() -> None:
    """Make, see and delete the images that code is compiled in."""


@command.command("build", epilog="Try: layerforge images build python3.13")
@click.argument("runtimes", nargs=-1, required=True, metavar="RUNTIME...")
@click.option("--arch", multiple=True, help="x86_64 or arm64.")
@container_options
@index_options
@store_options
@console_options
def build(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Make build images, where they aren't here.

    For the project's architectures, or else for this machine's own.
    """
    console = console_of(options)
    project = find_project(Path.cwd())
    runtimes = tuple(map(find_runtime, options.pop("runtimes")))
    named = tuple(map(find_arch, options.pop("arch")))
    targets = [
        Target(runtime=runtime, arch=arch)
        for runtime in runtimes
        for arch in named or project.architectures or (_own_arch(),)
    ]
    with tools_of(options, console, project) as tools:
        images = [
            ecosystem_of(target).build_image(target, SystemPackages(), tools)
            for target in targets
        ]
    console.result(
        "\n".join(columns([_row(image) for image in images])),
        {"format": 1, "images": [_document(image) for image in images]},
    )


@command.command("list", epilog="Try: layerforge images list --json")
@console_options
def list_(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """List the build images that the engine has."""
    console = console_of(options)
    images = _on_every_engine(list_images)
    rows = [(kept.name, kept.base, f"{bytes_of(kept.size)} bytes") for kept in images]
    console.result(
        "\n".join(columns(rows, right="<<>")),
        {"format": 1, "images": [asdict(image) for image in images]},
    )


@command.command("prune", epilog="Try: layerforge images prune")
@console_options
def prune(**options: Any) -> None:  # noqa: ANN401 - as click hands them over
    """Delete the build images; base images stay."""
    console = console_of(options)
    images = _on_every_engine(prune_images)
    console.result(
        f"{counted(len(images), 'image')} deleted",
        {"format": 1, "deleted": [asdict(image) for image in images]},
    )


def _own_arch() -> Arch:
    machine = platform.machine()
    # macOS says arm64 where Linux says aarch64.
    own = (arch for arch in Arch if machine in {arch.machine, str(arch)})
    return next(own, Arch.X86_64)


def _row(image: Image) -> tuple[str, ...]:
    return (image.name, image.interpreter, f"glibc {_glibc(image)}")


def _document(image: Image) -> dict[str, Any]:
    return {
        "id": image.id,
        "name": image.name,
        "architecture": str(image.arch),
        "glibc": _glibc(image),
        "interpreter": image.interpreter,
    }


def _glibc(image: Image) -> str:
    return ".".join(map(str, image.glibc))


def _on_every_engine(
    act: Callable[[Engine], tuple[KeptImage, ...]],
) -> list[KeptImage]:
    """Do it on the machine's engine, and on those that architectures have."""
    settings = find_project(Path.cwd()).containers
    with Containers(settings) as containers:
        engines = dict.fromkeys(containers.engine(arch) for arch in Arch)
        return [image for engine in engines for image in act(engine)]
