"""layerforge inspect: any layer's zip, ours or another's."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from tests.e2e.program import TARGET, Program
from tests.elf_files import DATA, TEXT, make_elf

WEB = ("build", "-r", "requirements.in", "--name", "web", *TARGET)
ZIP = "dist/web-python3.12-x86_64.zip"


def code_sha256(path: Path) -> str:
    return base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()


def foreign(folder: Path, files: dict[str, bytes]) -> Path:
    """Zip a folder as zip -r does, with entries for the folders."""
    path = folder / "foreign.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("python/", b"")
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_shows_what_a_build_made(web: Program) -> None:
    web(*WEB)

    ran = web("inspect", ZIP)

    path = web.folder / ZIP
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout == (
        "dist/web-python3.12-x86_64.zip\n"
        "  layer       web for python3.12-x86_64\n"
        "  built by    layerforge 0.1.0, from pylock.web-python312-x86_64.toml\n"
        "  unzipped    145 bytes (0.0 MiB), 0.0% of Lambda's limit\n"
        f"  zipped      {path.stat().st_size} bytes (0.0 MiB)\n"
        "  files       4\n"
        "  native      none\n"
        f"  CodeSha256  {code_sha256(path)}\n"
        "\n"
        "  package  version  files  bytes  share\n"
        "  demo     1.0          2     85  58.6%\n"
        "  helper   1.1          2     60  41.4%\n"
        "\n"
        "  largest files\n"
        "  71  python/demo-1.0.dist-info/METADATA\n"
        "  48  python/helper-1.1.dist-info/METADATA\n"
        "  14  python/demo/__init__.py\n"
        "  12  python/helper.py\n"
    )


def test_divides_another_builders_zip_by_what_can_be_imported(
    layerforge: Program,
) -> None:
    library = bytes(make_elf(TEXT, DATA))
    path = foreign(
        layerforge.folder,
        {
            "python/numpy/core.so": library,
            "python/numpy-2.0.dist-info/METADATA": b"m" * 9,
            "python/numpy.libs/libblas.so": library,
            "python/six.py": b"s" * 7,
            "python/six-1.17.dist-info/METADATA": b"m",
            "python/PIL/__init__.py": b"p" * 5,
            "python/pillow-12.0.dist-info/METADATA": b"m" * 4,
            "bin/tool": b"t",
        },
    )

    ran = layerforge("inspect", "foreign.zip", "--json")

    size = len(library)
    document = ran.document
    assert document["code_sha256"] == code_sha256(path)
    assert (document["layer"], document["target"]) == (None, None)
    assert document["native"] == {"x86_64": 2}
    assert [tuple(part.values()) for part in document["packages"]] == [
        ("numpy", "2.0", size + 9, 2, ""),
        ("numpy.libs", "", size, 1, ""),
        ("six", "1.17", 8, 2, ""),
        ("PIL", "", 5, 1, ""),
        ("pillow", "12.0", 4, 1, ""),
        ("bin/", "", 1, 1, ""),
    ]


def test_json_has_these_fields(web: Program) -> None:
    web(*WEB)

    ran = web("inspect", ZIP, "--json")

    document = ran.document
    assert {key: type(value).__name__ for key, value in document.items()} == {
        "format": "int",
        "path": "str",
        "layer": "str",
        "target": "str",
        "as_built": "bool",
        "unzipped": "int",
        "unzipped_limit": "int",
        "zipped": "int",
        "code_sha256": "str",
        "files": "int",
        "native": "dict",
        "packages": "list",
        "largest": "list",
    }
    assert document["as_built"]


def test_says_where_the_manifest_is_of_another_zip(web: Program) -> None:
    web(*WEB)
    path = web.folder / ZIP
    built = code_sha256(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("python/more.py", b"more\n")

    ran = web("inspect", ZIP)

    assert ran.status == 0
    assert ran.stderr == (
        "warning: dist/web-python3.12-x86_64.json speaks of another zip, with "
        f"CodeSha256 {built}: this one was changed or replaced\n"
    )
    assert f"CodeSha256  {code_sha256(path)}\n" in ran.stdout


def test_reads_a_layer_with_a_symbolic_link(web: Program) -> None:
    web.write("share/libx.so.1", "x")
    (web.folder / "share" / "libx.so").symlink_to("libx.so.1")
    web.write(
        "layerforge.toml",
        '[layers.web]\nrequirements = ["demo"]\nruntimes = ["python3.12"]\n'
        'architectures = ["x86_64"]\ninclude = { "share" = "lib" }\n',
    )
    web("build")

    ran = web("inspect", ZIP, "--json")

    assert ran.status == 0, ran.stderr
    assert {"path": "lib/libx.so", "size": 9} in ran.document["largest"]


def test_a_file_that_is_not_there(layerforge: Program) -> None:
    ran = layerforge("inspect", "dist/web.zip")

    assert (ran.status, ran.stderr) == (
        2,
        (
            "error: there is no file dist/web.zip\n"
            "try: Name a zip; layerforge build prints the paths of those it makes.\n"
        ),
    )


def test_a_file_that_is_no_zip(layerforge: Program) -> None:
    layerforge.write("layer.zip", "no zip at all")

    ran = layerforge("inspect", "layer.zip")

    assert (ran.status, ran.stderr) == (
        4,
        (
            "error: layer.zip: it is no zip archive, is cut short, or has bytes behind "
            "its end\n"
            "try: Build it anew: Lambda, or what reads it there, may refuse it as "
            "well.\n"
        ),
    )
