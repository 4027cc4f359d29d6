"""Keep pip's tags those of the runtime, where this image's glibc is newer (PEP 600)."""

GLIBC = tuple(map(int, "@GLIBC@".split(".")))


def manylinux_compatible(major: int, minor: int, _arch: str) -> "bool | None":
    """Answer no above the runtime's glibc; below it, leave the answer to pip."""
    return None if (major, minor) <= GLIBC else False
