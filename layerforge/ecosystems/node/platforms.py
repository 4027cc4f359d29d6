"""What ``os``, ``cpu`` and ``libc`` of an npm package say about a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from layerforge.ecosystems.node.packagelock import Package
from layerforge.target import Target

# Every image of Lambda is Linux with glibc; only the instruction set differs.
_OS: Final = "linux"
_LIBC: Final = "glibc"


def suits(package: Package, target: Target) -> bool:
    """Say whether a package lets itself be installed on a target, by npm's rules."""
    return (
        _allows(package.os, _OS)
        and _allows(package.cpu, target.arch.npm)
        and _allows(package.libc, _LIBC)
    )


def wanted(package: Package) -> str:
    """Give what a package asks of its platform: ``os win32, cpu x64``."""
    fields = {"os": package.os, "cpu": package.cpu, "libc": package.libc}
    return ", ".join(f"{key} {' '.join(each)}" for key, each in fields.items() if each)


def _allows(listed: Sequence[str], value: str) -> bool:
    if not listed or tuple(listed) == ("any",):
        return True
    if f"!{value}" in listed:
        return False
    return value in listed or all(item.startswith("!") for item in listed)
