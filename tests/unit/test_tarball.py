from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layerforge.archives import tarball
from layerforge.archives.tarball import index_tarball
from layerforge.errors import ArchiveError
from layerforge.store import Store
from layerforge.tree import FileEntry
from tests.elf_files import DATA, TEXT, X86_64, make_elf

END = bytes(1024)
NAME = "package/a.js"


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A header with any mistake, and what stands behind it."""

    name: str | bytes = NAME
    content: bytes = b""
    kind: bytes = b"0"
    mode: bytes = b"0000644\0"
    size: bytes | None = None
    target: str = ""
    magic: bytes = b"ustar\x0000"
    prefix: bytes = b""
    checksum: bytes | None = None
    body: bytes | None = None

    def __bytes__(self) -> bytes:
        name = self.name.encode() if isinstance(self.name, str) else self.name
        size = b"%011o\0" % len(self.content) if self.size is None else self.size
        head = name.ljust(100, b"\0") + self.mode.ljust(24, b"\0") + size.ljust(24)
        tail = self.kind + self.target.encode().ljust(100, b"\0")
        tail += self.magic.ljust(88, b"\0") + self.prefix.ljust(167, b"\0")
        total = sum(head) + sum(tail) + 8 * ord(" ")
        checksum = b"%06o\0 " % total if self.checksum is None else self.checksum
        body = self.content + bytes(-len(self.content) % 512)
        return head + checksum + tail + (body if self.body is None else self.body)


def record(word: str, value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    rest = b" " + word.encode() + b"=" + raw + b"\n"
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return str(length).encode() + rest


def pax(*records: bytes, kind: bytes = b"x") -> Raw:
    return Raw(name="PaxHeader/a", kind=kind, content=b"".join(records))


def gnu(name: str, kind: bytes = b"L") -> Raw:
    return Raw(name="././@LongLink", kind=kind, content=name.encode() + b"\0")


def tar(*parts: Raw | bytes, end: bytes = END) -> bytes:
    return gzip.compress(b"".join(map(bytes, parts)) + end, mtime=0)


def index(archive: bytes, folder: Path) -> tuple[FileEntry, ...]:
    path = folder / "SHA256"
    path.write_bytes(archive)
    digest = hashlib.sha512(path.read_bytes()).hexdigest()
    return index_tarball(path, "demo-1.0.0.tgz", digest, Store(folder / "store"))


def contents(archive: bytes, folder: Path) -> dict[str, bytes]:
    return {
        entry.path: entry.content.inflated()
        for entry in index(archive, folder)
        if entry.content
    }


def refusal(archive: bytes, folder: Path) -> str:
    with pytest.raises(ArchiveError) as caught:
        index(archive, folder)
    return caught.value.message


def written(form: int, files: dict[str, bytes], **fields: Any) -> bytes:  # noqa: ANN401  any field of a TarInfo
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for field, value in fields.items():
                setattr(member, field, value)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


LONG = "package/" + "folder/" * 30 + "ä" * 100 + ".js"
ONE = Raw(content=b"one")
OTHER = Raw(content=b"other")
CASE = "it is another file than 'package/a.js', and their names differ in case alone"
TWICE = "it is there twice, with different contents"
APART = "its type, its target and its size do not go together"
MALFORMED = "its extended header is malformed"
BEHIND = "bytes stand behind its end"
SHORT = "the archive is cut short"
DAMAGED = "it is no gzip file, or damaged"


@pytest.mark.parametrize(
    "form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
def test_each_format_is_read(tmp_path: Path, form: int) -> None:
    files = {"package/package.json": b"{}", "package/lib/a.js": b"a" * 1000}

    found = contents(written(form, files), tmp_path)

    assert found == {"package.json": b"{}", "lib/a.js": b"a" * 1000}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read(tmp_path: Path, form: int) -> None:
    found = contents(written(form, {LONG: b"x"}), tmp_path)

    assert found == {LONG.removeprefix("package/"): b"x"}


def test_a_name_in_two_fields_is_read(tmp_path: Path) -> None:
    name = "package/" + "folder/" * 15 + "a.js"

    found = contents(written(tarfile.USTAR_FORMAT, {name: b"x"}), tmp_path)

    assert list(found) == [name.removeprefix("package/")]


@pytest.mark.parametrize("name", ["node-v1/a.js", "./a.js", "@types/a.js", "ä/a.js"])
def test_the_first_part_of_a_name_goes_whatever_it_is(
    tmp_path: Path, name: str
) -> None:
    assert list(contents(tar(Raw(name=name)), tmp_path)) == ["a.js"]


@pytest.mark.parametrize("name", ["p/./b/a.js", "p//b/a.js", "p/b/./a.js"])
def test_what_does_not_change_a_path_goes(tmp_path: Path, name: str) -> None:
    assert list(contents(tar(Raw(name=name)), tmp_path)) == ["b/a.js"]


def test_a_long_name_decides_what_is_a_folder(tmp_path: Path) -> None:
    name = "package/" + "a" * 91 + "/b.js"
    cut = Raw(name=name[:100], content=b"one")

    assert list(contents(tar(gnu(name), cut), tmp_path)) == ["a" * 91 + "/b.js"]


def test_a_file_in_no_folder_is_left_out(tmp_path: Path) -> None:
    assert list(contents(tar(Raw(name="._package"), ONE), tmp_path)) == ["a.js"]


@pytest.mark.parametrize(
    ("mode", "executable"),
    [(0o644, False), (0o755, True), (0o700, True), (0o654, True), (0o4666, False)],
)
def test_any_x_bit_makes_a_file_executable(
    tmp_path: Path, mode: int, *, executable: bool
) -> None:
    (entry,) = index(tar(Raw(mode=b"%07o\0" % mode)), tmp_path)

    assert entry.executable is executable


def test_a_library_has_facts(tmp_path: Path) -> None:
    archive = tar(Raw(content=bytes(make_elf(TEXT, DATA))))

    (entry,) = index(archive, tmp_path)

    assert entry.elf is not None
    assert entry.elf.machine == X86_64


def test_what_only_begins_like_a_library_has_none(tmp_path: Path) -> None:
    (entry,) = index(tar(Raw(content=b"\x7fELF...")), tmp_path)

    assert entry.elf is None


def test_all_of_a_package_lies_in_one_file_of_the_store(tmp_path: Path) -> None:
    archive = tar(Raw(content=b"x" * 99), Raw(name="package/b.js", content=b"y" * 99))

    entries = index(archive, tmp_path)

    contents = Store(tmp_path / "store").contents(hashlib.sha512(archive).hexdigest())
    assert {entry.content.file for entry in entries if entry.content} == {str(contents)}
    assert [entry.content.inflated() for entry in entries if entry.content] == [
        b"x" * 99,
        b"y" * 99,
    ]


def test_a_package_that_is_refused_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    archive = tar(Raw(content=b"x" * 99), Raw(name="package/../../b.js"))

    with pytest.raises(ArchiveError):
        index(archive, tmp_path)

    contents = tmp_path / "store" / "contents"
    assert [path for path in contents.rglob("*") if path.is_file()] == []


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    assert contents(tar(Raw()), tmp_path) == {"a.js": b""}


def test_a_folder_is_no_entry(tmp_path: Path) -> None:
    folder = Raw(name="package/lib/", kind=b"5", mode=b"0000755\0")

    assert index(tar(folder), tmp_path) == ()


def test_a_folder_of_the_first_format_is_a_folder(tmp_path: Path) -> None:
    folder = Raw(name="package/lib/", kind=b"\0", magic=b"")

    assert index(tar(folder), tmp_path) == ()


def test_a_size_that_a_folder_has_on_disk_is_passed_over(tmp_path: Path) -> None:
    folder = Raw(name="package/lib/", kind=b"5", size=b"00000010000\0")

    assert list(contents(tar(folder, ONE), tmp_path)) == ["a.js"]


@pytest.mark.parametrize(
    "link",
    [
        pytest.param(Raw(name="package/b/c", kind=b"2", target="../a.js"), id="soft"),
        pytest.param(Raw(name="package/b", kind=b"1", target=NAME), id="hard"),
        pytest.param(Raw(name="./b", kind=b"2", target="a.js"), id="beside"),
    ],
)
def test_links_are_left_out_as_by_npm(tmp_path: Path, link: Raw) -> None:
    assert list(contents(tar(link, ONE), tmp_path)) == ["a.js"]


def test_a_long_target_is_read(tmp_path: Path) -> None:
    inside = gnu("a/" * 90 + "../" * 90 + "a.js", kind=b"K")
    link = Raw(name="package/b", kind=b"2")

    assert index(tar(inside, link), tmp_path) == ()


def test_gitignore_is_called_npmignore(tmp_path: Path) -> None:
    archive = tar(Raw(name="package/lib/.gitignore", content=b"git"))

    assert contents(archive, tmp_path) == {"lib/.npmignore": b"git"}


@pytest.mark.parametrize(
    "names", [(".gitignore", ".npmignore"), (".npmignore", ".gitignore")]
)
def test_gitignore_gives_way_to_npmignore(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    archive = tar(*(Raw(name=f"package/{it}", content=it.encode()) for it in names))

    assert contents(archive, tmp_path) == {".npmignore": b".npmignore"}


def test_of_two_equal_files_at_one_place_the_first_is_taken(tmp_path: Path) -> None:
    executable = Raw(content=b"one", mode=b"0000755\0")

    (entry,) = index(tar(executable, ONE), tmp_path)

    assert entry.executable


def test_equal_files_may_differ_in_case_alone(tmp_path: Path) -> None:
    archive = tar(ONE, Raw(name="package/A.js", content=b"one"))

    assert list(contents(archive, tmp_path)) == ["a.js", "A.js"]


def test_the_comment_of_a_git_archive_is_passed_over(tmp_path: Path) -> None:
    archive = tar(pax(record("comment", "c0ffee"), kind=b"g"), ONE)

    assert contents(archive, tmp_path) == {"a.js": b"one"}


def test_times_and_owners_are_passed_over(tmp_path: Path) -> None:
    words = (record("mtime", "1.5"), record("SCHILY.xattr.a", b"\xff\n\0"))

    assert contents(tar(pax(*words), ONE), tmp_path) == {"a.js": b"one"}


def test_a_size_that_two_headers_agree_on_is_lawful(tmp_path: Path) -> None:
    assert contents(tar(pax(record("size", "3")), ONE), tmp_path) == {"a.js": b"one"}


def test_a_binary_size_is_read(tmp_path: Path) -> None:
    binary = Raw(content=b"one", size=b"\x80" + bytes(10) + b"\3")

    assert contents(tar(binary), tmp_path) == {"a.js": b"one"}


def test_a_gzip_file_of_several_members_is_one_stream(tmp_path: Path) -> None:
    raw = gzip.decompress(tar(ONE))
    archive = b"".join(gzip.compress(raw[at : at + 700]) for at in range(0, 2048, 700))

    assert contents(archive, tmp_path) == {"a.js": b"one"}


def test_zeros_behind_the_stream_are_passed_over(tmp_path: Path) -> None:
    assert contents(tar(ONE) + bytes(10_240), tmp_path) == {"a.js": b"one"}


def test_a_large_file_is_held_but_once(tmp_path: Path) -> None:
    size = 24 << 20
    archive = tar(Raw(content=bytes(size)))
    tracemalloc.start()

    index(archive, tmp_path)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.2 * size


def of(name: str) -> bytes:
    return tar(Raw(name=name))


REFUSED = {
    "no gzip": (b"PK\3\4", DAMAGED),
    "a plain tar": (gzip.decompress(tar(ONE)), DAMAGED),
    "nothing": (b"", SHORT),
    "a gzip file of nothing": (gzip.compress(b""), SHORT),
    "a stream that is cut short": (tar(ONE)[:-9], SHORT),
    "no checksum at the stream's end": (tar(ONE)[:-8], SHORT),
    "a wrong checksum of the stream": (tar(ONE)[:-8] + bytes(8), DAMAGED),
    "bytes behind the stream": (tar(ONE) + b"more", BEHIND),
    "a stream behind zeros": (tar(ONE) + bytes(9) + tar(OTHER), BEHIND),
    "a second tar": (tar(ONE) + tar(OTHER), BEHIND),
    "an entry behind the end": (tar(ONE, bytes(512), OTHER), BEHIND),
    "no end": (tar(ONE, end=b""), SHORT),
    "contents that end early": (
        tar(Raw(size=b"00000010000\0")),
        f"'package/a.js': {SHORT}",
    ),
    "a checksum that is another": (
        tar(Raw(checksum=b"0000000\0")),
        "a header does not have its checksum",
    ),
    "a checksum that is none": (
        tar(Raw(checksum=b"checksum")),
        "a header holds a number that is none",
    ),
    "a negative size": (
        tar(Raw(size=b"\xff" * 12)),
        "a header holds a number that is none",
    ),
    "an unknown format": (
        tar(Raw(magic=b"USTAR")),
        "a header is of no known format",
    ),
    "an empty name": (of(""), "'': the name is empty"),
    "an absolute name": (of("/etc/a"), "'/etc/a': the name is absolute"),
    "a drive": (of("C:/a"), "'C:/a': the name begins with a drive letter"),
    "a name that leaves": (
        of("package/../../a"),
        "'package/../../a': the name leaves the package",
    ),
    "a name that leaves at once": (of("../a"), "'../a': the name leaves the package"),
    "a backslash": (of("package/a\\b"), "'package/a\\\\b': the name holds a backslash"),
    "a control character": (
        of("package/a\n"),
        "'package/a\\n': the name holds a control character",
    ),
    "a name that is not UTF-8": (
        tar(Raw(name=b"package/\xff")),
        "'package/\\\\xff': the name is not UTF-8",
    ),
    "a long part": (
        tar(gnu("package/" + "a" * 256), Raw()),
        f"'package/{'a' * 192}...': a part of the name is longer than 255 bytes",
    ),
    "a long name": (
        tar(gnu("a/" * 2049 + "a"), Raw()),
        f"{'a/' * 100 + '...'!r}: the name is longer than 4096 bytes",
    ),
    "a device": (tar(Raw(kind=b"3")), "'package/a.js': it is a device"),
    "a fifo": (tar(Raw(kind=b"6")), "'package/a.js': it is a fifo"),
    "a sparse file": (tar(Raw(kind=b"S")), "'package/a.js': it is sparse"),
    "an unknown type": (
        tar(Raw(kind=b"Z")),
        "'package/a.js': it is of an unknown type, 'Z'",
    ),
    "a link that leaves": (
        tar(Raw(kind=b"2", target="../../a")),
        "'package/a.js': it is a link out of the package, to '../../a'",
    ),
    "a link to the package's parent": (
        tar(Raw(kind=b"2", target="..")),
        "'package/a.js': it is a link out of the package, to '..'",
    ),
    "an absolute link": (
        tar(Raw(kind=b"2", target="/etc/passwd")),
        "'package/a.js': it is a link out of the package, to '/etc/passwd'",
    ),
    "a hard link that leaves": (
        tar(Raw(kind=b"1", target="package/../../a")),
        "'package/a.js': it is a link out of the package, to 'package/../../a'",
    ),
    "a link to nothing": (tar(Raw(kind=b"2")), f"'package/a.js': {APART}"),
    "a file with a target": (tar(Raw(target="a")), f"'package/a.js': {APART}"),
    "a link with contents": (
        tar(Raw(kind=b"1", target=NAME, content=b"x")),
        f"'package/a.js': {APART}",
    ),
    "a file that is there twice": (tar(ONE, OTHER), f"'package/a.js': {TWICE}"),
    "a file that two folders hold": (
        tar(ONE, Raw(name="other/a.js")),
        f"'other/a.js': {TWICE}",
    ),
    "names that differ in case alone": (
        tar(ONE, Raw(name="package/A.js")),
        f"'package/A.js': {CASE}",
    ),
    "a file that is a folder by its name": (
        tar(ONE, Raw(name="package/A.JS/b")),
        "'package/a.js': it is both a file and a folder",
    ),
    "a file that is a folder": (
        tar(Raw(name="package/a.js/b/", kind=b"5"), ONE),
        "'package/a.js': it is both a file and a folder",
    ),
    "two sizes": (
        tar(pax(record("size", "512")), ONE),
        "'package/a.js': its headers disagree on its size",
    ),
    "two long names": (
        tar(gnu("package/b"), pax(record("path", "package/c")), ONE),
        "an entry has two extended headers that say the same",
    ),
    "a name for all": (
        tar(pax(record("path", "package/b"), kind=b"g"), ONE),
        "a global header speaks of the names or sizes of all entries",
    ),
    "a sparse file by pax": (
        tar(pax(record("GNU.sparse.major", "1")), ONE),
        "a sparse file is in it",
    ),
    "a record without length": (tar(pax(b"path=a\n"), ONE), MALFORMED),
    "a record that is too long": (tar(pax(b"99 path=a\n"), ONE), MALFORMED),
    "a record twice": (tar(pax(*[record("a", "b")] * 2), ONE), MALFORMED),
    "a record that npm sees within another": (
        tar(pax(record("comment", "\n14 path=evil/a")), ONE),
        MALFORMED,
    ),
    "a header that extends nothing": (
        tar(pax(record("path", "package/b"))),
        "an extended header stands at its end and belongs to no entry",
    ),
    "a header that is too long": (
        tar(Raw(kind=b"x", size=b"00010000000\0"), ONE),
        "a header is longer than 1048576 bytes",
    ),
    "a file that is too large": (
        tar(Raw(size=b"77777777777\0")),
        "'package/a.js': it is larger than 536870912 bytes",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_is_not_lawful_is_refused(tmp_path: Path, mistake: str) -> None:
    archive, reason = REFUSED[mistake]

    assert refusal(archive, tmp_path) == f"demo-1.0.0.tgz: {reason}"


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarball, "MAX_TOTAL", 1 << 20)
    bomb = tar(ONE, end=bytes(2 << 20))

    reason = "it inflates to more than 1048576 bytes"
    assert refusal(bomb, tmp_path) == f"demo-1.0.0.tgz: {reason}"


def test_too_many_entries_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tarball, "MAX_MEMBERS", 2)

    assert refusal(tar(ONE, ONE, ONE), tmp_path) == (
        "demo-1.0.0.tgz: it has more than 2 entries"
    )


def test_a_refusal_says_what_helps(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as caught:
        index(of("/etc/a"), tmp_path)

    assert caught.value.remedy == (
        "Fetch it anew; where it stays so, choose another version and tell its "
        "maintainers."
    )


def test_a_package_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as caught:
        index_tarball(
            tmp_path / "gone", "demo-1.0.0.tgz", "0" * 128, Store(tmp_path / "store")
        )

    assert caught.value.message == "demo-1.0.0.tgz: No such file or directory"
