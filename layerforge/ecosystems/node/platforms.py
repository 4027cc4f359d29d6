"""What ``os``, ``cpu`` and ``libc`` of an npm package say about a target."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from layerforge.ecosystems.node.packagelock import Package
from layerforge.target import Arch, Target

# Every image of Lambda is Linux with glibc; only the instruction set differs.
_OS: Final = "linux"
_LIBC: Final = "glibc"

# How packages for one platform call it in their names.
_MUSL: Final = {"musl", "musleabihf"}
_PROCESSORS: Final = {
    *("32", "64", "aarch64", "amd64", "arm", "arm64", "armhf", "armv6", "armv7"),
    *("i386", "i586", "i686", "ia32", "loong64", "loongarch64", "mips", "mips64"),
    *("mips64el", "mips64le", "mipsel", "powerpc64", "powerpc64le", "ppc64"),
    *("ppc64le", "riscv64", "s390x", "x32", "x64", "x86"),
}
_OWN: Final[Mapping[Arch, frozenset[str]]] = {
    Arch.X86_64: frozenset({"amd64", "x64"}),
    Arch.ARM64: frozenset({"aarch64", "arm64"}),
}
# What says it where no other processor is named: linux-64, linux-x86_64.
_SPELLED: Final[Mapping[Arch, Sequence[set[str]]]] = {
    Arch.X86_64: ({"64"}, {"x86", "64"}),
    Arch.ARM64: ({"arm", "64"},),
}


def suits(package: Package, target: Target) -> bool:
    """Say whether a package lets itself be installed on a target, by npm's rules."""
    return (
        _allows(package.os, _OS)
        and _allows(package.cpu, target.arch.npm)
        and _allows(package.libc, _LIBC)
    )


def named_for(name: str, target: Target | None) -> bool:
    """Say whether a package of which only the name is known is for a target's platform.

    ``@esbuild/linux-x64`` is, for x86_64. Without a target any may be meant.
    """
    if target is None:
        return True
    words = _words(name)
    processors = words & _PROCESSORS
    return (
        _OS in words
        and not words & _MUSL
        and (not processors or _includes(processors, target.arch))
    )


def named_for_another(name: str, target: Target) -> bool:
    """Say whether a package's name is for a processor, and not for a target's platform.

    ``@esbuild/linux-arm64`` is, and ``linuxmusl-x64``, for x86_64.
    """
    return not named_for(name, target) and not _words(name).isdisjoint(_PROCESSORS)


def _includes(processors: set[str], arch: Arch) -> bool:
    """Say whether an architecture is among the processors that a name has."""
    return not processors.isdisjoint(_OWN[arch]) or processors in _SPELLED[arch]


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


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
