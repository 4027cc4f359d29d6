"""npm's tarballs, read strictly, once, from front to back, one file in memory.

A gzip stream can't be read from its middle, so the contents go into the store, each
deflated by itself, all of a package's behind one another in one file. What becomes of
the entries is what npm (pacote, of npm 11) makes of them; what it would pass over
though it looks like damage or malice is refused.
"""

from __future__ import annotations

import hashlib
import io
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from layerforge.archives.tarheaders import (
    BLOCK,
    Member,
    describe,
    read_extension,
    read_header,
)
from layerforge.archives.zipdirectory import (
    MAX_MEMBERS,
    Refused,
    naming,
    naming_member,
    quoted,
)
from layerforge.compressor import compress
from layerforge.elf.others import foreign_format
from layerforge.elf.reader import find_facts
from layerforge.store import Store
from layerforge.tree import Content, FileEntry

MAX_FILE: Final = 512 << 20  # bytes; twice what a layer may hold, held in memory
MAX_TOTAL: Final = 2 << 30  # bytes; eight times what a layer may hold

_MAX_EXTENSION: Final = 1 << 20  # bytes; npm reads no longer one
_CHUNK: Final = 256 << 10  # bytes; small enough to stay in a core's cache
_GZIP: Final = 31  # zlib's number for gzip's header and checksum, largest window
_GZIP_MAGIC: Final = b"\x1f\x8b"
_SHORT: Final = "the archive is cut short"
_BEHIND: Final = "bytes stand behind its end"

_Found = tuple[Member, FileEntry]


def index_tarball(
    path: Path, filename: str, digest: str, store: Store
) -> tuple[FileEntry, ...]:
    """Read all of a package and give its files, their contents put into ``store``.

    As with npm, the first part of each name goes, whatever it is, and a file beside
    it; a file with any x bit is executable; links, symbolic and hard, are left out;
    a .gitignore is called .npmignore, where there is none. Two files at one place
    must be equal, and so must those whose names differ in case alone.

    ``filename`` is its name in messages. Raises `ArchiveError`. Several threads may
    index several archives at once.
    """
    contents = str(store.contents(digest))
    with (
        naming(filename),
        path.open("rb") as stream,
        store.filling(digest) as filled,
    ):
        files: list[_Found] = []
        folders: list[Member] = []
        inflated = io.BufferedReader(_Gunzip(stream), _CHUNK)
        for number, (member, data) in enumerate(_read_members(inflated)):
            if number == MAX_MEMBERS:
                raise Refused(f"it has more than {MAX_MEMBERS} entries")
            if member.is_folder:
                folders.append(member)
            elif member.is_file and member.path:
                files.append((member, _keep(member, data, filled, contents)))
        return _settle(files, folders)


class _Gunzip(io.RawIOBase):
    """The contents of a gzip file (RFC 1952), each of its members checked."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._inflater = zlib.decompressobj(_GZIP)
        self._waiting = b""
        self._total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - named in 3.12 only
        inflated = self._inflate(min(len(buffer), _CHUNK))
        buffer[: len(inflated)] = inflated
        self._total += len(inflated)
        if self._total > MAX_TOTAL:
            raise Refused(f"it inflates to more than {MAX_TOTAL} bytes")
        return len(inflated)

    def _inflate(self, most: int) -> bytes:
        while True:
            if self._inflater.eof and not self._begin_next():
                return b""
            if not self._waiting:
                self._waiting = self._stream.read(_CHUNK)
            if not self._waiting:
                raise Refused(_SHORT)
            try:
                inflated = self._inflater.decompress(self._waiting, most)
            except zlib.error:
                raise Refused("it is no gzip file, or damaged") from None
            self._waiting = self._inflater.unconsumed_tail or self._inflater.unused_data
            if inflated:
                return inflated

    def _begin_next(self) -> bool:
        if len(self._waiting) < len(_GZIP_MAGIC):
            self._waiting += self._stream.read(_CHUNK)
        if self._waiting.startswith(_GZIP_MAGIC):
            self._inflater = zlib.decompressobj(_GZIP)
            return True
        # Old packages were filled up to a tape's block with zeros.
        while self._waiting:
            if self._waiting.strip(b"\0"):
                raise Refused(_BEHIND)
            self._waiting = self._stream.read(_CHUNK)
        return False


def _read_members(stream: IO[bytes]) -> Iterator[tuple[Member, bytes]]:
    said: dict[str, bytes] = {}
    while any(block := _take(stream, BLOCK)):
        header = read_header(block)
        if header.extends:
            if header.size > _MAX_EXTENSION:
                raise Refused(f"a header is longer than {_MAX_EXTENSION} bytes")
            more = read_extension(header, _take_body(stream, header.size))
            if said.keys() & more.keys():
                raise Refused("an entry has two extended headers that say the same")
            said |= more
            continue
        member = describe(header, said)
        said = {}
        with naming_member(member.name):
            if member.size > MAX_FILE:
                raise Refused(f"it is larger than {MAX_FILE} bytes")
            data = _take_body(stream, member.size)
        yield member, data
    if said:
        raise Refused("an extended header stands at its end and belongs to no entry")
    while rest := stream.read(_CHUNK):
        if rest.strip(b"\0"):
            raise Refused(_BEHIND)


def _take_body(stream: IO[bytes], size: int) -> bytes:
    body = _take(stream, size)
    _take(stream, -size % BLOCK)
    return body


def _take(stream: IO[bytes], length: int) -> bytes:
    taken = stream.read(length)
    if len(taken) != length:
        raise Refused(_SHORT)
    return taken


def _keep(member: Member, data: bytes, filled: IO[bytes], contents: str) -> FileEntry:
    method, packed = compress(data)
    offset = filled.tell()
    filled.write(packed)
    return FileEntry(
        path=member.path,
        origin="",
        content=Content(
            file=contents,
            offset=offset,
            length=len(packed),
            method=method,
            size=len(data),
            crc32=zlib.crc32(data),
            sha256=hashlib.sha256(data).hexdigest(),
        ),
        executable=bool(member.mode & 0o111),
        elf=find_facts(data),
        foreign=foreign_format(data),
    )


def _settle(files: list[_Found], folders: list[Member]) -> tuple[FileEntry, ...]:
    """Give the files that are left as they lie, or refuse those that collide."""
    kept: dict[str, FileEntry] = {}
    places: dict[str, _Found] = {}
    for member, entry in _renamed(files):
        place = _folded(entry.path)
        other, present = places.setdefault(place, (member, entry))
        if present.identity != entry.identity:
            raise Refused(
                f"{quoted(member.name)}: it is there twice, with different contents"
                if present.path == entry.path
                else f"{quoted(member.name)}: it is another file than "
                f"{quoted(other.name)}, and their names differ in case alone"
            )
        kept.setdefault(entry.path, entry)  # npm writes into the first, mode and all
    for folder in _folders(kept, folders):
        if folder in places:
            name = places[folder][0].name
            raise Refused(f"{quoted(name)}: it is both a file and a folder")
    return tuple(kept.values())


def _renamed(files: list[_Found]) -> Iterator[_Found]:
    """Have each .gitignore be an .npmignore, or nothing where there is one.

    npm has left a .gitignore out of a package that has an .npmignore since its first
    days, and extracts those that others packed so as well.
    """
    paths = {entry.path for _, entry in files}
    for member, entry in files:
        folder, slash, name = entry.path.rpartition("/")
        path = f"{folder}{slash}.npmignore"
        if name != ".gitignore":
            yield member, entry
        elif path not in paths:
            yield member, replace(entry, path=path)


def _folders(paths: Iterable[str], folders: Iterable[Member]) -> set[str]:
    found: set[str] = set()
    for path in (*paths, *(f"{folder.path}/" for folder in folders)):
        parent = path.rpartition("/")[0]
        while parent and (folded := _folded(parent)) not in found:
            found.add(folded)
            parent = parent.rpartition("/")[0]
    return found


def _folded(path: str) -> str:
    """Give what a file system that ignores case, as macOS's does, sees in a name."""
    return unicodedata.normalize("NFC", path).casefold()
