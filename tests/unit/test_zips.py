from __future__ import annotations

import hashlib
import io
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from layerforge.archives import zips
from layerforge.archives.zipformat import (
    DESCRIPTOR,
    DESCRIPTOR_SIGNATURE,
    END,
    END_SIGNATURE,
    MAX_16,
    MAX_32,
    ZIP64_DESCRIPTOR,
)
from layerforge.archives.zips import index_zip, read_zip_directory
from layerforge.elf import reader as elf_reader
from layerforge.errors import ArchiveError
from tests.zipwriter import (
    DEFERRED,
    FOLDER,
    LINK,
    NO_END,
    ONE,
    SUMS,
    TWO,
    Entry,
    both,
    deflated,
    extra,
    wide,
    zipped,
)


def refusal(archive: bytes, folder: Path) -> str:
    path = folder / "evil-1.0-py3-none-any.whl"
    path.write_bytes(archive)
    with pytest.raises(ArchiveError) as caught:
        index_zip(path)
    return caught.value.message


def contents(archive: bytes, folder: Path) -> dict[str, bytes]:
    path = folder / "good-1.0-py3-none-any.whl"
    path.write_bytes(archive)
    return {
        entry.path: entry.content.inflated()
        for entry in index_zip(path)
        if entry.content is not None
    }


def described(descriptor: bytes, local: dict[str, int] = DEFERRED) -> bytes:
    entry = Entry(local=local, directory={"flags": 8}, behind=descriptor)
    return zipped(entry, TWO)


REFUSED = {
    "bytes before the first entry": (
        zipped(Entry(before=b"MZ")),
        "2 bytes stand before its first entry",
    ),
    "bytes that are all of an archive": (
        zipped(Entry())[: -END.size - 51]
        + END.pack(END_SIGNATURE, 0, 0, 0, 0, 0, len(zipped(ONE)) - END.size - 51, 0),
        f"{len(zipped(ONE)) - END.size - 51} bytes stand before its first entry",
    ),
    "bytes between entries": (
        zipped(ONE, Entry(name=b"b.txt", before=b"hidden")),
        "'a.txt': 6 bytes behind it belong to no entry",
    ),
    "bytes before the directory": (
        zipped(Entry(behind=b"hidden")),
        "'a.txt': 6 bytes behind it belong to no entry",
    ),
    "a whole entry that the directory leaves out": (
        zipped(Entry(behind=TWO.local_bytes())),
        f"'a.txt': {len(TWO.local_bytes())} bytes behind it belong to no entry",
    ),
    "an offset where no header is": (
        zipped(Entry(local={"signature": b"PK\x03\x05"})),
        "'a.txt': no header is where the directory says",
    ),
    "another name in the header": (
        zipped(Entry(local={"name": b"b.txt"})),
        "'a.txt': its header and the directory disagree on its name",
    ),
    "a longer name in the header": (
        zipped(Entry(local={"name": b"a.txt.exe"}), TWO),
        "'a.txt': its header and the directory disagree on its name",
    ),
    "a name in the header that leaves the file": (
        zipped(Entry(local={"name_length": MAX_16})),
        "'a.txt': the archive is cut short, or changed while it was read",
    ),
    "other flags in the header": (
        zipped(Entry(local={"flags": 1 << 11})),
        "'a.txt': its header and the directory disagree on its flags",
    ),
    "another method in the header": (
        zipped(Entry(local={"method": 0})),
        "'a.txt': its header and the directory disagree on its method",
    ),
    "another checksum in the header": (
        zipped(Entry(local={"crc32": 1})),
        "'a.txt': its header and the directory disagree on its checksum or sizes",
    ),
    "another size in the header": (
        zipped(Entry(local={"size": 1})),
        "'a.txt': its header and the directory disagree on its checksum or sizes",
    ),
    "another length in the header": (
        zipped(Entry(local={"compressed": 1})),
        "'a.txt': its header and the directory disagree on its checksum or sizes",
    ),
    "zeros in the header without a descriptor": (
        zipped(Entry(local={"crc32": 0, "compressed": 0, "size": 0})),
        "'a.txt': its header and the directory disagree on its checksum or sizes",
    ),
    "a header of zeros and lies": (
        described(DESCRIPTOR.pack(*SUMS), {**DEFERRED, "size": 7}),
        "'a.txt': its header and the directory disagree on its checksum or sizes",
    ),
    "another zip64 size in the header": (
        zipped(
            Entry(
                local={"size": MAX_32, "compressed": MAX_32, "extra": wide(7, SUMS[1])}
            )
        ),
        "'a.txt': its header and the directory disagree on its checksum or sizes",
    ),
    "a zip64 size that nobody asked for, and another": (
        zipped(Entry(local={"extra": wide(7, SUMS[1])})),
        "'a.txt': its zip64 extra field does not fit its header",
    ),
    "a second name in the header": (
        zipped(Entry(local={"extra": extra(0x7075, b"\1\0\0\0\0x")})),
        "'a.txt': it has a second name, in an extra field",
    ),
    "an extra field that pushes the data into the next": (
        zipped(Entry(local={"extra": extra(0x5455, bytes(9)), "data": b""}), TWO),
        "'a.txt': it overlaps what follows it",
    ),
    "a descriptor of another checksum": (
        described(DESCRIPTOR.pack(SUMS[0] ^ 1, *SUMS[1:])),
        "'a.txt': its data descriptor and the directory disagree",
    ),
    "a descriptor of another size": (
        described(DESCRIPTOR_SIGNATURE + DESCRIPTOR.pack(*SUMS[:2], 3)),
        "'a.txt': its data descriptor and the directory disagree",
    ),
    "a wide descriptor of another size": (
        described(ZIP64_DESCRIPTOR.pack(*SUMS[:2], 3)),
        "'a.txt': its data descriptor and the directory disagree",
    ),
    "a descriptor that is missing": (
        described(b""),
        "'a.txt': its data descriptor and the directory disagree",
    ),
    "a descriptor with more behind it": (
        described(DESCRIPTOR.pack(*SUMS) + b"\0"),
        "'a.txt': its data descriptor and the directory disagree",
    ),
    "a descriptor and hidden bytes": (
        described(DESCRIPTOR.pack(*SUMS) + b"\0" * 99),
        "'a.txt': 111 bytes behind it belong to no entry",
    ),
    "damaged data": (
        zipped(Entry(data=b"\xff" * 9)),
        "'a.txt': its deflated data is damaged",
    ),
    "no data": (
        zipped(Entry(content=b"", data=b"")),
        "'a.txt': its deflated data does not end where it should",
    ),
    "data that ends too late": (
        zipped(Entry(data=deflated(ONE.content)[:-1])),
        "'a.txt': its deflated data does not end where it should",
    ),
    "data with a byte behind it": (
        zipped(Entry(data=deflated(ONE.content) + b"\0")),
        "'a.txt': its deflated data does not end where it should",
    ),
    "data with much behind it": (
        zipped(Entry(data=deflated(ONE.content) + b"\0" * (1 << 20))),
        "'a.txt': its deflated data does not end where it should",
    ),
    "less data than declared": (
        both(size=30),
        f"'a.txt': it inflates to {SUMS[2]} bytes, not to 30",
    ),
    "more data than declared": (
        both(size=24),
        "'a.txt': it inflates to more than 24 bytes",
    ),
    "another checksum": (
        both(crc32=1),
        "'a.txt': its contents do not have its checksum",
    ),
    "another checksum of stored bytes": (
        both(method=0, size=SUMS[1]),
        "'a.txt': its contents do not have its checksum",
    ),
}


@pytest.mark.parametrize(
    ("archive", "reason"),
    [pytest.param(*row, id=name) for name, row in REFUSED.items()],
)
def test_an_archive_is_refused_for(archive: bytes, reason: str, tmp_path: Path) -> None:
    assert refusal(archive, tmp_path) == f"evil-1.0-py3-none-any.whl: {reason}"


def test_what_its_directory_is_refused_for_an_archive_is(tmp_path: Path) -> None:
    assert refusal(zipped(Entry(mode=LINK)), tmp_path) == (
        "evil-1.0-py3-none-any.whl: 'a.txt': it is a link or a device (mode 120777)"
    )


def test_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "evil.whl"
    path.write_bytes(b"")

    with pytest.raises(ArchiveError) as caught:
        index_zip(path)

    assert caught.value.remedy == (
        "Fetch it anew; where it stays so, choose another version and tell its "
        "maintainers."
    )


def test_a_message_names_the_archive_as_told(tmp_path: Path) -> None:
    path = tmp_path / "5f2b"
    path.write_bytes(b"")

    with pytest.raises(ArchiveError) as caught:
        index_zip(path, archive="evil-1.0.whl")

    assert caught.value.message == f"evil-1.0.whl: {NO_END}"


def test_an_archive_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as caught:
        index_zip(tmp_path / "gone.whl")

    assert caught.value.message == "gone.whl: No such file or directory"


# -- lawful archives ---------------------------------------------------------------

FILES = {
    "pkg/__init__.py": b"",
    "pkg/data.txt": b"some text, some text, some text\n" * 50,
    "pkg/noise.bin": bytes(range(256)) * 3,
}


class OneWay(io.BytesIO):
    """A stream that can't seek, so zipfile writes data descriptors."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError


def by_zipfile(
    files: dict[str, bytes],
    *,
    method: int = zipfile.ZIP_DEFLATED,
    zip64: bool = False,
    seekable: bool = True,
) -> bytes:
    stream = io.BytesIO() if seekable else OneWay()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            with archive.open(name, "w", force_zip64=zip64) as member:
                member.write(content)
    return stream.getvalue()


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(by_zipfile(FILES, method=0), id="stored"),
        pytest.param(by_zipfile(FILES), id="deflated"),
        pytest.param(
            by_zipfile(FILES, method=0, seekable=False), id="stored, with descriptors"
        ),
        pytest.param(
            by_zipfile(FILES, seekable=False), id="deflated, with descriptors"
        ),
        pytest.param(by_zipfile(FILES, zip64=True), id="zip64 in headers"),
        pytest.param(
            by_zipfile(FILES, zip64=True, seekable=False), id="zip64 descriptors"
        ),
    ],
)
def test_contents_are_equal_when(archive: bytes, tmp_path: Path) -> None:
    assert contents(archive, tmp_path) == FILES


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(zipped(ONE, TWO), id="plain"),
        pytest.param(zipped(ONE, TWO, reverse=True), id="directory in another order"),
        pytest.param(zipped(ONE, TWO, zip64={}), id="zip64 end"),
        pytest.param(
            zipped(
                ONE,
                TWO,
                end={"here": MAX_16, "count": MAX_16, "size": MAX_32, "start": MAX_32},
                zip64={},
            ),
            id="zip64 end that is needed",
        ),
        pytest.param(
            zipped(
                Entry(
                    directory={
                        "size": MAX_32,
                        "compressed": MAX_32,
                        "offset": MAX_32,
                        "extra": wide(SUMS[2], SUMS[1], 0),
                    }
                ),
                TWO,
            ),
            id="zip64 in the directory",
        ),
        pytest.param(described(DESCRIPTOR.pack(*SUMS)), id="descriptor"),
        pytest.param(
            described(DESCRIPTOR_SIGNATURE + DESCRIPTOR.pack(*SUMS)),
            id="signed descriptor",
        ),
        pytest.param(described(ZIP64_DESCRIPTOR.pack(*SUMS)), id="wide descriptor"),
        pytest.param(
            described(DESCRIPTOR_SIGNATURE + ZIP64_DESCRIPTOR.pack(*SUMS)),
            id="signed wide descriptor",
        ),
        pytest.param(
            described(DESCRIPTOR.pack(*SUMS), {"flags": 8}),
            id="descriptor that repeats the header",
        ),
        pytest.param(
            zipped(Entry(local={"flags": 6}, directory={"flags": 6}), TWO),
            id="deflate options",
        ),
        pytest.param(
            zipped(Entry(local={"extra": extra(0x5455, b"\3" + bytes(8))}), TWO),
            id="extra fields of one header only",
        ),
        pytest.param(
            zipped(Entry(local={"extra": wide(SUMS[2], SUMS[1])}), TWO),
            id="zip64 sizes that repeat the header's",
        ),
        pytest.param(
            zipped(Entry(directory={"comment": b"for people"}), TWO),
            id="comment of an entry",
        ),
        pytest.param(
            zipped(Entry(name=b"f/", content=b"", mode=FOLDER), ONE, TWO), id="folder"
        ),
    ],
)
def test_both_files_are_read_from_an_archive_with(
    archive: bytes, tmp_path: Path
) -> None:
    assert contents(archive, tmp_path) == {"a.txt": ONE.content, "b.txt": TWO.content}


def test_an_archive_of_nothing_has_no_files(tmp_path: Path) -> None:
    assert contents(zipped(), tmp_path) == {}


def test_names_may_be_unicode(tmp_path: Path) -> None:
    files = {"pkg/größe-数.txt": b"1"}

    assert contents(by_zipfile(files), tmp_path) == files


def test_a_name_that_only_begins_like_another_is_no_clash(tmp_path: Path) -> None:
    names = ["a", "a-b/c", "a.b", "ab/c", "a0"]
    archive = zipped(*(Entry(name=name.encode()) for name in names))

    assert list(contents(archive, tmp_path)) == names


def test_files_come_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    archive = zipped(TWO, ONE, reverse=True)

    assert list(contents(archive, tmp_path)) == ["b.txt", "a.txt"]


@pytest.mark.parametrize(
    ("mode", "executable"),
    [(0, False), (0o100644, False), (0o100755, True), (0o100010, True)],
)
def test_any_x_bit_makes_a_file_executable(
    mode: int, *, executable: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(zipped(Entry(mode=mode)))

    [entry] = index_zip(path)

    assert entry.executable is executable


def test_attributes_of_another_system_are_no_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(zipped(Entry(mode=LINK, directory={"made_by": 20})))

    [entry] = index_zip(path)

    assert entry.executable is False


def test_content_says_where_the_bytes_are_and_what_they_become(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(zipped(TWO, ONE))

    content = index_zip(path)[1].content

    assert content is not None
    assert content.raw() == deflated(ONE.content)
    assert (content.crc32, content.length, content.size) == SUMS
    assert (content.file, content.method) == (str(path), 8)
    assert content.sha256 == hashlib.sha256(ONE.content).hexdigest()


def test_a_directory_longer_than_a_first_guess_is_read(tmp_path: Path) -> None:
    files = {f"{number:04}-{'x' * 60}": b"%d" % number for number in range(1500)}
    archive = by_zipfile(files)

    assert contents(archive, tmp_path) == files


# -- bombs -------------------------------------------------------------------------


def peak_of(act: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def zeros(size: int) -> bytes:
    deflater = zlib.compressobj(9, wbits=-15)
    chunk = bytes(1 << 20)
    parts = [deflater.compress(chunk) for _ in range(size >> 20)]
    return b"".join(parts) + deflater.flush()


def test_a_bomb_is_refused_before_it_costs_memory(tmp_path: Path) -> None:
    bomb = zipped(Entry(data=zeros(64 << 20)))
    messages: list[str] = []

    peak = peak_of(lambda: messages.append(refusal(bomb, tmp_path)))

    assert messages == [
        "evil-1.0-py3-none-any.whl: 'a.txt': it inflates to more than 25 bytes"
    ]
    assert peak < 2 << 20


def test_a_large_file_is_read_in_little_memory(tmp_path: Path) -> None:
    size = 32 << 20
    said = {"size": size, "crc32": zlib.crc32(bytes(size))}
    path = tmp_path / "large.whl"
    path.write_bytes(zipped(Entry(data=zeros(size), local=said, directory=said)))

    assert peak_of(lambda: index_zip(path)) < 2 << 20


def test_a_large_image_is_held_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = b"\x7fELF" + bytes(16 << 20)
    path = tmp_path / "large.whl"
    path.write_bytes(zipped(Entry(content=image)))
    monkeypatch.setattr(elf_reader, "read_facts", lambda _image: None)

    assert peak_of(lambda: index_zip(path)) < len(image) + (2 << 20)


# -- ELF files ---------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="takes this system's own Python")
def test_an_elf_file_is_known_by_its_magic(tmp_path: Path) -> None:
    python = Path(sys.executable).read_bytes()
    path = tmp_path / "a.whl"
    path.write_bytes(zipped(Entry(name=b"libx.txt", content=python), TWO))

    entries = index_zip(path)

    assert [entry.elf for entry in entries] == [elf_reader.read_facts(python), None]


def test_a_broken_elf_file_has_no_facts(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(zipped(Entry(content=b"\x7fELF and no more")))

    [entry] = index_zip(path)

    assert entry.elf is None


def test_only_elf_files_within_the_limit_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [b"\x7fELF in", b"\x7fELF beyond", b"other"]
    path = tmp_path / "a.whl"
    path.write_bytes(zipped(*(Entry(name=it[4:], content=it) for it in images)))
    seen: list[bytes] = []
    monkeypatch.setattr(zips, "MAX_IMAGE", len(images[0]))
    monkeypatch.setattr(elf_reader, "read_facts", lambda it: seen.append(bytes(it)))

    index_zip(path)

    assert seen == [images[0]]


def test_an_image_that_trickles_in_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = b"\x7fELF" + bytes(range(256))
    deflater = zlib.compressobj(wbits=-15)
    data = deflater.compress(image[:3]) + deflater.flush(zlib.Z_SYNC_FLUSH)
    data += b"\0\0\0\xff\xff" * 100_000  # empty blocks, more than is read at once
    data += deflater.compress(image[3:]) + deflater.flush()
    path = tmp_path / "a.whl"
    path.write_bytes(zipped(Entry(content=image, data=data)))
    seen: list[bytes] = []
    monkeypatch.setattr(elf_reader, "read_facts", lambda it: seen.append(bytes(it)))

    index_zip(path)

    assert seen == [image]


# -- a file that changes while it is read ------------------------------------------


def changing(
    change: Callable[[IO[bytes]], object], path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Index an archive that is changed once its first file was read."""
    large = bytes(1 << 20)
    stored = {"method": 0}
    second = Entry(name=b"b", content=large, data=large, local=stored, directory=stored)
    path.write_bytes(zipped(Entry(content=b"\x7fELF"), second))

    def read_facts(_image: object) -> None:
        with path.open("r+b") as stream:
            change(stream)

    monkeypatch.setattr(elf_reader, "read_facts", read_facts)
    with pytest.raises(ArchiveError) as caught:
        index_zip(path)
    return caught.value.message


def test_an_archive_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = changing(
        lambda stream: (stream.seek(0, 2), stream.write(b"more")),
        tmp_path / "a.whl",
        monkeypatch,
    )

    assert message == "a.whl: it changed while it was read"


def test_an_archive_that_shrinks_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = changing(
        lambda stream: stream.truncate(600_000), tmp_path / "a.whl", monkeypatch
    )

    assert message == (
        "a.whl: 'b': the archive is cut short, or changed while it was read"
    )


# -- links, which layers may have --------


def test_a_link_of_a_layer_has_its_target(tmp_path: Path) -> None:
    path = tmp_path / "layer.zip"
    path.write_bytes(
        zipped(Entry(name=b"lib/libx.so", content=b"libx.so.1", mode=LINK))
    )

    [entry] = index_zip(path, layer=True)

    assert (entry.path, entry.link, entry.content) == (
        "lib/libx.so",
        "libx.so.1",
        None,
    )


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (b"x" * 4097, "it is a link to a name longer than 4096 bytes"),
        (b"\xff", "it is a link to a name that is not UTF-8"),
    ],
)
def test_a_link_to_a_name_that_is_none_is_refused(
    tmp_path: Path, target: bytes, reason: str
) -> None:
    path = tmp_path / "layer.zip"
    path.write_bytes(zipped(Entry(content=target, mode=LINK)))

    with pytest.raises(ArchiveError) as caught:
        index_zip(path, layer=True)

    assert caught.value.message == f"layer.zip: 'a.txt': {reason}"


# -- comments, which layers may have --------


@pytest.mark.parametrize("length", [1, 16, 65_535])
def test_a_layer_may_have_a_comment(tmp_path: Path, length: int) -> None:
    path = tmp_path / "layer.zip"
    path.write_bytes(zipped(ONE, end={"comment": length}) + b"c" * length)

    [entry] = index_zip(path, layer=True)

    assert entry.path == "a.txt"
    assert [one.name for one in read_zip_directory(path, layer=True).members] == [
        "a.txt"
    ]


def test_a_comment_that_readers_may_take_for_the_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "layer.zip"
    inner = zipped()
    path.write_bytes(zipped(ONE, end={"comment": len(inner)}) + inner)

    with pytest.raises(ArchiveError) as caught:
        index_zip(path, layer=True)

    assert caught.value.message == (
        "layer.zip: its directory is not where its end says"
    )


def test_bytes_behind_the_end_of_a_layer_are_no_comment(tmp_path: Path) -> None:
    path = tmp_path / "layer.zip"
    path.write_bytes(zipped(ONE) + b"more")

    with pytest.raises(ArchiveError) as caught:
        index_zip(path, layer=True)

    assert caught.value.message == (
        "layer.zip: it is no zip archive, is cut short, or has bytes behind its end"
    )
