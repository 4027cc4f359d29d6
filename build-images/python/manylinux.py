"""Keep pip's tags those of the runtime, where this image's glibc is newer (PEP 600)."""

GLIBC = "@GLIBC@"


def manylinux_compatible(major: int, minor: int, _arch: str) -> "bool | None":
    """Answer no above the runtime's glibc; below it, leave the answer to pip."""
    newest = tuple(map(int, GLIBC.split(".")))
    return None if (major, minor) <= newest else False
