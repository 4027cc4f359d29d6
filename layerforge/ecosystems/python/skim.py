"""A remote wheel looked at from afar: its directory, METADATA and libraries' headers.

So little of it is read that a layer can be weighed before anything is downloaded.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from layerforge.archives.zipdirectory import Directory, Member, NeedMore, read_directory
from layerforge.archives.zipformat import LOCAL_HEADER
from layerforge.client import Client, RangeUnsupported
from layerforge.ecosystems.python.agreement import parse_metadata
from layerforge.ecosystems.python.wheel import (
    LONGEST_DOCUMENT,
    REMEDY,
    ROOT,
    SCRIPTS,
    SHEBANG,
    lay_out,
)
from layerforge.elf.reader import foretell_facts
from layerforge.errors import ArchiveError
from layerforge.lock import Pin
from layerforge.pack import Pack
from layerforge.tree import DEFLATED, Content, FileEntry

_TAIL: Final = 64 << 10  # bytes; holds the whole directory of most wheels
_EXTRA: Final = 1024  # bytes; extra fields have a length that only the header tells

# A library's program headers stand in its first KiB; deflated, it may begin with codes.
_HEAD: Final = 4 << 10
# Of these a file is looked at: no smaller one has a tail that matters, and those that
# are called otherwise are seldom libraries or programs.
_SMALLEST: Final = 16 << 10
_BINARY_NAME: Final = re.compile(r"(?:.*\.so|[^.]+)(?:\.[0-9.]+)?")
# Reading so much in between takes no longer than asking once more.
_GAP: Final = 64 << 10
_LONGEST_PART: Final = 1 << 20
_MOST_READ: Final = 32 << 20  # the largest wheels take a tenth


def skim_wheel(pin: Pin, client: Client, readers: Executor) -> Pack:
    """Read just a remote wheel's directory, METADATA and the heads of its libraries.

    The pack is a prediction: sizes are what the directory says, and what trimming
    leaves of libraries follows from their program headers. That takes two or three
    requests, and those of ``readers`` for libraries. Raises `RangeUnsupported`, other
    `FetchError`s, and `ArchiveError`.
    """
    remote = _Remote(url=pin.url, size=pin.size, client=client)
    directory, tail = _read_end(remote, pin.filename)
    info, pack = lay_out(pin.filename, pin.digest, _entries(directory))
    members = {member.name: member for member in directory.members}
    metadata = members.get(f"{info}/METADATA")
    if metadata is None:
        raise ArchiveError(f"{pin.filename}: {info}/METADATA is missing", remedy=REMEDY)
    inside = f"{ROOT}{info}/"
    offsets = {
        _offset(entry)
        for entry in pack.entries
        if _tells(entry) and not entry.path.startswith(inside)
    }
    telling = [one for one in directory.as_they_lie if one.header_offset in offsets]
    far = _extents([one for one in telling if one.header_offset < tail.start])
    # Asked for first, so that they come while METADATA is waited for.
    parts = readers.map(partial(_read_part, remote), far)
    known = parse_metadata(
        _document(pin.filename, metadata, remote, tail), pin.filename
    )
    heads = dict(_heads(telling, (tail, *parts)))
    return replace(
        pack,
        entries=tuple(_with_facts(entry, heads) for entry in pack.entries),
        scripts=tuple(
            entry.path
            for entry in pack.entries
            if _is_script(entry) and heads.get(_offset(entry), b"").startswith(SHEBANG)
        ),
        requires=tuple(map(str, known.requires)),
        requires_python=known.requires_python,
        predicted=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remote:
    url: str
    size: int
    client: Client

    def read(self, start: int, stop: int) -> _Part:
        stop = min(stop, self.size)
        return _Part(start=start, data=self.client.read_range(self.url, start, stop))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Bytes of an archive, which lie in it from ``start`` on."""

    start: int
    data: bytes

    def body(self, member: Member, most: int) -> bytes:
        """Give up to ``most`` bytes of a member as they lie: those that are here."""
        at = member.header_offset - self.start
        if not 0 <= at <= len(self.data) - LOCAL_HEADER.size:
            return b""
        lengths = LOCAL_HEADER.unpack_from(self.data, at)[-2:]
        at += LOCAL_HEADER.size + sum(lengths)
        return self.data[at : at + min(most, member.compressed)]


def _read_end(remote: _Remote, filename: str) -> tuple[Directory, _Part]:
    tail = remote.read(max(0, remote.size - _TAIL), remote.size)
    try:
        directory = read_directory(tail.data, remote.size, archive=filename)
    except NeedMore as more:
        before = remote.read(more.start, tail.start)
        tail = _Part(start=more.start, data=before.data + tail.data)
        directory = read_directory(tail.data, remote.size, archive=filename)
    return directory, tail


def _entries(directory: Directory) -> list[FileEntry]:
    return [
        FileEntry(
            path=member.name,
            origin="",
            content=Content(
                file="",
                offset=member.header_offset,
                length=member.compressed,
                method=member.method,
                size=member.size,
                crc32=member.crc32,
                sha256="",
            ),
        )
        for member in directory.members
        if not member.is_folder
    ]


def _document(filename: str, member: Member, remote: _Remote, tail: _Part) -> str:
    part = tail
    if member.header_offset < tail.start:
        stop = _stop(member, member.compressed)
        part = remote.read(member.header_offset, stop)
    if member.size > LONGEST_DOCUMENT:
        raise ArchiveError(
            f"{filename}: {member.name} has {member.size} bytes", remedy=REMEDY
        )
    try:
        data = _inflated(member, part.body(member, member.compressed), member.size)
    except zlib.error as error:
        raise ArchiveError(
            f"{filename}: {member.name} cannot be inflated: {error}", remedy=REMEDY
        ) from error
    return data.decode(errors="replace")


def _tells(entry: FileEntry) -> bool:
    """Say whether a file's first bytes may tell what it would weigh in a layer."""
    name = entry.path.rpartition("/")[2]
    is_binary = entry.size >= _SMALLEST and _BINARY_NAME.fullmatch(name)
    return bool(is_binary) or _is_script(entry)


def _is_script(entry: FileEntry) -> bool:
    return entry.path.startswith(SCRIPTS)


def _extents(members: Sequence[Member]) -> list[tuple[int, int]]:
    """Give the ranges of the archive that the heads of members are in, up to a limit.

    Where that is reached, libraries are taken as they are.
    """
    extents: list[tuple[int, int]] = []
    read = 0
    for member in members:
        start, stop = member.header_offset, _stop(member, _HEAD)
        if extents:
            first, last = extents[-1]
            if start <= last + _GAP and stop <= first + _LONGEST_PART:
                start = first
                read -= last - first
                extents.pop()
        read += stop - start
        if read > _MOST_READ:
            break
        extents.append((start, stop))
    return extents


def _read_part(remote: _Remote, extent: tuple[int, int]) -> _Part:
    """Read what a prediction can do without, where it isn't given."""
    try:
        return remote.read(*extent)
    except RangeUnsupported:
        return _Part(start=extent[0], data=b"")


def _heads(
    members: Iterable[Member], parts: Sequence[_Part]
) -> Iterator[tuple[int, bytes]]:
    """Give the first bytes of members, by where they lie, as far as they are here."""
    for member in members:
        for part in parts:
            with suppress(zlib.error):
                head = _inflated(member, part.body(member, _HEAD), _HEAD)
                if head:
                    yield member.header_offset, head


def _offset(entry: FileEntry) -> int:
    return entry.content.offset if entry.content else -1


def _with_facts(entry: FileEntry, heads: Mapping[int, bytes]) -> FileEntry:
    head = heads.get(_offset(entry), b"")
    return replace(entry, elf=foretell_facts(head, entry.size))


def _inflated(member: Member, body: bytes, most: int) -> bytes:
    if member.method == DEFLATED and body and most:
        return zlib.decompressobj(-15).decompress(body, most)
    return body[:most]


def _stop(member: Member, length: int) -> int:
    """Say where ``length`` bytes of a member end, or less where it has less.

    Its name may be followed by extra fields, whose length only the header tells.
    """
    start = member.header_offset + LOCAL_HEADER.size + len(member.name.encode())
    return start + _EXTRA + min(length, member.compressed)
