"""A zip's central directory, read strictly: what can be known of an archive by its end.

Follows PKWARE's APPNOTE.TXT 6.3, and only as much of it as lawful wheels use: what two
readers could take for two things is refused. All of it is pure.
"""

from __future__ import annotations

import re
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from layerforge.archives.zipformat import (
    DIRECTORY_HEADER,
    DIRECTORY_SIGNATURE,
    END,
    END_SIGNATURE,
    EXTRA_HEADER,
    EXTRA_UNICODE_PATH,
    EXTRA_ZIP64,
    FLAG_ENCRYPTED,
    FLAG_UTF8,
    KNOWN_FLAGS,
    LOCAL_HEADER,
    MAX_16,
    MAX_32,
    UNIX,
    ZIP64_END,
    ZIP64_END_SIGNATURE,
    ZIP64_LOCATOR,
    ZIP64_LOCATOR_SIGNATURE,
)
from layerforge.errors import ArchiveError
from layerforge.tree import DEFLATED, STORED

MAX_FILE: Final = 2 << 30  # bytes; eight times what a layer may hold
MAX_TOTAL: Final = 8 << 30  # bytes; what can be read in half a minute
MAX_MEMBERS: Final = 200_000  # three times what a zip holds without zip64
MAX_DIRECTORY: Final = 32 << 20  # bytes, 160 for each of MAX_MEMBERS
MAX_NAME: Final = 4096  # bytes; Linux opens no longer path
MAX_NAME_PART: Final = 255  # bytes; Linux's file systems hold no longer name
BARRED_NAMES: Final = (
    (r"^$", "the name is empty"),
    (r"[\x00-\x1f\x7f-\x9f]", "the name holds a control character"),
    (r"\\", "the name holds a backslash"),
    (r"^/", "the name is absolute"),
    (r"^[A-Za-z]:", "the name begins with a drive letter"),
)
"""Patterns of names that no archive may hold, of whatever kind, and what to say."""

MAX_EXPANSION: Final = 1032  # deflate's best: 258 bytes for each 2 bits

_ENDS: Final = END.size + ZIP64_LOCATOR.size + ZIP64_END.size


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
    def is_link(self) -> bool:
        """Tell a symbolic link, whose contents are the name of its target."""
        return stat.S_ISLNK(self.mode)

    @property
    def path(self) -> str:
        """The name without a folder's slash."""
        return self.name.removesuffix("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Members in the directory's order; it has ``size`` bytes from ``start`` on."""

    members: tuple[Member, ...]
    start: int
    size: int

    @property
    def as_they_lie(self) -> list[Member]:
        """Members in the order of their bytes in the archive."""
        return sorted(self.members, key=lambda member: member.header_offset)


class NeedMore(Exception):  # noqa: N818  a request, answered by whoever reads
    """The directory begins at ``start``, before the bytes that were given."""

    def __init__(self, start: int) -> None:
        super().__init__(f"the archive is needed from byte {start}")
        self.start = start


def read_directory(
    tail: bytes,
    archive_size: int,
    *,
    archive: str = "archive",
    comment: int = 0,
    links: bool = False,
) -> Directory:
    """Read the names, sizes and places of all members from an archive's last bytes.

    ``archive`` is its name in messages. ``comment`` are the bytes of the one at its
    end, which is neither in ``tail`` nor in ``archive_size``. ``links`` lets symbolic
    links in. Raises `NeedMore` where ``tail`` does not reach back to the directory's
    start, `ArchiveError` for whatever is not lawful.
    """
    with naming(archive):
        count, size, start = _read_end(tail, archive_size, comment)
        skipped = start - (archive_size - len(tail))
        if skipped < 0:
            raise NeedMore(start)
        members = tuple(_read_headers(tail[skipped : skipped + size], count))
        if not links:
            _refuse_links(members)
        directory = Directory(members=members, start=start, size=size)
        _refuse_clashes(members)
        _refuse_overlaps(directory)
        total = sum(member.size for member in members)
        if total > MAX_TOTAL:
            raise Refused(f"it inflates to {total} bytes, more than {MAX_TOTAL}")
        return directory


class Refused(Exception):  # noqa: N818  the reason of an ArchiveError to come
    """Why an archive is not read; `naming` makes an `ArchiveError` of it."""


@contextmanager
def naming(archive: str) -> Iterator[None]:
    """Raise what is refused within, or can't be read, as an `ArchiveError`."""
    try:
        yield
    except (Refused, OSError) as error:
        reason = isinstance(error, OSError) and error.strerror
        raise ArchiveError(
            f"{archive}: {reason or error}",
            remedy="Fetch it anew; where it stays so, choose another version and tell "
            "its maintainers.",
        ) from error


@contextmanager
def naming_member(name: str) -> Iterator[None]:
    """Put a member's name before the reason why it is refused within."""
    try:
        yield
    except Refused as refused:
        raise Refused(f"{quoted(name)}: {refused}") from None


def quoted(name: str) -> str:
    """Show a name that may hold anything, and be of any length."""
    longest = 200
    return repr(name if len(name) <= longest else f"{name[:longest]}...")


# -- the directory -----------------------------------------------------------------


def _read_end(tail: bytes, archive_size: int, comment: int) -> tuple[int, int, int]:
    """Give the directory's number of entries, its bytes and its offset."""
    needed = min(_ENDS, archive_size)
    if len(tail) < needed:
        raise NeedMore(archive_size - needed)
    record = tail[-END.size :]
    if len(record) < END.size or not record.startswith(END_SIGNATURE):
        raise Refused("it is no zip archive, is cut short, or has bytes behind its end")
    _, *numbers, announced = END.unpack(record)
    end = archive_size - END.size
    locator = tail[-END.size - ZIP64_LOCATOR.size : -END.size]
    if locator.startswith(ZIP64_LOCATOR_SIGNATURE):
        numbers, end = _read_zip64_end(tail, end, numbers)
    disk, directory_disk, here, count, size, start = numbers
    for wrong, reason in (
        (announced != comment, "its end announces a comment that is not there"),
        (disk or directory_disk or here != count, "it is part of a split archive"),
        (start + size != end, "its directory is not where its end says"),
        (count > MAX_MEMBERS, f"it has {count} entries, more than {MAX_MEMBERS}"),
        (size > MAX_DIRECTORY, f"its directory is longer than {MAX_DIRECTORY} bytes"),
    ):
        if wrong:
            raise Refused(reason)
    return count, size, start


def _read_zip64_end(
    tail: bytes, end: int, narrow: Sequence[int]
) -> tuple[list[int], int]:
    locator = tail[-END.size - ZIP64_LOCATOR.size : -END.size]
    if len(locator) < ZIP64_LOCATOR.size:
        raise Refused("its zip64 locator is cut short")
    _, disk, offset, disks = ZIP64_LOCATOR.unpack(locator)
    start = end - ZIP64_LOCATOR.size - ZIP64_END.size
    record = tail[-_ENDS : -END.size - ZIP64_LOCATOR.size]
    if (disk, offset, disks) != (0, start, 1) or len(record) != ZIP64_END.size:
        raise Refused("its zip64 locator points elsewhere")
    signature, length, _, _, *wide = ZIP64_END.unpack(record)
    if signature != ZIP64_END_SIGNATURE or length != ZIP64_END.size - 12:
        raise Refused("its zip64 end is malformed")
    limits = (MAX_16, MAX_16, MAX_16, MAX_16, MAX_32, MAX_32)
    for short, long, limit in zip(narrow, wide, limits, strict=True):
        if short not in (long, limit):
            raise Refused("its end and its zip64 end disagree")
    return wide, start


def _read_headers(directory: bytes, count: int) -> Iterator[Member]:
    at = 0
    for _ in range(count):
        if not directory.startswith(DIRECTORY_SIGNATURE, at):
            raise Refused(f"its directory holds fewer than {count} entries")
        if at + DIRECTORY_HEADER.size > len(directory):
            raise Refused("its directory is cut short")
        header = DIRECTORY_HEADER.unpack_from(directory, at)
        at += DIRECTORY_HEADER.size
        end = at + sum(header[10:13])
        if end > len(directory):
            raise Refused("its directory is cut short")
        yield _read_member(header, directory[at:end])
        at = end
    if at != len(directory):
        raise Refused(f"its directory holds more than {count} entries")


def _read_member(header: Sequence[int], variable: bytes) -> Member:
    _, made_by, _, flags, method, _, _, crc32, compressed, size, *rest = header
    name_length, extra_length, _, disk, _, attributes, offset = rest
    name = _decoded(variable[:name_length], flags)
    extra = variable[name_length : name_length + extra_length]
    with naming_member(name):
        if disk:
            raise Refused("it is on another disk")
        size, compressed, offset = widened(extra, size, compressed, offset)
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
                raise Refused(reason.format(member))
    return member


def _decoded(name: bytes, flags: int) -> str:
    encoding = "UTF-8" if flags & FLAG_UTF8 else "ASCII"
    try:
        return name.decode(encoding)
    except UnicodeDecodeError:
        shown = quoted(name.decode("ascii", "backslashreplace"))
        raise Refused(f"{shown}: the name is not {encoding}") from None


def widened(extra: bytes, *numbers: int) -> tuple[int, ...]:
    """Put the zip64 extra field's numbers where a header has no room for them."""
    fields = _extra_fields(extra)
    if EXTRA_UNICODE_PATH in fields:
        raise Refused("it has a second name, in an extra field")
    wide = fields.get(EXTRA_ZIP64, b"")
    # Bazel's writer always leaves room for the field, and repeats the header in it.
    if wide == struct.pack(f"<{len(numbers)}Q", *numbers) and MAX_32 not in numbers:
        return numbers
    missing = numbers.count(MAX_32)
    if len(wide) != 8 * missing:
        raise Refused("its zip64 extra field does not fit its header")
    values = iter(struct.unpack(f"<{missing}Q", wide))
    return tuple(next(values) if number == MAX_32 else number for number in numbers)


def _extra_fields(extra: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    at = 0
    while at < len(extra):
        if at + EXTRA_HEADER.size > len(extra):
            raise Refused("its extra fields are malformed")
        kind, length = EXTRA_HEADER.unpack_from(extra, at)
        at += EXTRA_HEADER.size + length
        if at > len(extra) or kind in fields:
            raise Refused("its extra fields are malformed")
        fields[kind] = extra[at - length : at]
    return fields


def _holds(pattern: str) -> Callable[[Member], bool]:
    search = re.compile(pattern).search
    return lambda member: search(member.name) is not None


_FILES: Final = (stat.S_IFREG, stat.S_IFLNK)
_NEITHER: Final = "it is a link or a device (mode {0.mode:o})"

_RULES: tuple[tuple[Callable[[Member], bool], str], ...] = (
    *((_holds(pattern), reason) for pattern, reason in BARRED_NAMES),
    (_holds(r"(^|/)\.\.(/|$)"), "the name leaves the archive"),
    (_holds(r"(^|/)\.(/|$)"), "the name holds '.' for a folder"),
    (_holds(r"//"), "a part of the name is empty"),
    (
        lambda it: len(it.name.encode()) > MAX_NAME,
        f"the name is longer than {MAX_NAME} bytes",
    ),
    (
        lambda it: max(map(len, it.name.encode().split(b"/"))) > MAX_NAME_PART,
        f"a part of the name is longer than {MAX_NAME_PART} bytes",
    ),
    (lambda it: bool(it.flags & FLAG_ENCRYPTED), "it is encrypted"),
    (
        lambda it: bool(it.flags & ~KNOWN_FLAGS),
        "it has flags that are not understood ({0.flags:#06x})",
    ),
    (
        lambda it: it.method not in (STORED, DEFLATED),
        "it is compressed by method {0.method}, not by deflate",
    ),
    (
        lambda it: stat.S_IFMT(it.mode) not in (0, *_FILES, stat.S_IFDIR),
        _NEITHER,
    ),
    (
        lambda it: (
            stat.S_IFMT(it.mode) in (_FILES if it.is_folder else (stat.S_IFDIR,))
        ),
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


def _refuse_links(members: Sequence[Member]) -> None:
    for member in members:
        if member.is_link:
            raise Refused(f"{quoted(member.name)}: {_NEITHER.format(member)}")


def _refuse_clashes(members: Sequence[Member]) -> None:
    # With NUL for "/", what a folder holds comes right behind the folder's own name.
    ordered = sorted(members, key=lambda member: member.path.replace("/", "\0"))
    for one, other in pairwise(ordered):
        if one.name == other.name:
            raise Refused(f"{quoted(one.name)}: it is there twice")
        within = other.path.startswith(f"{one.path}/") and not one.is_folder
        if one.path == other.path or within:
            raise Refused(f"{quoted(one.path)}: it is both a file and a folder")


def _refuse_overlaps(directory: Directory) -> None:
    end = directory.start
    for member in reversed(directory.as_they_lie):
        least = LOCAL_HEADER.size + len(member.name.encode()) + member.compressed
        if member.header_offset + least > end:
            raise Refused(f"{quoted(member.name)}: it overlaps what follows it")
        end = member.header_offset
