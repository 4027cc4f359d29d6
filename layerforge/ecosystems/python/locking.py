"""How a Python layer's lock is made: read, resolve, learn, audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement

from layerforge.bases import Base
from layerforge.containers.image import Image
from layerforge.containers.secrets import out_of_reach
from layerforge.containers.task import EngineError
from layerforge.ecosystems.python.artifacts import (
    find_indexes,
    open_client,
    sized_pins,
)
from layerforge.ecosystems.python.foreign import (
    export_requirements,
    read_foreign_pylock,
)
from layerforge.ecosystems.python.inputs import inputs_digest, provided_packages
from layerforge.ecosystems.python.packs import learn_packs
from layerforge.ecosystems.python.pip_tools import PipTools
from layerforge.ecosystems.python.requirements import Asked
from layerforge.ecosystems.python.resolve import NoWheel, Resolver, hold_to_hashes
from layerforge.ecosystems.python.sdist import Compiler
from layerforge.ecosystems.python.toolchain import have_build_image
from layerforge.ecosystems.python.uv import Uv
from layerforge.events import Noted
from layerforge.indexes import IndexSettings
from layerforge.lock import Lock, Pin
from layerforge.pack import Pack
from layerforge.spec import LayerSpec
from layerforge.target import Target
from layerforge.tools import Tools


def make_lock(
    spec: LayerSpec,
    target: Target,
    tools: Tools,
    *,
    preferred: Sequence[Pin],
    bases: Sequence[Base] = (),
) -> tuple[Lock, Mapping[str, Pack]]:
    """Resolve a layer for a target, and give what is known of each pin's wheel."""
    asked = export_requirements(spec.requirements)
    indexes = find_indexes(tools, asked.settings)
    file = spec.requirements.file
    folder = file.parent.resolve() if file else Path.cwd()
    uv = Uv(
        indexes=indexes,
        cache=tools.store.root / "uv",
        folder=folder,
        listen=tools.listen,
    )
    provided = provided_packages(spec, target)
    with open_client(indexes) as client:
        resolver = Resolver(uv=uv, client=client, target=target, provided=provided)
        document = read_foreign_pylock(spec.requirements, uv)
        if document is None:
            search = _Search(
                spec=spec, asked=asked, resolver=resolver, indexes=indexes, tools=tools
            )
            held = {pin.name: pin for base in bases for pin in base.lock.pins}
            others = (pin for pin in preferred if pin.name not in held)
            pins = search.pins([*held.values(), *others])
            wanted = asked.parsed
        else:
            pins = resolver.from_pylock(document, folder)
            wanted = tuple(Requirement(f"{p.name}=={p.version}") for p in pins)
        compiler = Compiler(
            target=target,
            packages=spec.system_packages,
            indexes=indexes,
            client=client,
            tools=tools,
        )
        packs = learn_packs(pins, compiler)
    pins = tuple(replace(pin, version=packs[pin.name].version) for pin in pins)
    if document is None:
        # pip-compile can't leave out what only the runtime's packages need.
        pins = resolver.reached(pins, packs, wanted)
    resolution = resolver.audited(pins, packs, wanted)
    lock = Lock(
        layer=spec.name,
        target=str(target),
        inputs=inputs_digest(spec, target),
        roots=resolution.roots,
        pins=resolution.pins,
        provided=provided,
    )
    return lock, packs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """Where versions are found: here, or in the target's own runtime."""

    spec: LayerSpec
    asked: Asked
    resolver: Resolver
    indexes: IndexSettings
    tools: Tools

    def pins(self, preferred: Sequence[Pin]) -> tuple[Pin, ...]:
        """Resolve here if that can be, and in a container where it must be."""
        compiled = self.asked.compiled
        if self.spec.container or compiled:
            try:
                image = self._image()
            except EngineError as error:
                raise EngineError(
                    f"{self.resolver.target} is to be resolved in a container, and "
                    f"{error.message}",
                    remedy=error.remedy,
                ) from error
            return self._in_container(image, preferred, compiled)
        try:
            return self.resolver.from_requirements(self.asked, preferred)
        except NoWheel as wheelless:
            name, found = wheelless.name, wheelless
        try:
            image = self._image()
        except EngineError as error:
            raise _needs_engine(found, error) from error
        message = f"{name} has no wheel for {self.resolver.target}: it is compiled"
        self.tools.listen(Noted(message=message))
        return self._in_container(image, preferred, frozenset({name}))

    def _image(self) -> Image:
        target, packages = self.resolver.target, self.spec.system_packages
        return have_build_image(target, packages, self.tools)

    def _in_container(
        self, image: Image, preferred: Sequence[Pin], sources: frozenset[str]
    ) -> tuple[Pin, ...]:
        network = self.tools.containers.settings.network
        for message in out_of_reach(self.indexes, network=network):
            self.tools.listen(Noted(message=message, warning=True))
        pip_tools = PipTools(
            image=image,
            target=self.resolver.target,
            indexes=self.indexes,
            tools=self.tools,
        )
        document = pip_tools.compile(self.asked, preferred=preferred, sources=sources)
        pins = self.resolver.from_pylock(document, Path("/"))
        hold_to_hashes(pins, self.asked.hashes)
        return sized_pins(pins, self.resolver.client)


def _needs_engine(wheelless: NoWheel, error: EngineError) -> NoWheel:
    return NoWheel(
        f"{wheelless.message}\n  to compile it, a Docker engine is needed: "
        f"{error.message}",
        remedy=f"{wheelless.remedy} Or have it compiled: {error.remedy}",
        name=wheelless.name,
    )
