"""Zip archives, read strictly: what two readers could take for two things is refused.

Follows PKWARE's APPNOTE.TXT 6.3, and only as much of it as lawful wheels use. The
layouts are the writer's as well. `read_directory` is pure and needs only an archive's
end; `index_zip` reads all of an archive once, from front to back, in bounded memory.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Final

from layerforge import elf
from layerforge.errors import ArchiveError
from layerforge.tree import DEFLATED, STORED, Content, FileEntry

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

MAX_FILE: Final = 2 << 30  # bytes; eight times what a layer may hold
MAX_TOTAL: Final = 8 << 30  # bytes; what can be read in half a minute
MAX_MEMBERS: Final = 200_000  # three times what a zip holds without zip64
MAX_DIRECTORY: Final = 32 << 20  # bytes, 160 for each of MAX_MEMBERS
MAX_NAME: Final = 4096  # bytes; Linux opens no longer path
MAX_NAME_PART: Final = 255  # bytes; Linux's file systems hold no longer name
MAX_EXPANSION: Final = 1032  # deflate's best: 258 bytes for each 2 bits
MAX_IMAGE: Final = 512 << 20  # bytes of an ELF file that are held for its facts

_ENDS: Final = END.size + ZIP64_LOCATOR.size + ZIP64_END.size
_TAIL: Final = 64 << 10  # bytes; holds the whole directory of most wheels
_CHUNK: Final = 256 << 10  # bytes; small enough to stay in a core's cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An entry of an archive, by its directory alone.

    ``compressed`` and ``size`` are bytes before and after inflating. ``mode`` is a
    Unix st_mode, 0 where the archive has none.
    """

    name: str
    method: int
    flags: int
    compressed: int
    size: int
    crc32: int
    header_offset: int
    mode: int

    @property
    def is_folder(self) -> bool:
        """Tell a folder, as all readers do, by the name's last character."""
        return self.name.endswith("/")

    @property
    def path(self) -> str:
        """The name without a folder's slash."""
        return self.name.removesuffix("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Members in the directory's order; ``start`` and ``size`` (bytes) say where it is."""

    members: tuple[Member, ...]
    start: int
    size: int


class NeedMore(Exception):  # noqa: N818  a request, answered by whoever reads
    """The directory begins at ``start``, before the bytes that were given."""

    def __init__(self, start: int) -> None:
        super().__init__(f"the archive is needed from byte {start}")
        self.start = start


def read_directory(
    tail: bytes, archive_size: int, *, archive: str = "archive"
) -> Directory:
    """Read the names, sizes and places of all members from an archive's last bytes.

    ``archive`` is its name in messages. Raises `NeedMore` where ``tail`` does not
    reach back to the directory's start, `ArchiveError` for whatever is not lawful.
    """
    with _naming(archive):
        count, size, start = _read_end(tail, archive_size)
        skipped = start - (archive_size - len(tail))
        if skipped < 0:
            raise NeedMore(start)
        members = tuple(_read_headers(tail[skipped : skipped + size], count))
        _refuse_clashes(members)
        _refuse_overlaps(members, start)
        total = sum(member.size for member in members)
        if total > MAX_TOTAL:
            raise _Refused(f"it inflates to {total} bytes, more than {MAX_TOTAL}")
        return Directory(members=members, start=start, size=size)


def index_zip(path: Path, *, archive: str = "") -> tuple[FileEntry, ...]:
    """Read all of an archive and give its files, in the order of their bytes.

    Every byte is accounted for: members tile the archive from its first byte to the
    directory, both headers of each agree, and each inflates to exactly what they
    declare. ``archive`` is its name in messages, the file's own by default. Raises
    `ArchiveError`. Several threads may index several archives at once.
    """
    with _naming(archive or path.name), path.open("rb", buffering=_CHUNK) as stream:
        before = os.fstat(stream.fileno())
        directory = _find_directory(stream, before.st_size)
        entries = tuple(_read_members(stream, directory, str(path)))
        after = os.fstat(stream.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise _Refused("it changed while it was read")
        return entries


class _Refused(Exception):  # noqa: N818  the reason of an ArchiveError to come
    def __init__(self, reason: str, *, entry: str | None = None) -> None:
        super().__init__(reason if entry is None else f"{_quoted(entry)}: {reason}")


@contextmanager
def _naming(archive: str) -> Iterator[None]:
    try:
        yield
    except (_Refused, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ArchiveError(
            f"{archive}: {reason}",
            remedy="Fetch it anew; where it stays so, choose another version and tell "
            "its maintainers.",
        ) from error


def _quoted(name: str) -> str:
    longest = 200
    return repr(name if len(name) <= longest else f"{name[:longest]}...")


# -- the directory -----------------------------------------------------------------


def _read_end(tail: bytes, archive_size: int) -> tuple[int, int, int]:
    """Give the directory's number of entries, its bytes and its offset."""
    needed = min(_ENDS, archive_size)
    if len(tail) < needed:
        raise NeedMore(archive_size - needed)
    if not tail[-END.size :].startswith(END_SIGNATURE):
        raise _Refused(
            "it is no zip archive, is cut short, or has bytes behind its end"
        )
    _, *numbers, comment = END.unpack(tail[-END.size :])
    end = archive_size - END.size
    if tail[-END.size - ZIP64_LOCATOR.size :].startswith(ZIP64_LOCATOR_SIGNATURE):
        numbers, end = _read_zip64_end(tail, end, numbers)
    disk, directory_disk, here, count, size, start = numbers
    for wrong, reason in (
        (comment, "its end announces a comment that is not there"),
        (disk or directory_disk or here != count, "it is part of a split archive"),
        (start + size != end, "its directory is not where its end says"),
        (count > MAX_MEMBERS, f"it has {count} entries, more than {MAX_MEMBERS}"),
        (size > MAX_DIRECTORY, f"its directory is longer than {MAX_DIRECTORY} bytes"),
    ):
        if wrong:
            raise _Refused(reason)
    return count, size, start


def _read_zip64_end(
    tail: bytes, end: int, narrow: Sequence[int]
) -> tuple[list[int], int]:
    locator = tail[-END.size - ZIP64_LOCATOR.size : -END.size]
    _, disk, offset, disks = ZIP64_LOCATOR.unpack(locator)
    start = end - ZIP64_LOCATOR.size - ZIP64_END.size
    record = tail[-_ENDS : -END.size - ZIP64_LOCATOR.size]
    if (disk, offset, disks) != (0, start, 1) or len(record) != ZIP64_END.size:
        raise _Refused("its zip64 locator points elsewhere")
    signature, length, _, _, *wide = ZIP64_END.unpack(record)
    if signature != ZIP64_END_SIGNATURE or length != ZIP64_END.size - 12:
        raise _Refused("its zip64 end is malformed")
    limits = (MAX_16, MAX_16, MAX_16, MAX_16, MAX_32, MAX_32)
    for short, long, limit in zip(narrow, wide, limits, strict=True):
        if short not in (long, limit):
            raise _Refused("its end and its zip64 end disagree")
    return wide, start


def _read_headers(directory: bytes, count: int) -> Iterator[Member]:
    at = 0
    for _ in range(count):
        if not directory.startswith(DIRECTORY_SIGNATURE, at):
            raise _Refused(f"its directory holds fewer than {count} entries")
        if at + DIRECTORY_HEADER.size > len(directory):
            raise _Refused("its directory is cut short")
        header = DIRECTORY_HEADER.unpack_from(directory, at)
        at += DIRECTORY_HEADER.size
        end = at + sum(header[10:13])
        if end > len(directory):
            raise _Refused("its directory is cut short")
        yield _read_member(header, directory[at:end])
        at = end
    if at != len(directory):
        raise _Refused(f"its directory holds more than {count} entries")


def _read_member(header: Sequence[int], variable: bytes) -> Member:
    _, made_by, _, flags, method, _, _, crc32, compressed, size, *rest = header
    name_length, extra_length, _, disk, _, attributes, offset = rest
    name = _decoded(variable[:name_length], flags)
    extra = variable[name_length : name_length + extra_length]
    if disk:
        raise _Refused("it is on another disk", entry=name)
    size, compressed, offset = _widened(name, extra, size, compressed, offset)
    member = Member(
        name=name,
        method=method,
        flags=flags,
        compressed=compressed,
        size=size,
        crc32=crc32,
        header_offset=offset,
        mode=attributes >> 16 if made_by >> 8 == UNIX else 0,
    )
    for is_broken, reason in _RULES:
        if is_broken(member):
            raise _Refused(reason.format(member), entry=name)
    return member


def _decoded(name: bytes, flags: int) -> str:
    encoding = "UTF-8" if flags & FLAG_UTF8 else "ASCII"
    try:
        return name.decode(encoding)
    except UnicodeDecodeError:
        shown = name.decode("ascii", "backslashreplace")
        raise _Refused(f"the name is not {encoding}", entry=shown) from None


def _widened(name: str, extra: bytes, *numbers: int) -> tuple[int, ...]:
    """Put the zip64 extra field's numbers where the header has no room for them."""
    fields = dict[int, bytes]()
    while extra:
        kind, length = EXTRA_HEADER.unpack(extra[:4]) if len(extra) > 3 else (0, MAX_32)
        value, rest = extra[4 : 4 + length], extra[4 + length :]
        if len(value) != length or kind in fields:
            raise _Refused("its extra fields are malformed", entry=name)
        fields[kind], extra = value, rest
    if EXTRA_UNICODE_PATH in fields:
        raise _Refused("it has a second name, in an extra field", entry=name)
    missing = numbers.count(MAX_32)
    wide = fields.get(EXTRA_ZIP64, b"")
    if len(wide) != 8 * missing:
        raise _Refused("its zip64 extra field does not fit its header", entry=name)
    values = iter(struct.unpack(f"<{missing}Q", wide))
    return tuple(next(values) if number == MAX_32 else number for number in numbers)


def _holds(pattern: str) -> Callable[[Member], bool]:
    search = re.compile(pattern).search
    return lambda member: search(member.name) is not None


_RULES: tuple[tuple[Callable[[Member], bool], str], ...] = (
    (_holds(r"^$"), "the name is empty"),
    (_holds(r"[\x00-\x1f\x7f-\x9f]"), "the name holds a control character"),
    (_holds(r"\\"), "the name holds a backslash"),
    (_holds(r"^/"), "the name is absolute"),
    (_holds(r"^[A-Za-z]:"), "the name begins with a drive letter"),
    (_holds(r"(^|/)\.\.(/|$)"), "the name leaves the archive"),
    (_holds(r"(^|/)\.(/|$)"), "the name holds '.' for a folder"),
    (_holds(r"//"), "a part of the name is empty"),
    (
        lambda it: len(it.name.encode()) > MAX_NAME,
        f"the name is longer than {MAX_NAME} bytes",
    ),
    (
        lambda it: any(len(part.encode()) > MAX_NAME_PART for part in it.name.split("/")),
        f"a part of the name is longer than {MAX_NAME_PART} bytes",
    ),
    (lambda it: bool(it.flags & FLAG_ENCRYPTED), "it is encrypted"),
    (lambda it: bool(it.flags & ~KNOWN_FLAGS), "it has the flags {0.flags:#06x}"),
    (
        lambda it: it.method not in (STORED, DEFLATED),
        "it is compressed by method {0.method}, not by deflate",
    ),
    (
        lambda it: stat.S_IFMT(it.mode) not in (0, stat.S_IFREG, stat.S_IFDIR),
        "it is a link or a device (mode {0.mode:o})",
    ),
    (
        lambda it: stat.S_IFMT(it.mode) == (stat.S_IFREG if it.is_folder else stat.S_IFDIR),
        "its name and its mode ({0.mode:o}) disagree on whether it is a folder",
    ),
    (lambda it: it.is_folder and it.size > 0, "it is a folder that has contents"),
    (
        lambda it: it.method == STORED and it.size != it.compressed,
        "it is stored, but its sizes differ: {0.compressed} and {0.size} bytes",
    ),
    (
        lambda it: it.size > it.compressed * MAX_EXPANSION + 64,
        "{0.compressed} bytes can't inflate to {0.size}",
    ),
    (
        lambda it: max(it.size, it.compressed) > MAX_FILE,
        f"it is larger than {MAX_FILE} bytes",
    ),
)


def _refuse_clashes(members: Sequence[Member]) -> None:
    # With NUL for "/", what a folder holds comes right behind the folder's own name.
    ordered = sorted(members, key=lambda member: member.path.replace("/", "\0"))
    for one, other in pairwise(ordered):
        if one.name == other.name:
            raise _Refused("it is there twice", entry=one.name)
        within = other.path.startswith(f"{one.path}/") and not one.is_folder
        if one.path == other.path or within:
            raise _Refused("it is both a file and a folder", entry=one.path)


def _refuse_overlaps(members: Sequence[Member], end: int) -> None:
    for member in sorted(members, key=_place, reverse=True):
        least = LOCAL_HEADER.size + len(member.name.encode()) + member.compressed
        if member.header_offset + least > end:
            raise _Refused("it overlaps what follows it", entry=member.name)
        end = member.header_offset


def _place(member: Member) -> int:
    return member.header_offset


# -- the members -------------------------------------------------------------------


def _find_directory(stream: IO[bytes], size: int) -> Directory:
    start = max(0, size - _TAIL)
    while True:
        stream.seek(start)
        try:
            return read_directory(_take(stream, size - start), size)
        except NeedMore as more:
            start = more.start
