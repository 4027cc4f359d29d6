"""Connecting to an engine, and what to say of it when that fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from socket import AF_UNIX, socket
from typing import TYPE_CHECKING, Final

from layerforge.containers.endpoint import CHOICES, Endpoint
from layerforge.containers.task import EngineError, ImageError
from layerforge.errors import BuildError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.api.client import APIClient
    from docker.tls import TLSConfig

_CONNECTING: Final = 10  # seconds
_ANSWERING: Final = 60


def connect(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, DockerClient]:
    """Give the first engine that answers; raise `EngineError` where none does."""
    failures: list[tuple[Endpoint, Exception]] = []
    for endpoint in endpoints:
        try:
            return endpoint, _client(endpoint)
        except foreign_errors() as error:
            failures.append((endpoint, error))
    told = [f"{endpoint}: {_reason(error)}" for endpoint, error in failures]
    denied = any(
        isinstance(cause, PermissionError)
        for _, error in failures
        for cause in _causes(error)
    )
    raise EngineError(
        f"no container engine answers at {', nor at '.join(told)}",
        remedy="You may not use it: join its group (docker), or run a rootless engine."
        if denied
        else CHOICES,
    ) from failures[-1][1]


def explain(error: Exception, endpoint: Endpoint) -> BuildError:
    """Say what one of the `foreign_errors` means, once an engine has answered."""
    from docker.errors import (  # noqa: PLC0415 - docker is slow to import
        APIError,
        DockerException,
        ImageNotFound,
    )

    if isinstance(error, DockerException):
        answer = error.explanation if isinstance(error, APIError) else None
        told = str(answer or error).strip()
        kind = ImageError if isinstance(error, ImageNotFound) else EngineError
        return kind(f"the engine at {endpoint} refused: {told}")
    return EngineError(
        f"the engine at {endpoint} went away: {_reason(error)}",
        remedy="See that it runs, and try again.",
    )


def foreign_errors() -> tuple[type[Exception], ...]:
    """Give what docker and the libraries below it raise."""
    from docker.errors import DockerException  # noqa: PLC0415 - slow to import
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - docker brings it

    # What requests raises is an OSError, too. Paramiko is there where docker found it.
    paramiko = sys.modules.get("paramiko")
    ssh = (paramiko.SSHException,) if paramiko else ()
    return (DockerException, HTTPError, OSError, *ssh)


def _client(endpoint: Endpoint) -> DockerClient:
    """Connect; docker asks for the engine's version at once."""
    import docker  # noqa: PLC0415 - slow to import, and few commands need it

    if endpoint.address.startswith("ssh:") and not find_spec("paramiko"):
        raise EngineError(
            f"the engine at {endpoint} is reached by SSH, which needs paramiko",
            remedy="Install it beside layerforge: pip install 'layerforge[ssh]'.",
        )
    if endpoint.address.startswith("unix://"):
        # docker leaves its own socket open where it can't connect.
        with socket(AF_UNIX) as trial:
            trial.connect(endpoint.address.removeprefix("unix://"))
    tls = _tls(endpoint) if endpoint.certificates else False
    client = docker.DockerClient(endpoint.address, tls=tls, timeout=_CONNECTING)
    client.api.timeout = _ANSWERING
    return client


def _tls(endpoint: Endpoint) -> TLSConfig:
    from docker.tls import TLSConfig  # noqa: PLC0415 - docker is slow to import

    class OwnAuthority(TLSConfig):
        def configure_client(self, client: APIClient) -> None:
            super().configure_client(client)
            # Else REQUESTS_CA_BUNDLE wins over the authority that is named here.
            client.trust_env = False

    certificate, key = endpoint.certificate("cert"), endpoint.certificate("key")
    return OwnAuthority(
        client_cert=(certificate, key) if certificate and key else None,
        ca_cert=endpoint.certificate("ca"),
        verify=endpoint.verify,
    )


def _reason(error: Exception) -> str:
    """Find what the system said below what libraries made of it."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return f"{cause.strerror[:1].lower()}{cause.strerror[1:]}"
    if any("timeout" in type(cause).__name__.lower() for cause in causes):
        return "it does not answer"
    return str(causes[-1]) or type(causes[-1]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and those inside it: libraries put them into arguments, too."""
    yield error
    inner = error.__cause__ or error.__context__
    for cause in (inner, getattr(error, "reason", None), *error.args):
        if isinstance(cause, BaseException):
            yield from _causes(cause)
