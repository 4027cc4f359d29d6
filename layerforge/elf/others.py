"""Native code of other systems than Linux, known by its first bytes as loaders know it.

Mach-O is told as in Apple's <mach-o/loader.h> and <mach-o/fat.h>, PE as in Microsoft's
page on the PE format (https://learn.microsoft.com/windows/win32/debug/pe-format).
"""

from __future__ import annotations

from typing import Final

FOREIGN_HEAD: Final = 1024  # bytes that tell; the signature of PE stands among them

_MACH_O: Final = frozenset(
    bytes.fromhex(magic) for magic in ("feedface", "feedfacf", "cefaedfe", "cffaedfe")
)
_FAT: Final = frozenset(map(bytes.fromhex, ("cafebabe", "cafebabf")))
# Java's class files begin like fat ones: what counts architectures there is the
# version of the class file here, and that has been 45 or more from the beginning.
_FEWEST_JAVA: Final = 45
_PE_AT: Final = 0x3C  # where the offset of the signature stands
_PE: Final = b"PE\0\0"


def foreign_format(head: bytes | bytearray) -> str:
    """Name the format of native code that Linux doesn't load: Mach-O, PE or ''.

    ``head`` are the first `FOREIGN_HEAD` bytes of a file, or more, or all of it.
    """
    magic = bytes(head[:4])
    if magic in _MACH_O:
        return "Mach-O"
    if magic in _FAT and 0 < int.from_bytes(head[4:8], "big") < _FEWEST_JAVA:
        return "Mach-O"
    if magic[:2] == b"MZ":
        at = int.from_bytes(head[_PE_AT : _PE_AT + 4], "little")
        if head[at : at + len(_PE)] == _PE:
            return "PE"
    return ""
