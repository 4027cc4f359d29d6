"""Zip archives, read strictly, once, from front to back, in bounded memory.

What two readers could take for two things is refused, whichever of them is right.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO, Final

from layerforge.archives.zipdirectory import (
    MAX_NAME,
    Directory,
    Member,
    NeedMore,
    Refused,
    naming,
    naming_member,
    read_directory,
    widened,
)
from layerforge.archives.zipformat import (
    DESCRIPTOR,
    DESCRIPTOR_SIGNATURE,
    END,
    END_SIGNATURE,
    FLAG_DESCRIPTOR,
    LOCAL_HEADER,
    LOCAL_SIGNATURE,
    MAX_16,
    ZIP64_DESCRIPTOR,
)
from layerforge.elf import ElfFacts, is_elf
from layerforge.elf import reader as elf_reader
from layerforge.elf.others import FOREIGN_HEAD, foreign_format
from layerforge.tree import STORED, Content, FileEntry

MAX_IMAGE: Final = 512 << 20  # bytes of an ELF file that are held for its facts

_TAIL: Final = 64 << 10  # bytes; holds the whole directory of most wheels
_CHUNK: Final = 256 << 10  # bytes; small enough to stay in a core's cache


def index_zip(
    path: Path, *, archive: str = "", layer: bool = False
) -> tuple[FileEntry, ...]:
    """Read all of an archive and give its files, in the order of their bytes.

    Every byte is accounted for: members tile the archive from its first byte to the
    directory, both headers of each agree, and each inflates to exactly what they
    declare. ``archive`` is its name in messages, the file's own by default. A
    ``layer`` may have symbolic links, and a comment at its end: Lambda takes both.
    Raises `ArchiveError`. Several threads may index several archives at once.
    """
    archive = archive or path.name
    with naming(archive), path.open("rb", buffering=_CHUNK) as stream:
        before = os.fstat(stream.fileno())
        directory = _find_directory(
            stream, before.st_size, archive=archive, layer=layer
        )
        entries = tuple(_read_members(stream, directory, str(path)))
        after = os.fstat(stream.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise Refused("it changed while it was read")
        return entries


def read_zip_directory(path: Path, *, layer: bool = False) -> Directory:
    """Read what an archive's end tells, and nothing else of it.

    ``layer`` is as for `index_zip`. Raises `ArchiveError`.
    """
    with naming(path.name), path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        return _find_directory(stream, size, archive=path.name, layer=layer)


def _find_directory(
    stream: IO[bytes], size: int, *, archive: str, layer: bool
) -> Directory:
    comment = _comment_length(stream, size) if layer else 0
    size -= comment
    start = max(0, size - _TAIL)
    while True:
        stream.seek(start)
        tail = _take(stream, size - start)
        try:
            return read_directory(
                tail, size, archive=archive, comment=comment, links=layer
            )
        except NeedMore as more:
            start = more.start


def _comment_length(stream: IO[bytes], size: int) -> int:
    """Give the bytes of an archive's comment; 0 where its end announces no such one.

    Readers look for the end from behind, and take the first that they find.
    """
    stream.seek(max(0, size - END.size - MAX_16))
    tail = stream.read()
    at = tail.rfind(END_SIGNATURE, 0, max(0, len(tail) - END.size + 4))
    behind = len(tail) - at - END.size
    return behind if at >= 0 and END.unpack_from(tail, at)[-1] == behind else 0


def _read_members(
    stream: IO[bytes], directory: Directory, file: str
) -> Iterator[FileEntry]:
    members = directory.as_they_lie
    places = [*(member.header_offset for member in members), directory.start]
    if places[0]:
        raise Refused(f"{places[0]} bytes stand before its first entry")
    stream.seek(0)
    for member, (start, end) in zip(members, pairwise(places), strict=True):
        with naming_member(member.name):
            length = _read_local_header(stream, member)
            trailing = end - start - length - member.compressed
            _refuse_trailing(member, trailing)
            sha256, facts, foreign = _read_contents(stream, member)
            _read_descriptor(stream, member, trailing)
        if member.is_folder:
            continue
        content = Content(
            file=file,
            offset=start + length,
            length=member.compressed,
            method=member.method,
            size=member.size,
            crc32=member.crc32,
            sha256=sha256,
        )
        if member.is_link:
            yield FileEntry(path=member.name, origin="", link=_target(member, content))
            continue
        yield FileEntry(
            path=member.name,
            origin="",
            content=content,
            executable=bool(member.mode & 0o111),
            elf=facts,
            foreign=foreign,
        )


def _read_local_header(stream: IO[bytes], member: Member) -> int:
    """Compare the header before a member's data, and give the header's bytes."""
    header = LOCAL_HEADER.unpack(_take(stream, LOCAL_HEADER.size))
    signature, _, flags, method, _, _, *sums, name_length, extra_length = header
    if signature != LOCAL_SIGNATURE:
        raise Refused("no header is where the directory says")
    name, extra = _take(stream, name_length), _take(stream, extra_length)
    crc32, compressed, size = sums
    size, compressed = widened(extra, size, compressed)
    found = (crc32, compressed, size)
    deferred = flags & FLAG_DESCRIPTOR and not any(found)
    for field, here, there in (
        ("name", name, member.name.encode()),
        ("flags", flags, member.flags),
        ("method", method, member.method),
        ("checksum or sizes", found, found if deferred else _sums(member)),
    ):
        if here != there:
            raise Refused(f"its header and the directory disagree on its {field}")
    return LOCAL_HEADER.size + len(name) + len(extra)


def _sums(member: Member) -> tuple[int, int, int]:
    return member.crc32, member.compressed, member.size


def _refuse_trailing(member: Member, trailing: int) -> None:
    if trailing < 0:
        raise Refused("it overlaps what follows it")
    longest = len(DESCRIPTOR_SIGNATURE) + ZIP64_DESCRIPTOR.size
    if trailing > (longest if member.flags & FLAG_DESCRIPTOR else 0):
        raise Refused(f"{trailing} bytes behind it belong to no entry")


def _read_descriptor(stream: IO[bytes], member: Member, length: int) -> None:
    if not member.flags & FLAG_DESCRIPTOR:
        return
    narrow = DESCRIPTOR.pack(*_sums(member))
    wide = ZIP64_DESCRIPTOR.pack(*_sums(member))
    # The signature is optional, and nothing tells how wide the sizes are.
    lawful = {
        signature + sums
        for signature in (b"", DESCRIPTOR_SIGNATURE)
        for sums in (narrow, wide)
    }
    if _take(stream, length) not in lawful:
        raise Refused("its data descriptor and the directory disagree")


def _read_contents(
    stream: IO[bytes], member: Member
) -> tuple[str, ElfFacts | None, str]:
    """Read a member's data to its end and check it.

    Gives its SHA-256, its ELF facts, and which other system's native code it is.
    """
    digest = hashlib.sha256()
    crc32 = size = 0
    head = b""
    image: bytearray | None = None
    chunks = _chunks(stream, member.compressed)
    for chunk in chunks if member.method == STORED else _inflated(chunks):
        if size + len(chunk) > member.size:
            raise Refused(f"it inflates to more than {member.size} bytes")
        if len(head) < FOREIGN_HEAD:
            head += chunk[: FOREIGN_HEAD - len(head)]
            if image is None and is_elf(head) and member.size <= MAX_IMAGE:
                image = bytearray(member.size)
                image[: len(head)] = head
        if image is not None:
            image[size : size + len(chunk)] = chunk
        digest.update(chunk)
        crc32 = zlib.crc32(chunk, crc32)
        size += len(chunk)
    if size != member.size:
        raise Refused(f"it inflates to {size} bytes, not to {member.size}")
    if crc32 != member.crc32:
        raise Refused("its contents do not have its checksum")
    facts = elf_reader.find_facts(image or b"")
    return digest.hexdigest(), facts, foreign_format(head)


def _chunks(stream: IO[bytes], length: int) -> Iterator[bytes]:
    while length:
        chunk = _take(stream, min(length, _CHUNK))
        length -= len(chunk)
        yield chunk


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=-15)
    try:
        for chunk in chunks:
            waiting = chunk
            while len(inflated := inflater.decompress(waiting, _CHUNK)) == _CHUNK:
                yield inflated
                waiting = inflater.unconsumed_tail
            yield inflated
            if inflater.unused_data:
                break
    except zlib.error:
        raise Refused("its deflated data is damaged") from None
    if inflater.unused_data or not inflater.eof:
        raise Refused("its deflated data does not end where it should")


def _target(member: Member, content: Content) -> str:
    with naming_member(member.name):
        if member.size > MAX_NAME:
            raise Refused(f"it is a link to a name longer than {MAX_NAME} bytes")
        try:
            return content.inflated().decode()
        except UnicodeDecodeError:
            raise Refused("it is a link to a name that is not UTF-8") from None


def _take(stream: IO[bytes], length: int) -> bytes:
    taken = stream.read(length)
    if len(taken) != length:
        raise Refused("the archive is cut short, or changed while it was read")
    return taken
