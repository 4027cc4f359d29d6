"""Wheels as packs: what is laid out where, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from layerforge.ecosystems.python.wheel import index_wheel
from layerforge.errors import ArchiveError, LayerforgeError
from layerforge.pack import Pack
from tests.wheels import make_wheel

SHA256 = "0" * 64
INFO = "demo-1.0.dist-info"
FILES = {"demo/__init__.py": b"answer = 42\n", "demo/data.bin": bytes(3000)}
Contents = dict[str, bytes]


def demo(folder: Path, files: Contents | None = None, name: str = "demo") -> Path:
    return make_wheel(
        *(folder, name, "1.0", FILES if files is None else files),
        requires=["other>1 ; python_version<'3.99'"],
        requires_python=">=3.8",
    )


def indexed(wheel: Path) -> Pack:
    return index_wheel(wheel, wheel.name, SHA256)


def laid(pack: Pack) -> list[str]:
    """Name what is laid out, but for the package's own metadata."""
    return [entry.path for entry in pack.entries if INFO not in entry.path]


def rewritten(wheel: Path, change: Callable[[Contents], None]) -> Path:
    """Write a wheel again with other contents, whatever its RECORD says."""
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    change(contents)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return wheel


def with_record(wheel: Path, change: Callable[[str], str]) -> Path:
    def change_record(contents: Contents) -> None:
        record = contents[f"{INFO}/RECORD"].decode()
        changed = change(record)
        assert changed != record
        contents[f"{INFO}/RECORD"] = changed.encode()

    return rewritten(wheel, change_record)


def refused(wheel: Path) -> str:
    """Give what is said of a wheel, behind its name."""
    with pytest.raises(LayerforgeError) as caught:
        indexed(wheel)
    assert isinstance(caught.value, ArchiveError)
    assert caught.value.remedy == (
        "The wheel is malformed: ask its maintainers, or take another version."
    )
    start = f"{wheel.name}: "
    assert caught.value.message.startswith(start)
    return caught.value.message.removeprefix(start)


class TestIndex:
    def test_lays_files_below_python(self, tmp_path: Path) -> None:
        pack = indexed(demo(tmp_path))

        assert [entry.path for entry in pack.entries] == [
            f"python/{INFO}/METADATA",
            f"python/{INFO}/WHEEL",
            "python/demo/__init__.py",
            "python/demo/data.bin",
            f"python/{INFO}/RECORD",
        ]
        assert {entry.origin for entry in pack.entries} == {"demo"}

    def test_says_what_the_metadata_says(self, tmp_path: Path) -> None:
        pack = indexed(demo(tmp_path))

        assert replace(pack, entries=()) == Pack(
            name="demo",
            version="1.0",
            digest=SHA256,
            entries=(),
            requires=('other>1; python_version < "3.99"',),
            requires_python=">=3.8",
        )

    def test_points_at_the_contents(self, tmp_path: Path) -> None:
        by_path = {entry.path: entry for entry in indexed(demo(tmp_path)).entries}

        content = by_path["python/demo/__init__.py"].content
        assert content is not None
        assert content.inflated() == b"answer = 42\n"

    def test_normalises_names_and_versions(self, tmp_path: Path) -> None:
        wheel = make_wheel(tmp_path, "My.Demo", "1.0.0+Local", {"a.py": b""})
        pack = indexed(wheel)

        assert (pack.name, pack.version) == ("my-demo", "1.0.0+local")

    def test_takes_the_dist_info_of_another_spelling(self, tmp_path: Path) -> None:
        def respell(contents: Contents) -> None:
            record = contents.pop(f"{INFO}/RECORD").replace(
                INFO.encode(), b"Demo-1.0.0.dist-info"
            )
            for name in list(contents):
                spelled = name.replace(INFO, "Demo-1.0.0.dist-info")
                contents[spelled] = contents.pop(name)
            contents["Demo-1.0.0.dist-info/RECORD"] = record

        assert indexed(rewritten(demo(tmp_path), respell)).version == "1.0"


class TestSchemes:
    @pytest.mark.parametrize(
        ("path", "place"),
        [
            (".data/purelib/demo/a.py", "python/demo/a.py"),
            (".data/platlib/demo/a.so", "python/demo/a.so"),
            (".data/data/share/demo/x.txt", "python/share/demo/x.txt"),
            (".data/data/etc/x", "python/etc/x"),
            (".data/scripts/demo", "python/bin/demo"),
        ],
    )
    def test_go_to_their_places(self, tmp_path: Path, path: str, place: str) -> None:
        assert laid(indexed(demo(tmp_path, {path: b"x"}))) == [place]

    def test_of_headers_are_left_out(self, tmp_path: Path) -> None:
        pack = indexed(demo(tmp_path, {".data/headers/demo.h": b"", "a.py": b""}))

        assert laid(pack) == ["python/a.py"]
        assert pack.left_out == ("demo-1.0.data/headers/demo.h",)

    def test_that_nobody_knows_are_refused(self, tmp_path: Path) -> None:
        assert refused(demo(tmp_path, {".data/bin/demo": b""})) == (
            "'demo-1.0.data/bin/demo': wheels have no scheme 'bin'"
        )

    @pytest.mark.parametrize("scheme", ["purelib", "scripts", "other"])
    def test_that_are_files_are_refused(self, tmp_path: Path, scheme: str) -> None:
        assert refused(demo(tmp_path, {f".data/{scheme}": b""})) == (
            f"'demo-1.0.data/{scheme}' is a file, a folder is expected"
        )

    @pytest.mark.parametrize(
        ("first_line", "expected"),
        [
            (b"#!python\n", True),
            (b"#!pythonw\n", True),
            (b"#!/bin/sh\n", False),
            (b"#!/usr/bin/env python\n", False),
            (b"\x7fELF", False),
        ],
    )
    def test_of_scripts_tell_which_want_the_interpreter(
        self, tmp_path: Path, first_line: bytes, *, expected: bool
    ) -> None:
        pack = indexed(demo(tmp_path, {".data/scripts/demo": first_line}))

        assert pack.scripts == (("python/bin/demo",) if expected else ())

    def test_leave_other_files_alone(self, tmp_path: Path) -> None:
        pack = indexed(demo(tmp_path, {"demo/run.py": b"#!python\n"}))

        assert pack.scripts == ()


class TestRecord:
    @pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
    def test_may_use_any_strong_hash(self, tmp_path: Path, algorithm: str) -> None:
        def rehash(record: str) -> str:
            data = FILES["demo/__init__.py"]
            strong = _digest(algorithm, data)
            weak = record.replace(_digest("sha256", data), "HASH")
            return weak.replace("HASH", strong) + "\n"

        wheel = demo(tmp_path)
        with_record(wheel, lambda record: rehash(record).rstrip() + "\r\n")

        assert indexed(wheel).name == "demo"

    def test_need_not_give_sizes(self, tmp_path: Path) -> None:
        wheel = with_record(
            demo(tmp_path), lambda record: record.replace(",12\n", ",\n")
        )

        assert indexed(wheel).name == "demo"

    def test_may_have_padded_hashes(self, tmp_path: Path) -> None:
        wheel = with_record(
            demo(tmp_path), lambda record: record.replace(",12\n", "=,12\n")
        )

        assert indexed(wheel).name == "demo"

    def test_need_not_list_signatures(self, tmp_path: Path) -> None:
        wheel = rewritten(
            demo(tmp_path),
            lambda contents: contents.update({f"{INFO}/RECORD.jws": b"{}"}),
        )

        assert indexed(wheel).name == "demo"

    def test_holds_names_with_commas_and_quotes(self, tmp_path: Path) -> None:
        wheel = demo(tmp_path, {'demo/a,"b".txt': b"x"})

        assert laid(indexed(wheel)) == ['python/demo/a,"b".txt']

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            (
                ",12\n",
                ",13\n",
                "'demo/__init__.py': it has 12 bytes, RECORD says 13",
            ),
            (
                "demo/__init__.py,sha256=",
                "demo/__init__.py,sha256=A",
                "'demo/__init__.py': it hasn't the hash that RECORD gives",
            ),
            (
                "demo/__init__.py,sha256=",
                "demo/__init__.py,md5=",
                "'demo/__init__.py': it hasn't the hash that RECORD gives",
            ),
            (
                "demo/__init__.py,",
                "demo/__init__.py,,12\ndemo/none.py,",
                "'demo/__init__.py': RECORD gives no hash for it",
            ),
            (
                "demo/__init__.py,",
                "demo/none.py,",
                "'demo/none.py': RECORD lists it, but it isn't there",
            ),
            (
                "demo/__init__.py,",
                "../demo/__init__.py,",
                "'../demo/__init__.py': RECORD lists it, but it isn't there",
            ),
            (
                f"{INFO}/RECORD,",
                "demo/data.bin,,\ndemo/data.bin,",
                "'demo/data.bin': RECORD lists it twice",
            ),
            (
                f"{INFO}/RECORD,",
                "x" * 200_000 + ",",
                (
                    f"'{INFO}/RECORD': it is no table: field larger than field limit "
                    "(131072)"
                ),
            ),
        ],
    )
    def test_that_does_not_hold_is_refused(
        self, tmp_path: Path, old: str, new: str, told: str
    ) -> None:
        wheel = with_record(demo(tmp_path), lambda record: record.replace(old, new))

        assert refused(wheel) == told

    def test_that_misses_a_file_is_refused(self, tmp_path: Path) -> None:
        wheel = rewritten(
            demo(tmp_path), lambda contents: contents.update({"demo/more.py": b""})
        )

        assert refused(wheel) == "'demo/more.py': RECORD doesn't list it"

    def test_that_is_not_the_contents_is_refused(self, tmp_path: Path) -> None:
        changed = {"demo/__init__.py": b"answer = 43\n"}
        wheel = rewritten(demo(tmp_path), lambda contents: contents.update(changed))

        assert refused(wheel) == (
            "'demo/__init__.py': it hasn't the hash that RECORD gives"
        )


def _digest(algorithm: str, data: bytes) -> str:
    digest = hashlib.new(algorithm, data).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


class TestMetadata:
    @pytest.mark.parametrize("name", ["METADATA", "WHEEL", "RECORD"])
    def test_that_is_missing_is_refused(self, tmp_path: Path, name: str) -> None:
        def remove(contents: Contents) -> None:
            del contents[f"{INFO}/{name}"]
            record = contents.get(f"{INFO}/RECORD", b"").decode().splitlines(True)
            kept = [line for line in record if f"/{name}," not in line]
            if kept:
                contents[f"{INFO}/RECORD"] = "".join(kept).encode()

        assert refused(rewritten(demo(tmp_path), remove)) == (
            f"{INFO}/{name} is missing"
        )

    def test_of_no_package_is_refused(self, tmp_path: Path) -> None:
        wheel = rewritten(demo(tmp_path), lambda contents: _only(contents, "demo/"))

        assert refused(wheel) == "one .dist-info folder is expected, there is none"

    def test_of_two_packages_is_refused(self, tmp_path: Path) -> None:
        wheel = demo(tmp_path, {"more-2.0.dist-info/METADATA": b""})

        assert refused(wheel) == (
            f"one .dist-info folder is expected, there is {INFO}, more-2.0.dist-info"
        )

    def test_of_packages_inside_is_none_of_ours(self, tmp_path: Path) -> None:
        wheel = demo(tmp_path, {"demo/vendor/more-2.0.dist-info/METADATA": b""})

        assert indexed(wheel).name == "demo"

    @pytest.mark.parametrize(
        "filename",
        ["other-1.0-py3-none-any.whl", "demo-1.1-py3-none-any.whl"],
    )
    def test_of_another_package_is_refused(self, tmp_path: Path, filename: str) -> None:
        wheel = demo(tmp_path).rename(tmp_path / filename)

        assert refused(wheel) == (f"its metadata is that of another package, {INFO}")

    def test_of_a_version_that_is_none_is_refused(self, tmp_path: Path) -> None:
        def respell(contents: Contents) -> None:
            for name in [name for name in contents if name.startswith(INFO)]:
                contents[name.replace("1.0", "one")] = contents.pop(name)

        assert refused(rewritten(demo(tmp_path), respell)) == (
            "its metadata is that of another package, demo-one.dist-info"
        )

    @pytest.mark.parametrize("version", ["2.0", "", "1x"])
    def test_of_another_wheel_version_is_refused(
        self, tmp_path: Path, version: str
    ) -> None:
        text = f"Wheel-Version: {version}\n".encode()
        wheel = demo(tmp_path, {".dist-info/WHEEL": text})

        assert refused(wheel) == "it is not of wheel version 1"

    @pytest.mark.parametrize("version", ["1.0", "1.9", "1"])
    def test_of_wheel_version_1_is_taken(self, tmp_path: Path, version: str) -> None:
        text = f"Generator: x\nWheel-Version: {version}\n".encode()

        assert indexed(demo(tmp_path, {".dist-info/WHEEL": text})).name == "demo"

    def test_that_is_not_text_is_refused(self, tmp_path: Path) -> None:
        wheel = demo(tmp_path, {".dist-info/METADATA": b"\xff\xfe"})

        assert refused(wheel) == f"{INFO}/METADATA is not UTF-8"

    def test_of_a_name_that_is_no_wheels_is_refused(self, tmp_path: Path) -> None:
        wheel = demo(tmp_path).rename(tmp_path / "demo.whl")

        assert refused(wheel).startswith("Invalid wheel filename")


def _only(contents: Contents, start: str) -> None:
    for name in [name for name in contents if not name.startswith(start)]:
        del contents[name]
