from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from layerforge.documents.licence_texts import dump_licence_texts, licence_texts_path
from tests.layers import Layer, node_layer, python_layer
from tests.wheels import make_wheel

MIT = b"Permission is hereby granted.\n"


def texts_of(layer: Layer) -> str:
    return dump_licence_texts(f"web for {layer.target}", [layer.lock], layer.tree)


def one_package(folder: Path, files: Mapping[str, bytes]) -> Layer:
    own = {f".dist-info/{name}": data for name, data in files.items()}
    return python_layer(make_wheel(folder, "demo", "1.0", own), roots=["demo"])


def test_a_text_stands_once_below_all_who_have_it(tmp_path: Path) -> None:
    layer = python_layer(
        make_wheel(
            tmp_path,
            "one",
            "1.0",
            {".dist-info/licenses/LICENSE": MIT, ".dist-info/NOTICE": b"Of one.\n"},
            metadata=["License-Expression: MIT"],
        ),
        make_wheel(
            tmp_path,
            "two",
            "2.0",
            {".dist-info/LICENSE.txt": b"\xef\xbb\xbf" + MIT.replace(b"\n", b" \r\n")},
        ),
        make_wheel(tmp_path, "three", "3.0", {}, metadata=["License: ISC"]),
        roots=["one", "two", "three"],
    )

    assert texts_of(layer) == (
        "The licences of web for python3.13-arm64\n"
        "\n"
        f"{'=' * 80}\n"
        "one 1.0 (MIT): NOTICE\n"
        f"{'-' * 80}\n"
        "\n"
        "Of one.\n"
        "\n"
        f"{'=' * 80}\n"
        "one 1.0 (MIT): licenses/LICENSE\n"
        "two 2.0 (states no licence): LICENSE.txt\n"
        f"{'-' * 80}\n"
        "\n"
        "Permission is hereby granted.\n"
        "\n"
        f"{'=' * 80}\n"
        "Packages that bring no text\n"
        f"{'-' * 80}\n"
        "\n"
        "three 3.0 (ISC)\n"
    )


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("licenses/LICENSE", True),
        ("licenses/vendor/AUTHORS.md", True),
        ("license_files/one.txt", True),
        ("LICENCE", True),
        ("LGPL-LICENSE.rst", True),
        ("COPYING.LESSER", True),
        ("ThirdPartyNotices.txt", True),
        ("top_level.txt", False),
        ("license.py", False),
    ],
)
def test_a_text_is_known_by_its_name(tmp_path: Path, name: str, taken: bool) -> None:  # noqa: FBT001 - a row of the table
    layer = one_package(tmp_path, {name: MIT})

    assert (MIT.decode() in texts_of(layer)) is taken


def test_texts_of_an_npm_package_are_at_its_top(tmp_path: Path) -> None:
    files = {
        "LICENSE": MIT,
        "license.js": b"module.exports = 1\n",
        "lib/NOTICE": b"Of another.\n",
    }
    manifest = {"name": "@a/b", "version": "1.0.0", "license": "MIT"}
    layer = node_layer(
        tmp_path, {"node_modules/@a/b": (manifest, files)}, roots=["@a/b"]
    )

    text = texts_of(layer)

    assert "@a/b 1.0.0 (MIT): LICENSE\n" in text
    assert "license.js" not in text
    assert "NOTICE" not in text


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("© José".encode(), "© José"),
        ("© José".encode("latin-1"), "© José"),
        ("© José".encode("utf-16"), "© José"),
    ],
)
def test_a_text_is_read_in_its_encoding(
    tmp_path: Path, data: bytes, shown: str
) -> None:
    assert f"\n{shown}\n" in texts_of(one_package(tmp_path, {"LICENSE": data}))


def test_what_is_no_text_is_left_out(tmp_path: Path) -> None:
    layer = one_package(tmp_path, {"licenses/logo.png": b"\x89PNG\0"})

    assert "logo" not in texts_of(layer)


def test_own_files_are_nobodys_licence(tmp_path: Path) -> None:
    layer = one_package(tmp_path, {"LICENSE": MIT}).with_files(
        tmp_path, {"LICENSE": b"Ours alone.\n"}
    )

    text = texts_of(layer)

    assert "Ours alone" not in text
    assert "Packages that bring no text" not in text


def test_the_texts_lie_beside_their_zip() -> None:
    assert licence_texts_path(Path("dist/web-python3.13-arm64.zip")) == Path(
        "dist/web-python3.13-arm64.licences.txt"
    )
