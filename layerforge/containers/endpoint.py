"""Where the machine's container engine is, by the rules of Docker's own command line.

What is named wins over what is found: ``[docker.hosts]``, then DOCKER_HOST, then the
context (DOCKER_CONTEXT, or the current one of ~/.docker/config.json), then the sockets
where Docker, Colima and Podman listen.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from layerforge.containers.task import EngineError

CHOICES: Final = (
    "Start Docker or Podman, or name an engine: DOCKER_HOST, or `[docker.hosts]` in "
    "layerforge.toml."
)
_CERTIFICATES: Final = ("ca.pem", "cert.pem", "key.pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An engine's address, and by what it was named ('' where it was found).

    With TLS, ``certificates`` is a folder that may have ca.pem, and cert.pem with
    key.pem; without ``verify`` any server is believed.
    """

    address: str
    origin: str = ""
    certificates: Path | None = None
    verify: bool = True

    def __str__(self) -> str:
        return f"{self.address} ({self.origin})" if self.origin else self.address

    def certificate(self, name: str) -> str | None:
        """Give the path of one of the three files, where there is one."""
        path = self.certificates / f"{name}.pem" if self.certificates else None
        return str(path) if path and path.is_file() else None


def find_endpoints(
    host: str = "", environ: Mapping[str, str] = os.environ
) -> tuple[Endpoint, ...]:
    """Give the engines to try, in order; ``host`` is what the settings name.

    Raises `EngineError` where there is none, or a context can't be read.
    """
    if host:
        return (_named(host, "[docker.hosts]", environ),)
    if environ.get("DOCKER_HOST"):
        return (_named(environ["DOCKER_HOST"], "DOCKER_HOST", environ),)
    context = environ.get("DOCKER_CONTEXT") or _current_context(environ)
    if context and context != "default":
        return (_context(context, environ),)
    sockets = _sockets(environ)
    found = tuple(path for path in sockets if path.is_socket())
    if not found:
        raise EngineError(
            f"there is no container engine: none of {', '.join(map(str, sockets))} "
            "is a socket",
            remedy=CHOICES,
        )
    return tuple(Endpoint(address=f"unix://{path}") for path in found)


def _named(address: str, origin: str, environ: Mapping[str, str]) -> Endpoint:
    folder, verify = environ.get("DOCKER_CERT_PATH"), environ.get("DOCKER_TLS_VERIFY")
    if not (folder or verify) or not address.startswith(("tcp:", "https:")):
        return Endpoint(address=address, origin=origin)
    certificates = Path(folder) if folder else _home(environ) / ".docker"
    return Endpoint(
        address=address,
        origin=origin,
        certificates=certificates,
        verify=bool(verify),
    )


def _current_context(environ: Mapping[str, str]) -> str:
    path = _configuration(environ) / "config.json"
    if not path.is_file():
        return ""
    return str(_read(path).get("currentContext", ""))


def _context(name: str, environ: Mapping[str, str]) -> Endpoint:
    # Docker files a context under the hash of its name.
    number = hashlib.sha256(name.encode()).hexdigest()
    contexts = _configuration(environ) / "contexts"
    path = contexts / "meta" / number / "meta.json"
    if not path.is_file():
        raise EngineError(
            f"there is no Docker context {name!r}: {path} is missing",
            remedy="`docker context ls` lists them; DOCKER_CONTEXT or DOCKER_HOST "
            "name another engine.",
        )
    try:
        endpoint = _read(path)["Endpoints"]["docker"]
        address, unverified = endpoint["Host"], endpoint.get("SkipTLSVerify", False)
    except (KeyError, TypeError, AttributeError) as error:
        raise EngineError(
            f"the Docker context {name!r} names no engine: {path}", remedy=CHOICES
        ) from error
    folder = contexts / "tls" / number / "docker"
    secured = any((folder / certificate).is_file() for certificate in _CERTIFICATES)
    return Endpoint(
        address=address,
        origin=f"context {name}",
        certificates=folder if secured else None,
        verify=not unverified,
    )


def _sockets(environ: Mapping[str, str]) -> list[Path]:
    home = _home(environ)
    runtime = environ.get("XDG_RUNTIME_DIR")
    own = Path(runtime) if runtime else Path(f"/run/user/{os.getuid()}")
    return [
        Path("/var/run/docker.sock"),
        own / "docker.sock",
        home / ".docker/run/docker.sock",
        home / ".colima/default/docker.sock",
        own / "podman/podman.sock",
        Path("/run/podman/podman.sock"),
    ]


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())


def _configuration(environ: Mapping[str, str]) -> Path:
    named = environ.get("DOCKER_CONFIG")
    return Path(named) if named else _home(environ) / ".docker"


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EngineError(
            f"cannot read {path}: {error}", remedy="Mend it, or set DOCKER_HOST."
        ) from error
    return document if isinstance(document, dict) else {}
