"""A container engine, and the jobs that it does: nothing of them is left behind."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from layerforge.containers.connection import connect, explain, foreign_errors
from layerforge.containers.endpoint import Endpoint
from layerforge.containers.leftovers import labels, sweep
from layerforge.containers.process import attend
from layerforge.containers.settings import ContainerSettings
from layerforge.containers.tars import extract, pack
from layerforge.containers.task import (
    SECRETS_FOLDER,
    EngineError,
    Outcome,
    Task,
    TaskError,
)
from layerforge.events import Failed, Finished, Listener, Started, silent
from layerforge.target import Arch

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.api.client import APIClient

# The tar's length is said first, so that the input need not be closed: TLS can't.
_UNPACK: Final = (
    'head -c "$1" | tar -x -f - -C "$0" || exit 125; shift; '
    'if [ -f "$0/environment" ]; then . "$0/environment"; fi; '
    'exec "$@" < /dev/null'
)


class Engine:
    """The first of some endpoints that answers; reached when it is needed first.

    Safe to share between threads.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints
        self._connecting = threading.Lock()
        self._connected: tuple[Endpoint, DockerClient] | None = None
        # Held while something is made, so that nothing comes after `close`.
        self._making = threading.Lock()
        self._closed = False
        self._containers: set[str] = set()
        self._volumes: set[str] = set()

    @property
    def client(self) -> DockerClient:
        """What talks to the engine; raises `EngineError` where none answers."""
        return self._connection[1]

    @property
    def address(self) -> str:
        """Where the engine is, as messages have it."""
        return str(self._connection[0])

    def close(self) -> None:
        """Remove the containers and volumes that are still there; make no more."""
        with self._making:
            self._closed = True
        for name in tuple(self._containers):
            self._remove_container(name)
        for name in tuple(self._volumes):
            self._remove_volume(name)
        if self._connected:
            self._connected[1].close()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what docker raises inside into `ImageError` and `EngineError`."""
        try:
            yield
        except foreign_errors() as error:
            endpoint = self._connected[0] if self._connected else self._endpoints[0]
            raise explain(error, endpoint) from error

    def run(
        self,
        task: Task,
        settings: ContainerSettings,
        folder: Path | None = None,
        listen: Listener = silent,
    ) -> Outcome:
        """Do a job in a container of its own, its output files into ``folder``.

        Raises `TaskError` where it fails, `EngineError` and `ImageError` where it can't
        be done, and leaves no container in any case.
        """
        listen(Started(task=task.name, doing=task.doing, done=task.done))
        try:
            with self.explained():
                outcome = self._run(task, settings, folder, listen)
        except Exception as error:
            reason = str(error).partition("\n")[0]
            listen(Failed(task=task.name, reason=reason))
            raise
        listen(Finished(task=task.name))
        return outcome

    @contextmanager
    def volume(self, arch: Arch, image: str, tar: Path) -> Iterator[str]:
        """Give the name of a volume that holds what is in a tar, while it lasts.

        The ``image`` is never run: through a container of it the volume is filled.
        """
        name = _fresh_name()
        try:
            with self.explained():
                self._fill_volume(name, arch, image, tar)
            yield name
        finally:
            self._remove_volume(name)

    @property
    def _connection(self) -> tuple[Endpoint, DockerClient]:
        with self._connecting:
            if self._connected is None:
                self._connected = connect(self._endpoints)
                with self.explained():
                    sweep(self._connected[1].api)
            return self._connected

    def _run(
        self,
        task: Task,
        settings: ContainerSettings,
        folder: Path | None,
        listen: Listener,
    ) -> Outcome:
        from docker.errors import NotFound  # noqa: PLC0415 - docker is slow to import

        api = self.client.api
        unpacked = b"".join(pack(task.secrets, mode=0o600)) if task.secrets else b""
        folders = [task.output] if task.output else []
        with self._container(**_configuration(api, task, settings, unpacked)) as name:
            api.put_archive(name, "/", pack(task.files, *folders))
            try:
                stdout = attend(
                    api, name, task, settings, secrets=unpacked, listen=listen
                )
            except NotFound as error:
                self._stay_open()
                raise TaskError(
                    f"{task} ended early: somebody removed its container"
                ) from error
            except TaskError:
                self._stay_open()
                raise
            files: tuple[Path, ...] = ()
            if task.output and folder:
                files = extract(api.get_archive(name, task.output)[0], folder)
        return Outcome(stdout=stdout, files=files)

    @contextmanager
    def _container(self, **configuration: Any) -> Iterator[str]:  # noqa: ANN401
        """Create a container, and remove it whatever happens."""
        name, api = _fresh_name(), self.client.api
        try:
            with self._making:
                self._stay_open()
                # Known by name before it is there: its making may be interrupted.
                self._containers.add(name)
                api.create_container(
                    name=name,
                    labels=labels(),
                    # Docker's own configuration may have proxies with passwords.
                    use_config_proxy=False,
                    **configuration,
                )
            yield name
        finally:
            self._remove_container(name)

    def _fill_volume(self, name: str, arch: Arch, image: str, tar: Path) -> None:
        from docker.types import Mount  # noqa: PLC0415 - docker is slow to import

        api = self.client.api
        with self._making:
            self._stay_open()
            self._volumes.add(name)
            api.create_volume(name, labels=labels())
        # Without what the image has there.
        mount = Mount("/opt", name, type="volume", no_copy=True)
        host = api.create_host_config(mounts=[mount], network_mode="none")
        with (
            self._container(
                image=image,
                platform=arch.docker,
                entrypoint=["/none"],
                host_config=host,
            ) as container,
            tar.open("rb") as stream,
        ):
            api.put_archive(container, "/opt", stream)

    def _stay_open(self) -> None:
        if self._closed:
            raise EngineError("the work was stopped")

    def _remove_container(self, name: str) -> None:
        if name in self._containers:
            with self._forgiving():
                self.client.api.remove_container(name, force=True, v=True)
                self._containers.discard(name)

    def _remove_volume(self, name: str) -> None:
        if name in self._volumes:
            with self._forgiving():
                self.client.api.remove_volume(name, force=True)
                self._volumes.discard(name)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Let a removal fail: `close` tries again, and the next process sweeps."""
        with suppress(*foreign_errors()):
            yield


def _fresh_name() -> str:
    return f"layerforge-{secrets.token_hex(6)}"


def _configuration(
    api: APIClient, task: Task, settings: ContainerSettings, unpacked: bytes
) -> dict[str, Any]:
    """Say in docker's words how a job's container is to be."""
    from docker.types import LogConfig  # noqa: PLC0415 - docker is slow to import

    command = task.command
    if unpacked:
        size = str(len(unpacked))
        command = ("sh", "-c", _UNPACK, SECRETS_FOLDER, size, *task.command)
    network = settings.network or None
    volumes: dict[str, Mapping[str, str]] = {
        name: {"bind": place, "mode": "ro"} for place, name in task.volumes.items()
    }
    host = api.create_host_config(
        binds=volumes,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode=network if task.network else "none",
        mem_limit=settings.memory or None,
        memswap_limit=settings.memory or None,
        tmpfs={SECRETS_FOLDER: "rw,nosuid,nodev,noexec,mode=0700,size=64m"}
        if unpacked
        else None,
        # What is printed comes over the connection, and is written nowhere.
        log_config=LogConfig(type="none"),
    )
    return {
        "image": task.image,
        "platform": task.arch.docker,
        # As entry point: an image's own would come before a command.
        "entrypoint": list(command),
        "environment": dict(task.environment),
        "user": "0:0",
        "stdin_open": bool(unpacked),
        "host_config": host,
    }
