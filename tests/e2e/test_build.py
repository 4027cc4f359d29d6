"""layerforge build, from requirements to zips."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from pathlib import Path

from tests.e2e.program import TARGET, Program, files_below, finish
from tests.servers import Index
from tests.wheels import make_wheel

WEB = ("build", "-r", "requirements.in", "--name", "web", *TARGET)
LOCK = "pylock.web-python312-x86_64.toml"
ZIP = "dist/web-python3.12-x86_64.zip"


def names_in(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_prints_a_path_for_each_target_and_nothing_else(web: Program) -> None:
    ran = web(*WEB, "--arch", "arm64")

    assert (ran.status, ran.stdout) == (
        0,
        "dist/web-python3.12-x86_64.zip\ndist/web-python3.12-arm64.zip\n",
    )


def test_shows_the_packages_as_a_table_on_stderr(web: Program) -> None:
    ran = web(*WEB)

    _, heading, table = ran.stderr.partition("web for python3.12-x86_64\n  ")
    zipped = (web.folder / ZIP).stat().st_size
    assert heading + table == (
        "web for python3.12-x86_64\n"
        "  package  version  bytes  share\n"
        "  demo     1.0         85  58.6%\n"
        "  helper   1.1         60  41.4%\n"
        "  left out\n"
        "    dist-info  4 files  746\n"
        "    tests       1 file    2\n"
        "  bytecode none; it would add about 34 bytes (bytecode = true)\n"
        "  unzipped 145 bytes (0.0 MiB), 0.0% of Lambda's limit\n"
        f"  zipped   {zipped} bytes (0.0 MiB), 4 files\n"
    )


def test_tells_of_the_lock_and_of_each_download_on_stderr(web: Program) -> None:
    ran = web(*WEB)

    first, *fetched = ran.stderr.partition("web for python3.12-x86_64\n  ")[
        0
    ].splitlines()
    assert first == f"no lock yet: resolving web for python3.12-x86_64 into {LOCK}"
    assert sorted(fetched) == [
        f"fetched {wheel.name} ({wheel.stat().st_size:,} bytes)"
        for stem in ("demo-1.0", "helper-1.1")
        for wheel in web.index.folder.glob(f"{stem}-*.whl")
    ]


def test_gives_each_architecture_its_own_library(web: Program) -> None:
    web.write("requirements.in", "native\n")

    web(*WEB, "--arch", "arm64")

    assert [
        [name for name in names_in(web.folder / "dist" / zip_) if name.endswith(".so")]
        for zip_ in ("web-python3.12-x86_64.zip", "web-python3.12-arm64.zip")
    ] == [
        ["python/native/core.cpython-312-x86_64-linux-gnu.so"],
        ["python/native/core.cpython-312-aarch64-linux-gnu.so"],
    ]


def test_json_is_one_document_with_the_manifest_in_it(web: Program) -> None:
    ran = web(*WEB, "--json")

    manifest = json.loads((web.folder / ZIP).with_suffix(".json").read_text())
    [layer] = ran.document["layers"]
    assert ran.document["format"] == 1
    assert layer == {"path": str(web.folder / ZIP), **manifest}
    assert {
        key: layer[key]
        for key in ("layer", "runtime", "architecture", "zip", "files", "unzipped")
    } == {
        "layer": "web",
        "runtime": "python3.12",
        "architecture": "x86_64",
        "zip": "web-python3.12-x86_64.zip",
        "files": 4,
        "unzipped": 145,
    }


def test_json_tells_of_a_target_that_failed_beside_one_that_did_not(
    web: Program, shelf: Path
) -> None:
    web.write("requirements.in", "native\n")
    next(shelf.glob("native-*aarch64.whl")).unlink()

    ran = web(*WEB, "--arch", "arm64", "--json")

    good, bad = ran.document["layers"]
    assert ran.status == 3
    assert good["zip"] == "web-python3.12-x86_64.zip"
    assert bad["job"] == "web for python3.12-arm64"
    assert set(bad["error"]) == {"kind", "exit_code", "message", "remedy"}
    assert (bad["error"]["kind"], bad["error"]["exit_code"]) == ("lock", 3)


def test_quiet_prints_the_path_alone(web: Program) -> None:
    ran = web(*WEB, "--quiet")

    assert (ran.status, ran.stdout, ran.stderr) == (0, f"{ZIP}\n", "")


def test_verbose_tells_when_a_download_begins(web: Program) -> None:
    web.write("requirements.in", "helper\n")

    ran = web(*WEB, "--verbose")

    assert ran.stderr.splitlines()[1:3] == [
        "fetching helper-1.1-py3-none-any.whl",
        "fetched helper-1.1-py3-none-any.whl (834 bytes)",
    ]


def test_output_names_the_one_zip(web: Program) -> None:
    ran = web(*WEB, "-o", "out/layer.zip")

    assert ran.stdout == "out/layer.zip\n"
    assert sorted(files_below(web.folder / "out")) == [
        "layer.cdx.json",
        "layer.json",
        "layer.zip",
    ]


def test_output_can_not_name_two_zips(web: Program) -> None:
    ran = web(*WEB, "--arch", "arm64", "-o", "layer.zip")

    assert (ran.status, ran.stderr) == (
        2,
        (
            "error: -o names one file, and there are 2 zips to make\n"
            "try: Give --output-dir, or name one layer, --runtime and --arch.\n"
        ),
    )


def test_output_dir_takes_the_zips(web: Program) -> None:
    ran = web(*WEB, "--output-dir", "layers")

    assert ran.stdout == "layers/web-python3.12-x86_64.zip\n"
    assert (web.folder / "layers" / "web-python3.12-x86_64.zip").is_file()


def test_find_links_without_an_index_asks_nobody(web: Program, shelf: Path) -> None:
    ran = web(*WEB, "--no-index", "--find-links", str(shelf))

    assert (ran.status, web.index.requests) == (0, [])


def test_says_unchanged_where_there_is_nothing_to_do(web: Program) -> None:
    web(*WEB)
    before = (web.folder / ZIP).stat()

    ran = web(*WEB)

    assert (ran.status, ran.stdout, ran.stderr) == (
        0,
        f"{ZIP}\n",
        "web for python3.12-x86_64: unchanged\n",
    )
    assert (web.folder / ZIP).stat() == before


def test_force_builds_where_there_is_nothing_to_do(web: Program) -> None:
    web(*WEB)
    before = (web.folder / ZIP).stat()

    web(*WEB, "--force")

    assert (web.folder / ZIP).stat().st_ino != before.st_ino


def test_makes_the_same_zip_again_from_an_empty_store(web: Program) -> None:
    web(*WEB)
    whole = (web.folder / ZIP).read_bytes()

    pruned = web("cache", "prune", "--max-size", "0", "--json")
    (web.folder / ZIP).unlink()
    web(*WEB)

    assert pruned.document["deleted"]["files"] > 0
    assert (web.folder / ZIP).read_bytes() == whole


def test_needs_no_index_once_it_has_lock_and_wheels(web: Program) -> None:
    web(*WEB)
    (web.folder / ZIP).unlink()
    web.index.requests.clear()

    ran = web(*WEB)

    assert (ran.status, ran.stdout, web.index.requests) == (0, f"{ZIP}\n", [])


def test_two_at_once_in_one_folder_both_succeed(web: Program) -> None:
    both = [web.start(*WEB), web.start(*WEB)]

    ran = [finish(process) for process in both]

    assert [(each.status, each.stdout) for each in ran] == [(0, f"{ZIP}\n")] * 2, ran
    with zipfile.ZipFile(web.folder / ZIP) as archive:
        assert archive.testzip() is None
    assert sorted(files_below(web.folder / "dist")) == [
        "web-python3.12-x86_64.cdx.json",
        "web-python3.12-x86_64.json",
        "web-python3.12-x86_64.zip",
    ]


def test_builds_a_recipe_by_its_name(layerforge: Program, index: Index) -> None:
    make_wheel(index.folder, "requests", "2.32.0", {"requests/__init__.py": b""})

    ran = layerforge("build", "requests", *TARGET)

    assert (ran.status, ran.stdout) == (0, "dist/requests-python3.12-x86_64.zip\n")
    assert (layerforge.folder / "pylock.requests-python312-x86_64.toml").is_file()


def test_manifest_gives_the_zips_code_sha256(web: Program) -> None:
    web(*WEB)

    manifest = json.loads((web.folder / ZIP).with_suffix(".json").read_text())
    digest = hashlib.sha256((web.folder / ZIP).read_bytes()).digest()
    assert manifest["code_sha256"] == base64.b64encode(digest).decode()
