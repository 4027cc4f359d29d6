"""What bad input gets: a message, its exit status, and what was there is kept."""

from __future__ import annotations

import random
import resource
import socket
import zipfile
from pathlib import Path

import pytest

from tests.e2e.program import TARGET, Program, files_below
from tests.servers import Fault, Index
from tests.wheels import make_wheel
from tests.zipwriter import Entry, zipped

WEB = ("build", "-r", "requirements.in", "--name", "web", *TARGET)
ZIP = "dist/web-python3.12-x86_64.zip"
LOCK = "pylock.web-python312-x86_64.toml"
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


# -- what the user wrote -----------------------------------------------------------

MISTAKES = {
    "a layer that is none": (
        ("build", "pandsa", *TARGET),
        (
            "error: pandsa is neither a layer of layerforge.toml nor a recipe\n"
            "try: Did you mean pandas? For a requirement: -r FILE --name LAYER.\n"
        ),
    ),
    "a runtime that is none": (
        ("build", "numpy", "--runtime", "python3.21", "--arch", "arm64"),
        (
            "error: unknown runtime 'python3.21'\n"
            "try: Did you mean python3.12? `layerforge runtimes` lists them all.\n"
        ),
    ),
    "another's word for an architecture": (
        ("build", "numpy", "--runtime", "python3.12", "--arch", "aarch64"),
        "error: unknown architecture 'aarch64'\ntry: Lambda calls it arm64.\n",
    ),
    "a file that is not there": (
        ("build", "-r", "nothing.txt", "--name", "web", *TARGET),
        "error: there is no file nothing.txt\n",
    ),
    "no name for the layer": (
        ("build", "-r", "requirements.in", *TARGET),
        (
            "error: the layer of requirements.in has no name\n"
            "try: Give it one: -r requirements.in --name web\n"
        ),
    ),
    "no target": (
        ("build", "numpy"),
        (
            "error: no runtime is named for numpy\n"
            "try: Give --runtime and --arch (--runtime python3.13 --arch arm64), or "
            "runtimes and architectures in [defaults] of layerforge.toml.\n"
        ),
    ),
    "nothing at all": (
        ("build",),
        (
            "error: there is no layerforge.toml here or in a folder above\n"
            "try: Make one: layerforge init. Or name a recipe (layerforge build "
            "pandas), or a requirements file (-r FILE --name LAYER).\n"
        ),
    ),
    "an option that is none": (
        ("build", "--jsno"),
        (
            "error: no such option '--jsno'. Did you mean '--json'?\n"
            "try: layerforge build --help\n"
        ),
    ),
    "a command that is none": (
        ("biuld",),
        "error: no such command: biuld; did you mean build?\ntry: layerforge --help\n",
    ),
    "no bound for the store": (
        ("cache", "prune"),
        (
            "error: say how much is to stay: --max-size or --unused\n"
            "try: layerforge cache prune --help\n"
        ),
    ),
    "a bound that is none": (
        ("cache", "prune", "--unused", "soon"),
        (
            "error: invalid value for --unused: expected days or hours: 30d, 12h\n"
            "try: layerforge cache prune --help\n"
        ),
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_on_the_command_line_is_explained(web: Program, what: str) -> None:
    words, told = MISTAKES[what]

    ran = web(*words)

    assert (ran.status, ran.stdout, ran.stderr) == (2, "", told)


@pytest.mark.parametrize(
    "words", [("build", "pandsa", *TARGET), ("build", "--jsno"), ("biuld",)]
)
def test_json_tells_of_it_on_stdout_too(web: Program, words: tuple[str, ...]) -> None:
    ran = web(*words, "--json")

    error = ran.document["error"]
    assert (ran.status, ran.document["format"]) == (2, 1)
    assert (error["kind"], error["exit_code"]) == ("config", 2)
    assert ran.stderr == f"error: {error['message']}\ntry: {error['remedy']}\n"


def test_every_mistake_in_layerforge_toml_is_told_at_once(web: Program) -> None:
    web.write(
        "layerforge.toml",
        '[layers.web]\nrequirements = ["flask"]\nruntimes = ["python3.31"]\n'
        "strip = 3\n",
    )

    ran = web("build")

    assert ran.status == 2
    assert "layers.web.runtimes[0]" in ran.stderr
    assert "layers.web.strip" in ran.stderr


def test_broken_toml_is_told_with_its_place(web: Program) -> None:
    web.write("layerforge.toml", "[layers.web\n")

    ran = web("build")

    assert (ran.status, ran.stderr) == (
        2,
        (
            "error: layerforge.toml is not TOML: Expected ']' at the end of a table "
            "declaration (at line 1, column 12)\n"
        ),
    )


def test_init_overwrites_nothing(web: Program) -> None:
    web.write("layerforge.toml", "# mine\n")

    ran = web("init")

    assert (ran.status, ran.stderr) == (
        2,
        (
            "error: there is a layerforge.toml here already\n"
            "try: Move it away to begin anew.\n"
        ),
    )
    assert files_below(web.folder)["layerforge.toml"] == b"# mine\n"


# -- what can't be resolved --------------------------------------------------------


def test_a_version_that_is_not_there(web: Program) -> None:
    web.write("requirements.in", "demo>=7\n")

    ran = web(*WEB)

    assert (ran.status, ran.stderr.partition("error: ")[2]) == (
        3,
        (
            "python3.12-x86_64: only demo==1.0 is available and the requirements ask "
            "for demo>=7.\n"
            "try: Loosen one of these requirements, or take another target.\n"
        ),
    )
    assert not (web.folder / LOCK).exists()


def test_no_wheel_for_the_target(web: Program, shelf: Path) -> None:
    web.write("requirements.in", "native\n")
    next(shelf.glob("native-*-*x86_64.whl")).unlink()

    ran = web(*WEB)

    assert ran.status == 3
    assert ran.stderr.partition("\n")[2].startswith(
        "error: native has no wheel that loads on python3.12-x86_64"
    )
    assert "native-2.0-cp312-cp312-manylinux_2_28_aarch64.whl" in ran.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_an_index_that_does_not_answer(web: Program, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    nowhere = web.elsewhere(
        index_url=f"http://{host}:{port}/simple/", variables={"UV_HTTP_RETRIES": "0"}
    )

    ran = nowhere(*WEB)

    assert ran.status == 3
    assert f"http://{host}:{port}/simple/demo/" in ran.stderr
    assert ran.stderr.endswith(
        "try: See that the index can be reached: --index-url, proxy, CA bundle.\n"
    )


# -- what can't be fetched, read or written ----------------------------------------


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
