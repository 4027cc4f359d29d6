"""layerforge verify --static, on zips of whoever's making and on packages' archives."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.program import TARGET, Program
from tests.elf_files import TEXT, make_elf
from tests.registry import make_tarball
from tests.wheels import make_wheel

ZIP: Final = "dist/web-python3.12-x86_64.zip"
OLD: Final = ".cpython-311-x86_64-linux-gnu.so"
OWN: Final = ".cpython-312-x86_64-linux-gnu.so"
WAIVER: Final = '{check = "abi", path = "python/demo", why = "Never imported."}'


def zipped(program: Program, files: dict[str, bytes]) -> Path:
    path = program.folder / "layer.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o100644 << 16  # zipfile's own default is 600
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return path


@pytest.fixture
def old(layerforge: Program) -> Program:
    """The program beside layer.zip, of a package for another Python."""
    library = bytes(make_elf(TEXT)).ljust(1000, b"\0")
    zipped(
        layerforge,
        {
            f"python/demo/_a{OLD}": library,
            f"python/demo/_b{OLD}": library,
            "python/demo.pth": b"import demo\n",
        },
    )
    return layerforge


def test_a_built_layer_is_held_to_its_manifest_s_target(web: Program) -> None:
    built = web("build", "-r", "requirements.in", "--name", "web", *TARGET)
    assert built.status == 0, built.stderr

    ran = web("verify", "--static", ZIP)

    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout == (
        f"{ZIP} for python3.12-x86_64: 145 bytes unzipped, nothing wrong\n"
    )


def test_what_is_wrong_is_told_the_worst_first(old: Program) -> None:
    ran = old("verify", "--static", "layer.zip", *TARGET)

    assert (ran.status, ran.stderr) == (5, "")
    assert ran.stdout == (
        "layer.zip for python3.12-x86_64: 2,012 bytes unzipped, 1 error, 1 note\n"
        "  error[abi]: python/demo\n"
        f"    2 extension modules end in {OLD}: python3.12 on\n"
        f"      x86_64 imports {OWN} and .abi3.so\n"
        "    try: Install its package for python3.12-x86_64: layerforge build does.\n"
        "  note[pth]: python/demo.pth\n"
        "    runs code at every cold start: import demo\n"
        "    try: Leave it out with exclude, if nothing needs what it does.\n"
    )


def test_where_nobody_says_so_files_tell_what_a_zip_is_for(
    layerforge: Program,
) -> None:
    zipped(layerforge, {"python/lib/python3.11/site-packages/demo.py": b"x = 1\n"})

    ran = layerforge("verify", "--static", "layer.zip")

    assert ran.status == 0
    assert ran.stdout.splitlines() == [
        "layer.zip for python3.11-x86_64: 6 bytes unzipped, nothing wrong",
        "  nothing tells its architecture: give --runtime and --arch",
    ]


def test_a_zip_is_checked_for_every_runtime_that_is_named(old: Program) -> None:
    runtimes = ("--runtime", "python3.11", "--runtime", "python3.12")

    ran = old("verify", "--static", "layer.zip", *runtimes)

    assert ran.status == 5
    assert [line for line in ran.stdout.splitlines() if line[0] != " "] == [
        "layer.zip for python3.11-x86_64: 2,012 bytes unzipped, 1 note",
        "layer.zip for python3.12-x86_64: 2,012 bytes unzipped, 1 error, 1 note",
    ]


def test_a_zip_without_any_file_is_an_error(layerforge: Program) -> None:
    with zipfile.ZipFile(layerforge.folder / "folders.zip", "w") as archive:
        archive.mkdir("python")
    zipped(layerforge, {})

    ran = layerforge("verify", "--static", "folders.zip", "layer.zip")

    told = (
        "1 error\n"
        "  error[empty]: it has no file, and Lambda takes no empty zip\n"
        "    try: Look at what was zipped: zip -r layer.zip python, or nodejs.\n"
    )
    assert ran.status == 5
    assert ran.stdout == "".join(
        f"{name}.zip{target}: 0 bytes unzipped, {told}"
        for name, target in (("folders", ""), ("layer", ""))
    )


def test_a_zip_may_have_a_comment_and_a_wheel_none(old: Program) -> None:
    wheel = make_wheel(old.folder, "demo", "1.0", {"demo.py": b"x = 1\n"})
    for path in (old.folder / "layer.zip", wheel):
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"built by 123"

    ran = old("verify", "--static", "layer.zip")
    refused = old("verify", "--static", wheel.name)

    assert (ran.status, refused.status) == (0, 4)
    assert ran.stdout.startswith("layer.zip for python3.11-x86_64: 2,012 bytes")


def test_programs_are_held_to_what_needs_no_target(layerforge: Program) -> None:
    zipped(layerforge, {"lib/Tool.txt": b"1", "lib/tool.txt": b"2"})

    ran = layerforge("verify", "--static", "layer.zip")

    assert ran.status == 0
    assert ran.stdout == (
        "layer.zip: 2 bytes unzipped, 1 warning\n"
        "  warning[case]: lib/tool.txt\n"
        "    differs from lib/Tool.txt in case alone: Lambda keeps both, macOS and\n"
        "      Windows unpack one of them\n"
        "    try: Leave one out with exclude, or rename it.\n"
    )


def test_modes_that_keep_functions_out_are_an_error(layerforge: Program) -> None:
    with zipfile.ZipFile(layerforge.folder / "layer.zip", "w") as archive:
        secret = zipfile.ZipInfo("python/demo.py")
        secret.create_system, secret.external_attr = 3, 0o100600 << 16
        archive.writestr(secret, b"x = 1\n")

    ran = layerforge("verify", "--static", "layer.zip", *TARGET)

    assert ran.status == 5
    assert "error[permissions]: python/demo.py\n    has mode 600:" in ran.stdout


# -- some checks only --------


def test_only_the_checks_that_are_named_are_told(old: Program) -> None:
    ran = old("verify", "--static", "--only", "pth", "layer.zip", *TARGET)

    assert ran.status == 0
    assert ran.stdout.splitlines()[:2] == [
        "layer.zip for python3.12-x86_64: 2,012 bytes unzipped, 1 note",
        "  note[pth]: python/demo.pth",
    ]


def test_an_unknown_check_is_refused_with_those_that_are_like_it(old: Program) -> None:
    ran = old("verify", "--static", "--only", "sise", "layer.zip")

    assert (ran.status, ran.stdout, ran.stderr) == (
        2,
        "",
        (
            "error: no check is called sise\n"
            "try: Did you mean size? layerforge explain lists them all.\n"
        ),
    )


def test_a_limit_of_ones_own_is_held_by_the_directory_alone(old: Program) -> None:
    archive = old.folder / "layer.zip"
    whole = bytearray(archive.read_bytes())
    whole[60:64] = b"\0\0\0\0"  # in the contents of the first file
    archive.write_bytes(whole)
    words = ("verify", "--static", "--only", "size", "layer.zip")

    over = old(*words, "--max-unzipped", "2 kB")
    under = old(*words, "--max-unzipped", "2012")

    assert (over.status, under.status) == (5, 0)
    assert over.stdout == (
        "layer.zip: 2,012 bytes unzipped, 1 error\n"
        "  error[size]: it has 2,012 bytes unzipped, 12 more than max-unzipped "
        "allows:\n"
        "    2,000\n"
        "    try: Leave something out: exclude, exclude-runtime-sdk, or strip = "
        '"slim".\n'
    )
    assert under.stdout == "layer.zip: 2,012 bytes unzipped, nothing wrong\n"
    assert old("verify", "--static", "layer.zip").status == 4


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        (
            ["--static", "--local"],
            "--local is for verify without --static",
            "Leave one of them out.",
        ),
        (
            ["--static", "--import", "demo"],
            "--import is for verify without --static",
            "Leave one of them out.",
        ),
        (["--only", "size"], "--only is for verify with --static", "Give both."),
        (
            ["--max-unzipped", "1 MB"],
            "--max-unzipped is for verify with --static",
            "Give both.",
        ),
        (
            ["--static", "--only", "link", "--max-unzipped", "1"],
            "--max-unzipped is for the check size, which --only leaves out",
            "Add --only size, or leave --max-unzipped out.",
        ),
        (
            ["--static", "--max-unzipped", "much"],
            (
                "invalid value for '--max-unzipped': 'much' is not bytes: a whole "
                'number, "200 MB" or "190 MiB"'
            ),
            "layerforge verify --help",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    old: Program, words: list[str], message: str, remedy: str
) -> None:
    ran = old("verify", *words, "layer.zip")

    assert (ran.status, ran.stderr) == (2, f"error: {message}\ntry: {remedy}\n")


@pytest.mark.parametrize(
    "words",
    [
        ("--runtime", "python3.12"),
        ("--arch", "arm64"),
        ("--only", "size"),
        ("--max-unzipped", "1"),
    ],
)
def test_options_for_layers_are_refused_with_packages(
    old: Program, words: tuple[str, ...]
) -> None:
    ran = old("verify", "--static", *words, "layer.zip", "demo.whl")

    assert (ran.status, ran.stdout) == (2, "")
    assert ran.stderr == (
        f"error: {words[0]} is for layers' zips, and demo.whl is a package's archive\n"
        "try: Read packages in a command of their own, without it.\n"
    )


# -- waivers --------


def test_what_the_project_waives_is_counted(old: Program) -> None:
    old.write("layerforge.toml", f"[defaults]\nwaive = [{WAIVER}]\n")

    words = ("verify", "--static", "--only", "abi", "layer.zip", *TARGET)
    ran, loud, strict = old(*words), old(*words, "-v"), old(*words, "--no-waivers")

    assert (ran.status, strict.status) == (0, 5)
    assert ran.stdout == (
        "layer.zip for python3.12-x86_64: 2,012 bytes unzipped, nothing wrong\n"
        "  1 finding waived (-v shows them)\n"
    )
    assert loud.stdout.splitlines()[1:] == [
        "  waived[abi]: python/demo",
        f"    2 extension modules end in {OLD}: python3.12 on",
        f"      x86_64 imports {OWN} and .abi3.so",
        "    because: Never imported.",
    ]


def test_a_layer_s_own_waivers_hold_for_the_zip_that_was_built_of_it(
    web: Program, shelf: Path
) -> None:
    make_wheel(shelf, "startup", "1.0", {"startup.pth": b"import os\n"})
    waiver = '{check = "pth", why = "It is quick."}'
    web.write(
        "layerforge.toml",
        '[layers.web]\nrequirements = ["startup"]\nruntimes = ["python3.12"]\n'
        f'architectures = ["x86_64"]\nwaive = [{waiver}]\n',
    )
    built = web("build")
    assert built.status == 0, built.stderr

    (layer,) = web("verify", "--static", ZIP, "--json").document["archives"]

    (finding,) = layer["findings"]
    assert (finding["check"], finding["waived"]) == ("pth", "It is quick.")


def test_a_broken_layerforge_toml_stops_no_check(old: Program) -> None:
    old.write("layerforge.toml", "[layers.web]\nrequirements = 1\n")
    words = ("verify", "--static", "layer.zip")

    ran = old(*words)
    apart = old(*words, "--no-waivers", "--max-unzipped", "1 MB")

    assert (ran.status, apart.status, apart.stderr) == (0, 0, "")
    assert ran.stderr.startswith(
        "warning: waivers and limits of layerforge.toml are not known: layerforge.toml:"
        "\n  layers.web.requirements: found 1, expected "
    )


# -- packages --------


def test_packages_are_read_as_strictly_as_a_build_reads_them(
    layerforge: Program,
) -> None:
    make_wheel(layerforge.folder, "demo", "1.0", {"demo.py": b"x = 1\n"})
    (layerforge.folder / "demo.tgz").write_bytes(make_tarball({"index.js": b"1\n"}))
    sdist = io.BytesIO()
    with tarfile.open(fileobj=sdist, mode="w:gz") as archive:
        member = tarfile.TarInfo("demo-1.0/demo.py")
        member.size = 6
        archive.addfile(member, io.BytesIO(b"x = 1\n"))
    (layerforge.folder / "demo-1.0.tar.gz").write_bytes(sdist.getvalue())

    names = ("demo-1.0-py3-none-any.whl", "demo.tgz", "demo-1.0.tar.gz")
    ran = layerforge("verify", "--static", *names)

    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout == (
        "demo-1.0-py3-none-any.whl: a wheel of demo 1.0, reads well: 4 files, 378 "
        "bytes unzipped\n"
        "demo.tgz: a tarball, reads well: 1 file, 2 bytes unzipped\n"
        "demo-1.0.tar.gz: a tarball, reads well: 1 file, 6 bytes unzipped\n"
    )


def test_all_are_read_and_the_lowest_status_that_applies_is_given(old: Program) -> None:
    old.write("bad.whl", "no zip")
    old.write("bad.tgz", "no gzip")
    (old.folder / "inner").mkdir()

    names = ("bad.whl", "gone.zip", "inner", "bad.tgz", "layer.zip")
    ran = old("verify", "--static", *names)

    assert ran.status == 2
    assert [line for line in ran.stderr.splitlines() if line.startswith("error")] == [
        (
            "error: bad.whl: it is no zip archive, is cut short, or has bytes "
            "behind its end"
        ),
        "error: gone.zip: there is no such file",
        "error: inner: it is a folder",
        "error: bad.tgz: it is no gzip file, or damaged",
    ]
    assert ran.stdout.startswith("layer.zip for python3.11-x86_64:")


def test_quiet_says_nothing_but_errors_and_warnings(old: Program) -> None:
    ran = old("verify", "--static", "-q", "layer.zip", *TARGET)

    assert ran.status == 5
    assert "error[abi]: " in ran.stdout
    assert "note[" not in ran.stdout


def test_quiet_says_nothing_of_what_is_well(old: Program) -> None:
    make_wheel(old.folder, "demo", "1.0", {"demo.py": b"x = 1\n"})

    ran = old("verify", "--static", "-q", "layer.zip", "demo-1.0-py3-none-any.whl")

    assert (ran.status, ran.stdout, ran.stderr) == (0, "", "")


def test_json_has_one_document_for_all(old: Program) -> None:
    make_wheel(old.folder, "demo", "1.0", {"demo.py": b"x = 1\n"})
    old.write("bad.tgz", "no gzip")

    names = ("layer.zip", "demo-1.0-py3-none-any.whl", "bad.tgz")
    document = old("verify", "--static", *names, "--json").document
    (layer,) = old("verify", "--static", names[0], *TARGET, "--json").document[
        "archives"
    ]

    _, wheel, bad = document["archives"]
    assert document["format"] == 1
    assert {key: layer[key] for key in layer if key not in {"findings", "zipped"}} == {
        "path": "layer.zip",
        "kind": "layer",
        "target": "python3.12-x86_64",
        "assumed": [],
        "unzipped": 2012,
        "error": {
            "kind": "verify",
            "exit_code": 5,
            "message": f"python/demo: 2 extension modules end in {OLD}: python3.12 on "
            f"x86_64 imports {OWN} and .abi3.so",
            "remedy": "Install its package for python3.12-x86_64: layerforge build "
            "does.",
        },
    }
    assert [one["check"] for one in layer["findings"]] == ["abi", "pth"]
    assert wheel == {
        "path": "demo-1.0-py3-none-any.whl",
        "kind": "wheel",
        "files": 4,
        "unzipped": 378,
        "package": "demo 1.0",
    }
    assert bad["error"]["exit_code"] == 4
