from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from layerforge.difference import (
    Difference,
    FileChange,
    Layer,
    LibraryChange,
    PackageChange,
    SymbolChange,
    compare,
)
from layerforge.elf import ElfFacts
from layerforge.limits import UNZIPPED_LIMIT
from layerforge.manifest import BuildReport, PackageReport
from layerforge.reports.difference import (
    difference_document,
    difference_markdown,
    difference_text,
)
from layerforge.tree import STORED, Content, FileEntry
from tests.entries import make_entry

WIDTH = 80  # columns


def entry(
    path: str, size: int = 1, contents: str = "", **elf: tuple[str, ...]
) -> FileEntry:
    """Give a file; with ``needed`` or ``versions`` it is a library."""
    content = Content(
        file="",
        offset=0,
        length=size,
        method=STORED,
        size=size,
        crc32=0,
        sha256=contents,
    )
    facts = ElfFacts(machine=62, bits=64, **elf) if elf else None  # type: ignore[arg-type]  # no other fields are given
    return FileEntry(path=path, origin="", content=content, elf=facts)


def layer(*entries: FileEntry, place: str = "a.zip", sha: str = "") -> Layer:
    return Layer(
        place=place,
        zipped=sum(entry.size for entry in entries) // 2,
        code_sha256=sha or place,
        entries=entries,
    )


def built(package: PackageReport, place: str) -> Layer:
    """Give a layer whose manifest speaks of one package."""
    report = BuildReport(
        layer="web",
        runtime="python3.12",
        runtimes=("python3.12",),
        architecture="arm64",
        description="",
        licence="",
        zip=place,
        zipped=1,
        unzipped=1,
        files=1,
        code_sha256=place,
        tree_digest="",
        lock="",
        lock_digest="",
        packages=(package,),
        removals=(),
        trimmed=0,
        bytecode=0,
        bytecode_estimate=0,
        findings=(),
        layerforge="0.1.0",
    )
    one = layer(entry("python/demo/__init__.py", 1), place=place)
    return replace(one, manifest=report)


DEMO = PackageReport(
    name="demo",
    version="1.0",
    archive="demo-1.0-py3-none-any.whl",
    digest="sha256:aa",
    location="",
    size=100,
    files=1,
    required_by=(),
)
BEFORE = layer(
    entry("python/demo-1.0.dist-info/METADATA", 10, "old"),
    entry(
        "python/demo/core.so",
        1000,
        "a",
        needed=("libc.so.6",),
        versions=("GLIBC_2.17",),
    ),
    entry("python/gone-3.0.dist-info/METADATA", 5),
    entry("python/same.py", 7),
)
AFTER = layer(
    entry("python/demo-1.1.dist-info/METADATA", 12, "new"),
    entry(
        "python/demo/core.so",
        3000,
        "b",
        needed=("libc.so.6", "libgomp.so.1"),
        versions=("GLIBC_2.28", "GLIBCXX_3.4.9"),
    ),
    entry("python/new-2.0.dist-info/METADATA", 6),
    entry("python/same.py", 7),
    place="arn:aws:lambda:eu-west-1:123456789012:layer:web:7",
)


def test_packages_that_came_went_or_changed() -> None:
    difference = compare(BEFORE, AFTER)

    assert difference.packages == (
        PackageChange(name="demo", location="", before="1.0", after="1.1", growth=2002),
        PackageChange(name="gone", location="", before="3.0", after=None, growth=-5),
        PackageChange(name="new", location="", before=None, after="2.0", growth=6),
    )


def test_files_that_came_went_or_have_other_contents() -> None:
    difference = compare(BEFORE, AFTER)

    assert difference.files == (
        FileChange(path="python/demo-1.0.dist-info/METADATA", before=10, after=None),
        FileChange(path="python/demo-1.1.dist-info/METADATA", before=None, after=12),
        FileChange(path="python/demo/core.so", before=1000, after=3000),
        FileChange(path="python/gone-3.0.dist-info/METADATA", before=5, after=None),
        FileChange(path="python/new-2.0.dist-info/METADATA", before=None, after=6),
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"executable": True}, id="mode"),
        pytest.param({"content": None, "link": "b.py"}, id="link"),
    ],
)
def test_a_mode_or_a_link_is_part_of_a_file(change: dict[str, object]) -> None:
    one = entry("python/a.py")

    difference = compare(layer(one), layer(replace(one, **change)))  # type: ignore[arg-type]  # fields by name

    assert [file.path for file in difference.files] == ["python/a.py"]


def test_how_a_file_is_compressed_is_no_change(tmp_path: Path) -> None:
    data = b"x" * 1000
    one = make_entry(tmp_path, "python/a.py", data)
    other = make_entry(tmp_path, "python/a.py", data, level=0)

    difference = compare(layer(one), layer(other, place="b.zip"))

    assert (difference.same_contents, difference.same_bytes) == (True, False)


def test_libraries_that_the_runtime_must_have_from_now_on_or_no_longer() -> None:
    before = layer(entry("python/a.so", needed=("libz.so.1", "libold.so.1")))
    after = layer(
        entry("python/a.so", needed=("libz.so.1", "libnew.so.2")),
        entry("python/b.so", needed=("libnew.so.2",)),
    )

    assert compare(before, after).libraries == (
        LibraryChange(
            name="libnew.so.2", needed=True, needed_by=("python/a.so", "python/b.so")
        ),
        LibraryChange(name="libold.so.1", needed=False, needed_by=("python/a.so",)),
    )


def test_a_library_that_the_layer_brings_is_not_the_runtimes() -> None:
    before = layer(entry("python/a.so", needed=("libpq.so.5", "libssl.so.3")))
    named = replace(
        entry("lib/whatever"), elf=ElfFacts(machine=62, bits=64, soname="libssl.so.3")
    )
    after = layer(*before.entries, entry("lib/libpq.so.5"), named)

    gone = [change.name for change in compare(before, after).libraries]

    assert gone == ["libpq.so.5", "libssl.so.3"]


def test_the_newest_symbols_count_by_number() -> None:
    before = layer(entry("a.so", versions=("GLIBC_2.9", "GLIBC_2.17", "GLIBC_PRIVATE")))
    after = layer(
        entry("a.so", versions=("GLIBC_2.4",)), entry("b.so", versions=("GLIBC_2.34",))
    )

    assert compare(before, after).symbols == (
        SymbolChange(family="GLIBC", before="2.17", after="2.34"),
    )


def test_manifests_tell_of_packages_where_both_have_one() -> None:
    before = built(DEMO, "a.zip")
    after = built(replace(DEMO, version="1.1", size=130), "b.zip")

    assert compare(before, after).packages == (
        PackageChange(name="demo", location="", before="1.0", after="1.1", growth=30),
    )


def test_a_package_that_was_built_otherwise_is_another() -> None:
    before = built(DEMO, "a.zip")
    after = built(replace(DEMO, digest="sha256:bb"), "b.zip")

    assert compare(before, after).packages == (
        PackageChange(name="demo", location="", before="1.0", after="1.0", growth=0),
    )


def test_one_manifest_alone_is_not_compared_with_names_of_folders() -> None:
    before = built(DEMO, "a.zip")

    assert compare(before, replace(before, manifest=None)).packages == ()


def test_the_text_for_a_terminal() -> None:
    assert (
        difference_text(compare(BEFORE, AFTER))
        == """\
before  a.zip
after   arn:aws:lambda:eu-west-1:123456789012:layer:web:7

            before  after  change
  unzipped   1,022  3,025  +2,003
  zipped       511  1,512  +1,001
  files          4      4       0

  package  before  after   bytes
  demo     1.0     1.1    +2,002
  gone     3.0     -          -5
  new      -       2.0        +6

  files: 2 added, 2 removed, 1 changed
  +2,000  python/demo/core.so
     +12  python/demo-1.1.dist-info/METADATA
     -10  python/demo-1.0.dist-info/METADATA
      +6  python/new-2.0.dist-info/METADATA
      -5  python/gone-3.0.dist-info/METADATA

  what the runtime must have
  GLIBC         2.17 → 2.28
  GLIBCXX       - → 3.4.9
  libgomp.so.1  new          python/demo/core.so"""
    )


def test_the_markdown_for_a_pull_request() -> None:
    assert (
        difference_markdown(compare(BEFORE, AFTER))
        == """\
### `a.zip` → `arn:aws:lambda:eu-west-1:123456789012:layer:web:7`

|  | before | after | change |
| --- | --: | --: | --: |
| unzipped | 1,022 | 3,025 | +2,003 |
| zipped | 511 | 1,512 | +1,001 |
| files | 4 | 4 | 0 |

| package | before | after | bytes |
| --- | --- | --- | --: |
| `demo` | 1.0 | 1.1 | +2,002 |
| `gone` | 3.0 | - | -5 |
| `new` | - | 2.0 | +6 |

| the runtime must have |  | for |
| --- | --- | --- |
| GLIBC | 2.17 → 2.28 |  |
| GLIBCXX | - → 3.4.9 |  |
| libgomp.so.1 | new | `python/demo/core.so` |

<details><summary>files: 2 added, 2 removed, 1 changed</summary>

| bytes | file |
| --: | --- |
| +2,000 | `python/demo/core.so` |
| +12 | `python/demo-1.1.dist-info/METADATA` |
| -10 | `python/demo-1.0.dist-info/METADATA` |
| +6 | `python/new-2.0.dist-info/METADATA` |
| -5 | `python/gone-3.0.dist-info/METADATA` |

</details>"""
    )


def test_the_document_has_every_file() -> None:
    after = layer(*(entry(f"python/{n}.py", n) for n in range(500)), place="b.zip")

    document = difference_document(compare(layer(), after))

    assert document["after"] == {
        "place": "b.zip",
        "code_sha256": "b.zip",
        "zipped": after.zipped,
        "unzipped": after.unzipped,
        "files": 500,
    }
    assert len(document["files"]) == 500
    assert (document["same_bytes"], document["same_contents"]) == (False, False)


def many_files() -> Difference:
    names = (f"python/{'long' * 40}-{number:03}.py" for number in range(400))
    needing = entry(
        "python/" + "x" * 90, needed=("libgfortran-040039e1-and-more.so.5",)
    )
    package = entry(f"python/{'name' * 20}-{'1' * 40}.dist-info/METADATA")
    after = layer(*(entry(name, 9_999_999) for name in names), needing, package)
    return compare(layer(), replace(after, place="b.zip", code_sha256="b"))


def test_no_line_of_the_text_is_wider_than_a_terminal() -> None:
    lines = difference_text(many_files()).splitlines()

    assert max(map(len, lines)) <= WIDTH
    assert "  and 392 more" in lines


def test_the_markdown_is_no_longer_than_a_comment_may_be() -> None:
    text = difference_markdown(many_files())

    assert len(text) < 65_536
    assert "\nand 302 more\n" in text


def test_a_layer_that_becomes_too_large_is_told_first() -> None:
    after = layer(entry("python/a.bin", UNZIPPED_LIMIT + 9), place="b.zip")

    lines = difference_text(compare(layer(), after)).splitlines()

    assert lines[3] == "  after has 10 bytes too many for Lambda"


def test_the_same_zip_has_no_tables() -> None:
    one = layer(entry("python/a.py"), sha="c2hh")
    same = compare(one, replace(one, place="b.zip"))

    assert difference_text(same) == (
        "before  a.zip\nafter   b.zip\n\n  the same zip, byte for byte: c2hh"
    )
    assert difference_markdown(same) == (
        "### `a.zip` → `b.zip`\n\nThe same zip, byte for byte: c2hh."
    )


def test_the_same_files_in_another_zip_are_told_so() -> None:
    same = compare(layer(entry("a.py")), layer(entry("a.py"), place="b.zip"))

    assert "  the same files, zipped otherwise\n" in difference_text(same)


def test_a_name_cannot_break_a_table_of_markdown() -> None:
    after = layer(entry("python/a|b`c.py"), place="b.zip")

    text = difference_markdown(compare(layer(), after))

    assert r"| +1 | `python/a\|b'c.py` |" in text
