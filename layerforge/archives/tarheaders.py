"""A tar's headers, read strictly: what they say of an entry, before its contents.

Follows POSIX.1-2017's ustar and pax formats, and GNU tar's long names. Where readers
differ, and npm's (node-tar) is not the only one that a package meets, it is refused.
All of it is pure.
"""

from __future__ import annotations

import posixpath
import re
import struct
from dataclasses import dataclass
from typing import Final

from layerforge.archives.zipdirectory import (
    BARRED_NAMES,
    MAX_NAME,
    MAX_NAME_PART,
    Refused,
    naming_member,
    quoted,
)

BLOCK: Final = 512  # bytes; headers and contents begin at multiples of it

# name, mode, size, checksum, type, target, magic and version, prefix
_HEADER: Final = struct.Struct("100s8s16x12s12x8sc100s8s80x155s12x")
_CHECKSUM: Final = slice(148, 156)
_MAGIC: Final = 257  # where what the first format hasn't begins
_USTAR: Final = b"ustar\x0000"
_GNU: Final = b"ustar  \0"
_LARGE: Final = 0x80  # the first byte of a number that is binary, not octal

_KINDS: Final = {b"\0": "0", b"7": "0"}  # old and contiguous files are files
_FILE, _HARD_LINK, _LINK, _FOLDER = "0", "1", "2", "5"
_PAX, _PAX_OF_ALL, _GNU_NAME, _GNU_TARGET = "x", "g", "L", "K"
_EXTENSIONS: Final = frozenset((_PAX, _PAX_OF_ALL, _GNU_NAME, _GNU_TARGET))
_SPECIAL: Final = {"3": "a device", "4": "a device", "6": "a fifo", "S": "sparse"}

_WORDS: Final = ("path", "linkpath", "size")
_RECORD: Final = re.compile(rb"([1-9][0-9]{0,6}) ([^=\n]+)=")
_HIDDEN_RECORD: Final = re.compile(rb"\n[0-9]+ (path|linkpath|size)=")
_MALFORMED: Final = "its extended header is malformed"

_NAMES: Final = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        *BARRED_NAMES,
        (r"(^|/)\.\.(/|$)", "the name leaves the package"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One header block: ``size`` bytes follow it; ``kind`` is its type flag.

    ``target`` is what a link points at. ``mode`` has a file's permissions.
    """

    name: bytes
    kind: str
    mode: int
    size: int
    target: bytes

    @property
    def extends(self) -> bool:
        """Tell a header whose contents speak of the entry behind it."""
        return self.kind in _EXTENSIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An entry of a tar, by its headers."""

    name: str
    kind: str
    mode: int
    size: int

    @property
    def is_file(self) -> bool:
        """Tell what has contents."""
        return self.kind == _FILE

    @property
    def is_folder(self) -> bool:
        """Tell a folder."""
        return self.kind == _FOLDER

    @property
    def path(self) -> str:
        """The name without its first part, as npm strips it, whatever it is.

        What does not change a path goes as well: pnpm packs ``package/./index.js``.
        """
        path = posixpath.normpath(self.name.partition("/")[2].lstrip("/"))
        return "" if path == "." else path


def read_header(block: bytes) -> Header:
    """Read a block that is not all zeros. Raises `Refused`."""
    fields = _HEADER.unpack(block)
    name, mode, size, checksum, flag, target, magic, prefix = fields
    expected = sum(block) - sum(block[_CHECKSUM]) + len(checksum) * ord(" ")
    if _number(checksum) != expected:
        raise Refused("a header does not have its checksum")
    if magic not in (_USTAR, _GNU) and any(block[_MAGIC:]):
        raise Refused("a header is of no known format")
    prefix = _text(prefix) if magic == _USTAR else b""
    whole = prefix + b"/" * bool(prefix) + _text(name)
    return Header(
        name=whole,
        kind=_KINDS.get(flag, flag.decode("latin-1")),
        mode=_number(mode),
        size=_number(size),
        target=_text(target),
    )


def read_extension(header: Header, body: bytes) -> dict[str, bytes]:
    """Give what an extending header's contents say: ``path``, ``linkpath``, ``size``.

    Other words, such as of times and owners, are passed over. Raises `Refused`.
    """
    if header.kind == _GNU_NAME:
        return {"path": body.rstrip(b"\0")}
    if header.kind == _GNU_TARGET:
        return {"linkpath": body.rstrip(b"\0")}
    records = _read_records(body)
    said = {word: value for word, value in records.items() if word in _WORDS}
    if header.kind == _PAX_OF_ALL and said:
        raise Refused("a global header speaks of the names or sizes of all entries")
    if any(word.startswith("GNU.sparse") for word in records):
        raise Refused("a sparse file is in it")
    return said


def _read_records(body: bytes) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    at = 0
    while at < len(body):
        match = _RECORD.match(body, at)
        if match is None:
            raise Refused(_MALFORMED)
        at += int(match[1])
        value, word = body[match.end() : at], match[2].decode("latin-1")
        # npm's reader takes each line for a record.
        whole = at <= len(body) and value.endswith(b"\n")
        if not whole or word in records or _HIDDEN_RECORD.search(value):
            raise Refused(_MALFORMED)
        records[word] = value[:-1]
    return records


def describe(header: Header, said: dict[str, bytes]) -> Member:
    """Make an entry of its header and what extended it. Raises `Refused`."""
    name = _decoded(said.get("path", header.name))
    with naming_member(name):
        kind = header.kind
        if kind == _FILE and name.endswith("/"):  # as the first format has folders
            kind = _FOLDER
        if kind in _SPECIAL:
            raise Refused(f"it is {_SPECIAL[kind]}")
        if kind not in (_FILE, _HARD_LINK, _LINK, _FOLDER):
            raise Refused(f"it is of an unknown type, {kind!a}")
        is_link = kind in (_HARD_LINK, _LINK)
        target = _decoded(said.get("linkpath", header.target))
        if bool(target) != is_link or (is_link and header.size):
            raise Refused("its type, its target and its size do not go together")
        if said.get("size", b"%d" % header.size) != b"%d" % header.size:
            raise Refused("its headers disagree on its size")
        member = Member(
            name=name,
            kind=kind,
            mode=header.mode,
            # Some writers put there what a disk needs for a folder; nothing follows.
            size=0 if kind == _FOLDER else header.size,
        )
        _refuse_names(member.name)
        if is_link:
            _refuse_ways_out(member, target)
        return member


def _refuse_names(name: str) -> None:
    for pattern, reason in _NAMES:
        if pattern.search(name):
            raise Refused(reason)
    encoded = name.encode()
    if len(encoded) > MAX_NAME:
        raise Refused(f"the name is longer than {MAX_NAME} bytes")
    if max(map(len, encoded.split(b"/"))) > MAX_NAME_PART:
        raise Refused(f"a part of the name is longer than {MAX_NAME_PART} bytes")


def _refuse_ways_out(member: Member, target: str) -> None:
    """Refuse a target outside of the package; a hard link's begins like a name."""
    if member.kind == _HARD_LINK:
        landing = target.partition("/")[2]
    else:
        landing = posixpath.join(posixpath.dirname(member.path), target)
    if target.startswith("/") or f"{posixpath.normpath(landing)}/".startswith("../"):
        raise Refused(f"it is a link out of the package, to {quoted(target)}")


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        shown = quoted(name.decode("ascii", "backslashreplace"))
        raise Refused(f"{shown}: the name is not UTF-8") from None


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    if field[0] == _LARGE:
        return int.from_bytes(field[1:], "big")
    digits = _text(field).strip(b" ")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise Refused("a header holds a number that is none") from None
