"""The layouts of zip archives, for reader and writer alike.

Names and numbers are those of PKWARE's APPNOTE.TXT 6.3; all integers little-endian.
"""

from __future__ import annotations

import struct
from typing import Final

# signature, version needed, flags, method, time, date, crc32, compressed bytes, size,
# lengths of name and extra
LOCAL_HEADER: Final = struct.Struct("<4s5H3I2H")
# signature, version made by, version needed, flags, method, time, date, crc32,
# compressed bytes, size, lengths of name, extra and comment, disk, internal and
# external attributes, offset of the local header
DIRECTORY_HEADER: Final = struct.Struct("<4s6H3I5H2I")
# signature, this disk, the directory's disk, entries on this disk, entries, bytes and
# offset of the directory, length of the comment
END: Final = struct.Struct("<4s4H2IH")
# signature, bytes that follow this field, versions, then as in END
ZIP64_END: Final = struct.Struct("<4sQ2H2I4Q")
# signature, disk of ZIP64_END, its offset, number of disks
ZIP64_LOCATOR: Final = struct.Struct("<4sIQI")
EXTRA_HEADER: Final = struct.Struct("<2H")  # id, bytes that follow
# crc32, compressed bytes, size, as lengths of 32 or 64 bits; a signature may precede
DESCRIPTOR: Final = struct.Struct("<3I")
ZIP64_DESCRIPTOR: Final = struct.Struct("<I2Q")

LOCAL_SIGNATURE: Final = b"PK\x03\x04"
DIRECTORY_SIGNATURE: Final = b"PK\x01\x02"
END_SIGNATURE: Final = b"PK\x05\x06"
ZIP64_END_SIGNATURE: Final = b"PK\x06\x06"
ZIP64_LOCATOR_SIGNATURE: Final = b"PK\x06\x07"
DESCRIPTOR_SIGNATURE: Final = b"PK\x07\x08"

FLAG_ENCRYPTED: Final = 1 << 0
FLAG_DEFLATE_OPTIONS: Final = 1 << 1 | 1 << 2
FLAG_DESCRIPTOR: Final = 1 << 3
FLAG_UTF8: Final = 1 << 11
KNOWN_FLAGS: Final = FLAG_DEFLATE_OPTIONS | FLAG_DESCRIPTOR | FLAG_UTF8

UNIX: Final = 3  # the system of a "version made by" whose attributes hold a mode
EXTRA_ZIP64: Final = 0x0001
EXTRA_UNICODE_PATH: Final = 0x7075  # Info-ZIP's second name for an entry
MAX_16: Final = 0xFFFF  # in END: see ZIP64_END for the number
MAX_32: Final = 0xFFFFFFFF
