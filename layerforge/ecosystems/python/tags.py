"""What a target's interpreter would say of itself, without asking one.

Wheel tags follow PEP 425 and PEP 600, markers PEP 508.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from packaging.markers import Environment
from packaging.tags import Tag, compatible_tags, cpython_tags

from layerforge.target import Target

# PEP 600: the names that some minor versions of glibc 2 had before.
_LEGACY_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}

# Those minor versions of glibc 2 that `uv --python-platform` has a platform for.
_UV_GLIBC = (17, 28, *range(31, 41))


@cache
def wheel_tags(target: Target) -> tuple[Tag, ...]:
    """Give the tags of wheels that load on ``target``, which is Python's, best first.

    They are those of pip in the runtime's own image, in the same order.
    """
    version = target.runtime.version_info
    interpreter = "cp" + "".join(map(str, version))
    platforms = tuple(_platforms(target))
    # The ABI is given, as packaging would otherwise look at the host's interpreter.
    own = cpython_tags(version, abis=[interpreter], platforms=platforms)
    generic = compatible_tags(version, interpreter=interpreter, platforms=platforms)
    return (*own, *generic)


def environment(target: Target) -> Environment:
    """Give the values that markers have on ``target``, which is Python's (PEP 508)."""
    runtime = target.runtime
    return {
        "implementation_name": "cpython",
        "implementation_version": runtime.full_version,
        "os_name": "posix",
        "platform_machine": target.arch.machine,
        "platform_python_implementation": "CPython",
        # Those of the kernel change under a function's feet: no marker may ask.
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": runtime.full_version,
        "python_version": runtime.version,
        "sys_platform": "linux",
    }


def uv_platform(target: Target) -> str:
    """Name the nearest platform, for uv's ``--python-platform``, that isn't older.

    uv skips some versions of glibc, that of Amazon Linux 2 among them. The next newer
    one lets in wheels that don't load, which `wheel_tags` tells; an older one would
    leave out newer releases that do load, and nothing could tell.
    """
    glibc = min(minor for minor in _UV_GLIBC if minor >= target.runtime.glibc[1])
    return f"{target.arch.machine}-manylinux_2_{glibc}"


def _platforms(target: Target) -> Iterator[str]:
    machine = target.arch.machine
    for minor in range(target.runtime.glibc[1], target.arch.oldest_manylinux - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _LEGACY_MANYLINUX:
            yield f"{_LEGACY_MANYLINUX[minor]}_{machine}"
    # Last, as pip in the images has it; packaging 26.3 begins with it instead.
    yield f"linux_{machine}"
