"""Images on an engine: those that stand for runtimes, and those that code is built in.

A base image is Lambda's own, or one that the user names; it is pulled where the engine
hasn't it, and a job looks into it before it is believed. A build image is made on it of
what build-images/ says, and kept until `prune_images`.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from layerforge import __version__
from layerforge.containers.engine import Engine
from layerforge.containers.facts import look_into
from layerforge.containers.image import Image
from layerforge.containers.secrets import proxies, read_bundle
from layerforge.containers.settings import (
    PACKAGE_NAME,
    ContainerSettings,
    SystemPackages,
)
from layerforge.containers.streams import ImageBuild, build, pull
from layerforge.containers.task import ImageError
from layerforge.errors import ConfigError
from layerforge.events import Listener, silent
from layerforge.indexes import environments_bundle
from layerforge.target import Target

# The first marks containers and volumes, too; the others tell images apart.
_LABEL: Final = "layerforge"
_TARGET: Final = "layerforge.target"
_BASE: Final = "layerforge.base"
_STAGE: Final = "layerforge.stage=build"
_CONTEXT: Final = (
    "Dockerfile",
    "install-packages",
    "packages.apt",
    "packages.dnf",
    "packages.yum",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptImage:
    """A build image that an engine has; ``size`` is in bytes, its base's among them."""

    id: str
    name: str
    target: str
    base: str
    size: int


def base_image(
    engine: Engine,
    target: Target,
    settings: ContainerSettings,
    listen: Listener = silent,
) -> Image:
    """Have the image that stands for a target's runtime, pulled where it isn't here.

    Raises `ImageError` where it can't be had, or is another runtime's or machine's.
    """
    name = settings.base_of(target, _lambda_image(target))
    marks = _inspect(engine, name)
    if marks is None or not _is_for(marks, target):
        marks = _pulled(engine, name, target, marks, listen)
    facts = look_into(engine, name, marks["Id"], target)
    return Image(
        id=marks["Id"],
        name=name,
        arch=target.arch,
        glibc=facts.glibc,
        interpreter=facts.interpreter,
    )


def build_image(  # noqa: PLR0913, PLR0917 - each is another part of it
    engine: Engine,
    target: Target,
    settings: ContainerSettings,
    wheels: Callable[[], Sequence[Path]],
    packages: SystemPackages,
    listen: Listener = silent,
) -> Image:
    """Have the base image with compilers and tools, made where it isn't here.

    The tools are what the language's folder of build-images/ makes, of the files that
    ``wheels`` gives, which is called only then. Raises `ImageError`, and `ConfigError`
    where ``packages`` has what is no package's name.
    """
    base = base_image(engine, target, settings, listen)
    context = _context(target)
    arguments = _arguments(base, target, packages)
    digest = _digest(base, context, arguments)
    name = f"layerforge-build:{target}-{digest[:12]}"
    marks = _inspect(engine, name)
    if marks is None:
        recipe = ImageBuild(
            name=name,
            arch=target.arch,
            context=context
            | {f"tools/wheels/{wheel.name}": wheel for wheel in wheels()}
            # Certificates are no secret, and packages may come through a proxy.
            | {"ca-bundle.pem": read_bundle(environments_bundle())},
            arguments=arguments,
            proxies=proxies(),
            labels={_LABEL: __version__, _TARGET: str(target), _BASE: base.name},
            network=settings.network,
        )
        build(engine, recipe, listen)
        marks = _inspect(engine, name)
    if marks is None:
        raise ImageError(f"{name} was built and is gone", remedy="Try again.")
    return replace(base, id=marks["Id"], name=name)


def list_images(engine: Engine) -> tuple[KeptImage, ...]:
    """Give the build images that an engine has, by name."""
    with engine.explained():
        found = engine.client.api.images(filters={"label": _TARGET})
    kept = [
        KeptImage(
            id=image["Id"],
            name=name,
            target=image["Labels"][_TARGET],
            base=image["Labels"][_BASE],
            size=image["Size"],
        )
        for image in found
        for name in image["RepoTags"] or ()
        if not name.startswith("<none>")
    ]
    return tuple(sorted(kept, key=lambda image: image.name))


def prune_images(engine: Engine) -> tuple[KeptImage, ...]:
    """Delete the build images that no container uses, and say which those were.

    What their building left goes as well; base images stay.
    """
    from docker.errors import APIError  # noqa: PLC0415 - docker is slow to import

    gone = []
    with engine.explained():
        api = engine.client.api
        for image in list_images(engine):
            try:
                api.remove_image(image.name)
            except APIError:  # a container of another process has it
                continue
            gone.append(image)
        api.prune_images(  # type: ignore[no-untyped-call]  # its stub has no types
            filters={"dangling": True, "label": _STAGE}
        )
    return tuple(gone)


def build_images_folder() -> Path:
    """Say where build-images/ is: in the installed package, or in its checkout."""
    package = Path(__file__).parents[1]
    installed = package / "data" / "build-images"
    return installed if installed.is_dir() else package.parent / "build-images"


@cache
def _table() -> dict[str, Any]:
    path = Path(__file__).parents[1] / "data" / "images.toml"
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))["images"]
    return table


def _lambda_image(target: Target) -> str:
    """Name AWS's own image of a runtime, with its digest where that is known."""
    row = _table()[target.runtime.id]
    digest = row.get("digest", {}).get(str(target.arch))
    return f"{row['name']}@{digest}" if digest else str(row["name"])


def _inspect(engine: Engine, name: str) -> dict[str, Any] | None:
    from docker.errors import ImageNotFound  # noqa: PLC0415 - docker is slow to import

    with engine.explained():
        try:
            marks: dict[str, Any] = engine.client.api.inspect_image(name)  # type: ignore[no-untyped-call]  # its stub has no types
        except ImageNotFound:
            return None
        return marks


def _platform(marks: dict[str, Any]) -> str:
    return f"{marks.get('Os') or 'linux'}/{marks['Architecture']}"


def _is_for(marks: dict[str, Any], target: Target) -> bool:
    return _platform(marks) == target.arch.docker


def _pulled(
    engine: Engine,
    name: str,
    target: Target,
    present: dict[str, Any] | None,
    listen: Listener,
) -> dict[str, Any]:
    """Pull an image, though one of that name may be ``present`` for another machine."""
    try:
        pull(engine, name, target.arch, listen)
    except ImageError as error:
        here = f"{name} is here for {_platform(present)} alone; " if present else ""
        raise ImageError(
            f"there is no image for {target}: {here}{error.message}",
            remedy="Log in to its registry, or name another image (--image, `image` "
            "in `[containers]` of layerforge.toml); scripts/base-images of "
            "layerforge's sources makes one where no registry is in reach.",
        ) from error
    marks = _inspect(engine, name)
    if marks is None:
        raise ImageError(f"{name} was pulled and is gone", remedy="Try again.")
    return marks


def _context(target: Target) -> dict[str, Path]:
    """Give the files that every build has, and the language's own below tools/."""
    folder = build_images_folder()
    own = sorted((folder / target.runtime.language).iterdir())
    return {name: folder / name for name in _CONTEXT} | {
        f"tools/{path.name}": path for path in own
    }


def _digest(
    base: Image, context: Mapping[str, Path], arguments: Mapping[str, str]
) -> str:
    """Digest all that a build image is made from, but the tools' wheels.

    Any recent ones serve, and to ask for them takes an index.
    """
    files = [hashlib.sha256(path.read_bytes()).digest() for path in context.values()]
    return hashlib.sha256(repr((base.id, arguments, files)).encode()).hexdigest()


def _arguments(base: Image, target: Target, packages: SystemPackages) -> dict[str, str]:
    return {
        "BASE": base.id,  # what a name stands for may change meanwhile
        "VERSION": target.runtime.version,
        "GLIBC": ".".join(map(str, target.runtime.glibc)),
        "DNF_PACKAGES": _names(packages.dnf),
        "APT_PACKAGES": _names(packages.apt),
    }


def _names(packages: Sequence[str]) -> str:
    """Join names of packages, none of which an installer would take for an option."""
    for name in packages:
        if not re.fullmatch(PACKAGE_NAME, name):
            raise ConfigError(
                f"{name!r} is no name of a system package",
                remedy="`system-packages` has names, each by itself.",
            )
    return " ".join(packages)
