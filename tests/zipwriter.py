"""Zip archives byte by byte, for tests: every field can be made to lie."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

from layerforge.archives.zipformat import (
    DIRECTORY_HEADER,
    DIRECTORY_SIGNATURE,
    END,
    END_SIGNATURE,
    EXTRA_HEADER,
    LOCAL_HEADER,
    LOCAL_SIGNATURE,
    ZIP64_END,
    ZIP64_END_SIGNATURE,
    ZIP64_LOCATOR,
    ZIP64_LOCATOR_SIGNATURE,
)

UNIX_MADE = 3 << 8 | 20
LINK, DEVICE, FOLDER, FILE = 0o120777, 0o060644, 0o040755, 0o100644


def deflated(content: bytes) -> bytes:
    return zlib.compress(content, wbits=-15)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A member; ``local`` and ``directory`` replace what its two headers say."""

    name: bytes = b"a.txt"
    content: bytes = b"aaaaaaaaaaaaaaaaaaaaaaaa\n"
    data: bytes | None = None
    mode: int = 0
    local: dict[str, Any] = field(default_factory=dict)
    directory: dict[str, Any] = field(default_factory=dict)
    before: bytes = b""
    behind: bytes = b""

    def truth(self) -> dict[str, Any]:
        data = deflated(self.content) if self.data is None else self.data
        return {
            "flags": 0,
            "method": 8,
            "crc32": zlib.crc32(self.content),
            "compressed": len(data),
            "size": len(self.content),
            "name": self.name,
            "extra": b"",
            "made_by": UNIX_MADE,
            "disk": 0,
            "comment": b"",
            "data": data,
        }

    def local_bytes(self) -> bytes:
        it = self.truth() | self.local
        header = LOCAL_HEADER.pack(
            it.get("signature", LOCAL_SIGNATURE),
            20,
            it["flags"],
            it["method"],
            0,
            33,
            it["crc32"],
            it["compressed"],
            it["size"],
            it.get("name_length", len(it["name"])),
            len(it["extra"]),
        )
        parts = (self.before, header, it["name"], it["extra"], it["data"], self.behind)
        return b"".join(parts)

    def directory_bytes(self, offset: int) -> bytes:
        it = self.truth() | {"offset": offset} | self.directory
        header = DIRECTORY_HEADER.pack(
            it.get("signature", DIRECTORY_SIGNATURE),
            it["made_by"],
            20,
            it["flags"],
            it["method"],
            0,
            33,
            it["crc32"],
            it["compressed"],
            it["size"],
            len(it["name"]),
            it.get("extra_length", len(it["extra"])),
            len(it["comment"]),
            it["disk"],
            0,
            self.mode << 16,
            it["offset"],
        )
        return b"".join((header, it["name"], it["extra"], it["comment"]))


def zipped(
    *entries: Entry,
    end: dict[str, int] | None = None,
    zip64: dict[str, Any] | None = None,
    reverse: bool = False,
) -> bytes:
    body, headers = b"", []
    for entry in entries:
        headers.append(entry.directory_bytes(len(body) + len(entry.before)))
        body += entry.local_bytes()
    directory = b"".join(reversed(headers) if reverse else headers)
    numbers = {
        "disk": 0,
        "directory_disk": 0,
        "here": len(entries),
        "count": len(entries),
        "size": len(directory),
        "start": len(body),
    }
    records = b""
    if zip64 is not None:
        records = zip64_records(numbers, len(body) + len(directory), zip64)
    numbers = numbers | (end or {})
    comment = numbers.pop("comment", 0)
    return b"".join(
        (
            body,
            directory,
            records,
            END.pack(END_SIGNATURE, *numbers.values(), comment),
        )
    )


def zip64_records(numbers: dict[str, int], place: int, lies: dict[str, Any]) -> bytes:
    wide = numbers | {name: lies[name] for name in numbers if name in lies}
    record = ZIP64_END.pack(
        lies.get("signature", ZIP64_END_SIGNATURE),
        lies.get("length", ZIP64_END.size - 12),
        45,
        45,
        *wide.values(),
    )
    locator = ZIP64_LOCATOR.pack(
        ZIP64_LOCATOR_SIGNATURE, 0, lies.get("offset", place), lies.get("disks", 1)
    )
    return record + locator


def extra(kind: int, value: bytes) -> bytes:
    return EXTRA_HEADER.pack(kind, len(value)) + value


def wide(*numbers: int) -> bytes:
    return extra(1, struct.pack(f"<{len(numbers)}Q", *numbers))


ONE = Entry()
TWO = Entry(name=b"b.txt", content=b"bbbb")
SUMS = (zlib.crc32(ONE.content), len(deflated(ONE.content)), len(ONE.content))
DEFERRED = {"flags": 8, "crc32": 0, "compressed": 0, "size": 0}
NO_END = "it is no zip archive, is cut short, or has bytes behind its end"


def named(name: str) -> bytes:
    return zipped(Entry(name=name.encode(), local={"flags": 0}))


def both(**said: Any) -> bytes:  # noqa: ANN401  any field of the headers
    return zipped(Entry(local=said, directory=said))
