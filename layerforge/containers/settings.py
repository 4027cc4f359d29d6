"""How containers are to be run, as layerforge.toml and the command line say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from layerforge.target import Arch, Target

# What dnf, yum and apt may take for a package; nothing that a shell takes for more.
PACKAGE_NAME: Final = "[A-Za-z0-9][A-Za-z0-9.+:~_-]*"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPackages:
    """Packages of the image's own system that compiling needs, by its installer.

    ``dnf`` are the names on Amazon Linux (yum's too), ``apt`` those on Debian.
    """

    dnf: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSettings:
    """Which images, on which engines, with how much of the machine.

    ``image`` is a base image instead of Lambda's own, with ``{runtime}``,
    ``{version}``, ``{arch}`` and ``{machine}`` replaced by the target's. ``hosts`` are
    engines by architecture, as DOCKER_HOST has them; without one it is the machine's
    own. ``memory`` is in bytes and ``timeout`` in seconds, for each job; 0 means as
    much as the engine has. ``network`` is a network of the engine's instead of its
    default; ``compile_network`` leaves it on while packages are compiled.
    """

    image: str = ""
    hosts: Mapping[Arch, str] = field(default_factory=dict)
    memory: int = 0
    timeout: int = 3600
    network: str = ""
    compile_network: bool = False

    def base_of(self, target: Target, default: str) -> str:
        """Name the base image for a target; ``default`` where none is set."""
        name = self.image or default
        return (
            name.replace("{runtime}", target.runtime.id)
            .replace("{version}", target.runtime.version)
            .replace("{arch}", str(target.arch))
            .replace("{machine}", target.arch.machine)
        )
