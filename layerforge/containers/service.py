"""The machine's engines at work: images had, jobs run, nothing left behind.

What speaks to an engine is imported when there is something to say: most builds have
nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from layerforge.containers.image import Image
from layerforge.containers.settings import ContainerSettings, SystemPackages
from layerforge.containers.task import Outcome, Task
from layerforge.events import Listener, silent
from layerforge.target import Arch, Target

if TYPE_CHECKING:
    from layerforge.containers.endpoint import Endpoint
    from layerforge.containers.engine import Engine


class Containers:
    """Engines by architecture, asked for when they are needed first.

    Safe to share between threads. Leaving it as a context removes every container and
    volume that is still there, and closes the engines.
    """

    def __init__(
        self, settings: ContainerSettings | None = None, listen: Listener = silent
    ) -> None:
        self.settings = settings or ContainerSettings()
        self._listen = listen
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._engines: dict[tuple[Endpoint, ...], Engine] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what is left of jobs that were interrupted, and let engines go."""
        with self._lock:
            engines = tuple(self._engines.values())
        for engine in engines:
            engine.close()

    def engine(self, arch: Arch) -> Engine:
        """Give the engine for an architecture; raises `EngineError`, or does later."""
        from layerforge.containers.endpoint import (  # noqa: PLC0415 - as above
            find_endpoints,
        )
        from layerforge.containers.engine import Engine  # noqa: PLC0415 - as above

        endpoints = find_endpoints(self.settings.hosts.get(arch, ""))
        with self._lock:
            return self._engines.setdefault(endpoints, Engine(endpoints))

    def base_image(self, target: Target) -> Image:
        """Have the image that stands for a runtime, pulled where it isn't here.

        Raises `EngineError`, `ImageError`.
        """
        from layerforge.containers import images  # noqa: PLC0415 - as above

        engine = self.engine(target.arch)
        with self._making:  # once, and not by each job that wants it
            return images.base_image(engine, target, self.settings, self._listen)

    def build_image(
        self,
        target: Target,
        wheels: Callable[[], Sequence[Path]],
        packages: SystemPackages,
    ) -> Image:
        """Have the base image with compilers and tools, made where it isn't here.

        ``wheels`` gives the files that its tools are made of, and is called only then.
        """
        from layerforge.containers import images  # noqa: PLC0415 - as above

        engine = self.engine(target.arch)
        with self._making:
            return images.build_image(
                engine, target, self.settings, wheels, packages, self._listen
            )

    def run(self, task: Task, folder: Path | None = None) -> Outcome:
        """Do a job, its output files into ``folder``; raises `TaskError`."""
        return self.engine(task.arch).run(task, self.settings, folder, self._listen)

    @contextmanager
    def volume(self, arch: Arch, image: str, tar: Path) -> Iterator[str]:
        """Give the name of a volume that holds what is in a tar, while it lasts."""
        with self.engine(arch).volume(arch, image, tar) as name:
            yield name
