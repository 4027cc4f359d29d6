"""What failing indexes, bad wheels and full disks get; the last good zip is kept."""

from __future__ import annotations

import random
import resource
import zipfile
from pathlib import Path

import pytest

from tests.e2e.program import TARGET, Program, files_below
from tests.servers import Fault, Index
from tests.wheels import make_wheel
from tests.zipwriter import Entry, zipped

WEB = ("build", "-r", "requirements.in", "--name", "web", *TARGET)
ZIP = "dist/web-python3.12-x86_64.zip"
NOISE = random.Random(7).randbytes(100_000)  # noqa: S311 - no secret
MALFORMED = (
    "try: The wheel is malformed: ask its maintainers, or take another version.\n"
)
SUSPICIOUS = (
    "try: Fetch it anew; where it stays so, choose another version and tell its "
    "maintainers.\n"
)


@pytest.fixture
def built(web: Program) -> Program:
    """A project with a good zip, and with nothing in the store."""
    web("build", *WEB[1:])
    web("cache", "prune", "--max-size", "0")
    return web


def test_a_wheel_that_was_replaced_on_the_index(built: Program, shelf: Path) -> None:
    before = files_below(built.folder)
    make_wheel(shelf, "helper", "1.1", {"helper.py": b"ANSWER = 43\n"})

    ran = built(*WEB, "--force")

    assert ran.status == 4
    assert "error: helper-1.1-py3-none-any.whl: the bytes from " in ran.stderr
    assert ran.stderr.endswith(
        "try: Either the file was replaced on the index, or something on the way "
        "changes it. Find out which before you lock it anew: layerforge lock.\n"
    )
    assert files_below(built.folder) == before


def test_a_wheel_that_is_gone(built: Program, shelf: Path) -> None:
    before = files_below(built.folder)
    (shelf / "helper-1.1-py3-none-any.whl").unlink()

    ran = built(*WEB, "--force")

    assert ran.status == 4
    assert "helper-1.1-py3-none-any.whl" in ran.stderr
    assert files_below(built.folder) == before


def test_a_connection_that_breaks_is_picked_up(built: Program) -> None:
    whole = (built.folder / ZIP).read_bytes()
    built.index.script("/files/helper-1.1-py3-none-any.whl", Fault(cut=100, reset=True))

    ran = built(*WEB, "--force")

    assert ran.status == 0, ran.stderr
    assert (built.folder / ZIP).read_bytes() == whole


def test_a_truncated_wheel(web: Program, shelf: Path) -> None:
    wheel = make_wheel(shelf, "short", "1.0", {"short.py": b"pass\n" * 99})
    web.write("requirements.in", "short\n")
    whole = wheel.read_bytes()
    web("lock", *WEB[1:])
    wheel.write_bytes(whole[:-30])

    ran = web(*WEB)

    size = len(whole)
    assert ran.status == 4
    assert ran.stderr.startswith("error: short-1.0-py3-none-any.whl: the bytes from ")
    assert f" are {size - 30}, not {size}, which was locked\n" in ran.stderr


def test_a_wheel_whose_record_does_not_hold(web: Program, shelf: Path) -> None:
    spoil(
        make_wheel(shelf, "liar", "1.0", {"liar.py": b"said\n"}), b"said\n", b"done\n"
    )
    web.write("requirements.in", "liar\n")

    ran = web(*WEB)

    assert (ran.status, ran.stderr.partition("error: ")[2]) == (
        4,
        "liar-1.0-py3-none-any.whl: 'liar.py': it hasn't the hash that RECORD gives\n"
        + MALFORMED,
    )


def spoil(wheel: Path, contents: bytes, others: bytes) -> None:
    """Write a wheel anew, lawful as a zip, with one file's contents changed."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, others if data == contents else data)


def test_a_wheel_with_a_name_that_leaves_the_layer(web: Program, shelf: Path) -> None:
    lawful = make_wheel(shelf, "evil", "1.0", {"evil.py": b""})
    with zipfile.ZipFile(lawful) as archive:
        members = [
            Entry(name=name.encode(), content=archive.read(name))
            for name in archive.namelist()
        ]
    hostile = Entry(name=b"../../etc/cron.d/evil", content=b"* * * * * root evil\n")
    lawful.write_bytes(zipped(*members, hostile))
    web.write("requirements.in", "evil\n")

    ran = web(*WEB)

    assert (ran.status, ran.stderr.partition("error: ")[2]) == (
        4,
        "evil-1.0-py3-none-any.whl: '../../etc/cron.d/evil': the name leaves the "
        "archive\n" + SUSPICIOUS,
    )


COLLIDING = """
[layers.web]
requirements = ["one", "two"]
runtimes = ["python3.12"]
architectures = ["x86_64"]
"""


def test_two_wheels_that_write_one_path(web: Program, shelf: Path) -> None:
    make_wheel(shelf, "one", "1.0", {"shared.py": b"by = 'one'\n"})
    make_wheel(shelf, "two", "1.0", {"shared.py": b"by = 'two'\n"})
    web.write("layerforge.toml", COLLIDING)

    refused = web("build")
    mend = refused.stderr.partition("table: ")[2].partition(";")[0]
    web.write("layerforge.toml", f"{COLLIDING}{mend}\n")
    mended = web("build")

    assert (refused.status, refused.stderr.partition("error: ")[2]) == (
        4,
        (
            "packages write different contents to the same path:\n"
            "  python/shared.py: one and two\n"
            "try: Say whose file it is to be, for each path, in the layer's table: "
            'collisions = {"python/shared.py" = "two"}; or leave it out with exclude.\n'
        ),
    )
    assert mended.status == 0
    with zipfile.ZipFile(web.folder / ZIP) as archive:
        assert archive.read("python/shared.py") == b"by = 'two'\n"


def test_a_layer_above_its_own_limit(web: Program) -> None:
    web.write("layerforge.toml", COLLIDING.replace('"one", "two"', '"demo"'))
    web("build")
    before = files_below(web.folder / "dist")
    web.write(
        "layerforge.toml",
        COLLIDING.replace('"one", "two"', '"demo"') + "max-unzipped = 100\n",
    )

    ran = web("build")

    assert ran.status == 5
    assert ran.stderr.startswith("error: web for python3.12-x86_64: it has 145 bytes ")
    assert files_below(web.folder / "dist") == before


def test_no_room_for_the_zip(web: Program, shelf: Path) -> None:
    web(*WEB)
    before = files_below(web.folder / "dist")
    make_wheel(shelf, "large", "1.0", {"large.bin": NOISE})
    web.write("requirements.in", "demo\nlarge\n")
    web("lock", *WEB[1:])
    web("build", *WEB[1:], "-o", "elsewhere.zip")  # has the store filled

    ran = web.elsewhere(before=limit_files)(*WEB)

    assert (ran.status, ran.stderr.partition("error: ")[2]) == (
        4,
        (
            f"cannot write {ZIP}: File too large\n"
            "try: What was there before is untouched.\n"
        ),
    )
    assert files_below(web.folder / "dist") == before


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))


def test_no_room_in_the_store(built: Program, index: Index) -> None:
    make_wheel(index.folder, "large", "1.0", {"large.bin": NOISE})
    before = files_below(built.folder / "dist")
    built.write("requirements.in", "large\n")
    built("lock", *WEB[1:])

    ran = built.elsewhere(before=limit_files)(*WEB)

    assert ran.status == 4
    assert f"cannot write {built.cache}" in ran.stderr
    assert ran.stderr.partition("try: ")[2].startswith("Make room")
    assert files_below(built.folder / "dist") == before
