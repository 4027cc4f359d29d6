from __future__ import annotations

from typing import Any

import pytest

from layerforge.archives.zipdirectory import (
    MAX_DIRECTORY,
    MAX_FILE,
    MAX_MEMBERS,
    MAX_TOTAL,
    NeedMore,
    read_directory,
)
from layerforge.archives.zipformat import (
    END,
    END_SIGNATURE,
    EXTRA_HEADER,
    MAX_16,
    MAX_32,
    ZIP64_END,
)
from layerforge.errors import ArchiveError
from tests.zipwriter import (
    DEVICE,
    FILE,
    FOLDER,
    LINK,
    NO_END,
    ONE,
    SUMS,
    TWO,
    Entry,
    both,
    extra,
    named,
    wide,
    zipped,
)

REFUSED = {
    "nothing": (b"", NO_END),
    "text": (b"<html>" * 99, NO_END),
    "an end cut short": (zipped()[:-1], NO_END),
    "a comment": (zipped(end={"comment": 4}) + b"hey!", NO_END),
    "trailing bytes": (zipped(ONE) + b"\0", NO_END),
    "a comment that is not there": (
        zipped(ONE, end={"comment": 4}),
        "its end announces a comment that is not there",
    ),
    "another disk": (zipped(ONE, end={"disk": 1}), "it is part of a split archive"),
    "the directory on another disk": (
        zipped(ONE, end={"directory_disk": 1}),
        "it is part of a split archive",
    ),
    "fewer entries on this disk": (
        zipped(ONE, TWO, end={"here": 1}),
        "it is part of a split archive",
    ),
    "an entry on another disk": (
        zipped(Entry(directory={"disk": 1})),
        "'a.txt': it is on another disk",
    ),
    "a directory that ends before the end": (
        zipped(ONE, end={"size": 50}),
        "its directory is not where its end says",
    ),
    "bytes before a whole archive": (
        b"#!/bin/sh\n" + zipped(ONE),
        "its directory is not where its end says",
    ),
    "more entries than its end says": (
        zipped(ONE, TWO, end={"count": 1, "here": 1}),
        "its directory holds more than 1 entries",
    ),
    "fewer entries than its end says": (
        zipped(ONE, end={"count": 2, "here": 2}),
        "its directory holds fewer than 2 entries",
    ),
    "an entry of another kind": (
        zipped(Entry(directory={"signature": b"PK\x05\x05"})),
        "its directory holds fewer than 1 entries",
    ),
    "an entry that leaves the directory": (
        zipped(Entry(directory={"extra_length": 9})),
        "its directory is cut short",
    ),
    "a zip64 locator that points elsewhere": (
        zipped(ONE, zip64={"offset": 0}),
        "its zip64 locator points elsewhere",
    ),
    "a zip64 archive on two disks": (
        zipped(ONE, zip64={"disks": 2}),
        "its zip64 locator points elsewhere",
    ),
    "a locator with nothing before it": (
        zipped(zip64={})[ZIP64_END.size :],
        "its zip64 locator points elsewhere",
    ),
    "a zip64 end without its signature": (
        zipped(ONE, zip64={"signature": b"PK\x06\x05"}),
        "its zip64 end is malformed",
    ),
    "a zip64 end with more fields": (
        zipped(ONE, zip64={"length": 45}),
        "its zip64 end is malformed",
    ),
    "two ends that disagree": (
        zipped(ONE, zip64={"count": 2, "here": 2}),
        "its end and its zip64 end disagree",
    ),
    "more entries than are ever needed": (
        zipped(
            ONE,
            end={"count": MAX_16, "here": MAX_16},
            zip64={"count": MAX_MEMBERS + 1, "here": MAX_MEMBERS + 1},
        ),
        "it has 200001 entries, more than 200000",
    ),
    "an empty name": (named(""), "'': the name is empty"),
    "NUL in a name": (
        named("a\0.txt"),
        r"'a\x00.txt': the name holds a control character",
    ),
    "a line end in a name": (
        named("a\n"),
        r"'a\n': the name holds a control character",
    ),
    "a backslash": (named("a\\b"), r"'a\\b': the name holds a backslash"),
    "an absolute name": (named("/etc/passwd"), "'/etc/passwd': the name is absolute"),
    "a drive letter": (named("c:x"), "'c:x': the name begins with a drive letter"),
    "a name that climbs": (
        named("a/../../x"),
        "'a/../../x': the name leaves the archive",
    ),
    "a name that only climbs": (named(".."), "'..': the name leaves the archive"),
    "a dot for a folder": (named("./a"), "'./a': the name holds '.' for a folder"),
    "a name that ends in a dot": (
        named("a/."),
        "'a/.': the name holds '.' for a folder",
    ),
    "an empty part": (named("a//b"), "'a//b': a part of the name is empty"),
    "a long part": (
        named("a" * 256),
        f"'{'a' * 200}...': a part of the name is longer than 255 bytes",
    ),
    "a long name": (
        named("a/" * 2048 + "a"),
        f"'{'a/' * 100}...': the name is longer than 4096 bytes",
    ),
    "a name in no encoding": (
        named("\xfc"),
        r"'\\xc3\\xbc': the name is not ASCII",
    ),
    "a name that is not the UTF-8 it says": (
        both(name=b"\xff", flags=1 << 11),
        r"'\\xff': the name is not UTF-8",
    ),
    "a second name": (
        both(extra=extra(0x7075, b"\1\0\0\0\0x")),
        "'a.txt': it has a second name, in an extra field",
    ),
    "an extra field that is cut short": (
        both(extra=EXTRA_HEADER.pack(0x5455, 9)),
        "'a.txt': its extra fields are malformed",
    ),
    "an extra field without a length": (
        both(extra=b"UTx"),
        "'a.txt': its extra fields are malformed",
    ),
    "an extra field that is there twice": (
        both(extra=extra(0x5455, b"x") * 2),
        "'a.txt': its extra fields are malformed",
    ),
    "zip64 sizes that nobody asked for": (
        both(extra=wide(25)),
        "'a.txt': its zip64 extra field does not fit its header",
    ),
    "zip64 sizes that are missing": (
        both(size=MAX_32),
        "'a.txt': its zip64 extra field does not fit its header",
    ),
    "encryption": (both(flags=1), "'a.txt': it is encrypted"),
    "unknown flags": (
        both(flags=0x2040),
        "'a.txt': it has flags that are not understood (0x2040)",
    ),
    "bzip2": (
        both(method=12),
        "'a.txt': it is compressed by method 12, not by deflate",
    ),
    "a symbolic link": (
        zipped(Entry(mode=LINK)),
        "'a.txt': it is a link or a device (mode 120777)",
    ),
    "a device": (
        zipped(Entry(mode=DEVICE)),
        "'a.txt': it is a link or a device (mode 60644)",
    ),
    "a file with a folder's mode": (
        zipped(Entry(mode=FOLDER)),
        "'a.txt': its name and its mode (40755) disagree on whether it is a folder",
    ),
    "a folder with a file's mode": (
        zipped(Entry(name=b"a/", content=b"", mode=FILE)),
        "'a/': its name and its mode (100644) disagree on whether it is a folder",
    ),
    "a folder with contents": (
        zipped(Entry(name=b"a/")),
        "'a/': it is a folder that has contents",
    ),
    "stored bytes of two sizes": (
        both(method=0, size=3),
        f"'a.txt': it is stored, but its sizes differ: {SUMS[1]} and 3 bytes",
    ),
    "more than deflate can do": (
        both(size=1 << 30),
        f"'a.txt': {SUMS[1]} bytes can't inflate to 1073741824",
    ),
    "a file beyond the limit": (
        both(size=MAX_FILE + 1, compressed=MAX_FILE),
        "'a.txt': it is larger than 2147483648 bytes",
    ),
    "more compressed bytes than the limit": (
        both(compressed=MAX_FILE + 1),
        "'a.txt': it is larger than 2147483648 bytes",
    ),
    "the same name twice": (zipped(ONE, ONE), "'a.txt': it is there twice"),
    "the same folder twice": (
        zipped(*[Entry(name=b"a/", content=b"")] * 2),
        "'a/': it is there twice",
    ),
    "a file and a folder of one name": (
        zipped(Entry(name=b"a/", content=b""), Entry(name=b"a")),
        "'a': it is both a file and a folder",
    ),
    "a file in a file": (
        zipped(Entry(name=b"a/b/c"), Entry(name=b"a/b.c"), Entry(name=b"a/b")),
        "'a/b': it is both a file and a folder",
    ),
    "entries at one place": (
        zipped(ONE, Entry(name=b"b.txt", directory={"offset": 0})),
        "'a.txt': it overlaps what follows it",
    ),
    "an entry that reaches into the next": (
        zipped(Entry(directory={"compressed": 99}), TWO),
        "'a.txt': it overlaps what follows it",
    ),
    "an entry that reaches into the directory": (
        zipped(Entry(directory={"compressed": 99})),
        "'a.txt': it overlaps what follows it",
    ),
}


def cases(table: dict[str, tuple[bytes, str]]) -> list[Any]:
    return [pytest.param(*row, id=name) for name, row in table.items()]


@pytest.mark.parametrize(("archive", "reason"), cases(REFUSED))
def test_a_directory_is_refused_with(archive: bytes, reason: str) -> None:
    with pytest.raises(ArchiveError) as caught:
        read_directory(archive, len(archive), archive="evil.whl")

    assert caught.value.message == f"evil.whl: {reason}"


def test_more_bytes_in_all_than_the_limit_are_refused() -> None:
    entries = [
        Entry(
            name=b"%d" % number,
            data=bytes(MAX_FILE // 1000),
            directory={"size": MAX_FILE},
        )
        for number in range(5)
    ]
    archive = zipped(*entries)

    with pytest.raises(ArchiveError) as caught:
        read_directory(archive, len(archive))

    assert caught.value.message == (
        f"archive: it inflates to {5 * MAX_FILE} bytes, more than {MAX_TOTAL}"
    )


def test_a_directory_beyond_the_limit_is_not_asked_for() -> None:
    size = MAX_DIRECTORY + 1
    tail = bytes(98) + END.pack(END_SIGNATURE, 0, 0, 1, 1, size, 0, 0)

    with pytest.raises(ArchiveError) as caught:
        read_directory(tail, size + END.size)

    assert caught.value.message == (
        "archive: its directory is longer than 33554432 bytes"
    )


def test_a_directory_is_the_same_from_a_tail_as_from_the_whole() -> None:
    archive = zipped(ONE, TWO)
    whole = read_directory(archive, len(archive))

    tails = [archive[start:] for start in range(whole.start + 1)]

    assert {read_directory(tail, len(archive)) for tail in tails} == {whole}


def test_a_tail_without_the_directory_asks_for_exactly_that() -> None:
    archive = zipped(ONE, TWO)
    directory = read_directory(archive, len(archive))

    with pytest.raises(NeedMore) as caught:
        read_directory(archive[directory.start + 1 :], len(archive))

    assert caught.value.start == directory.start


def test_a_tail_without_room_for_zip64_asks_for_that_first() -> None:
    archive = zipped(ONE, TWO, zip64={})

    with pytest.raises(NeedMore) as caught:
        read_directory(archive[-97:], len(archive))

    assert caught.value.start == len(archive) - 98


def test_a_directory_tells_folders_and_their_paths() -> None:
    archive = zipped(Entry(name=b"f/g/", content=b"", mode=FOLDER))

    [member] = read_directory(archive, len(archive)).members

    assert (member.is_folder, member.path, member.mode) == (True, "f/g", FOLDER)
