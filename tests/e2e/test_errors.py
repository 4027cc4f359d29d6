"""What mistakes get: a message that says what to do, and an exit status."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.e2e.program import TARGET, Program, files_below

WEB = ("build", "-r", "requirements.in", "--name", "web", *TARGET)
ZIP = "dist/web-python3.12-x86_64.zip"
LOCK = "pylock.web-python312-x86_64.toml"


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
            "try: Give --runtime and --arch (--runtime python3.14 --arch arm64), or "
            "runtimes and architectures in [defaults] of layerforge.toml.\n"
        ),
    ),
    "nothing at all": (
        ("build",),
        (
            "error: there is no layerforge.toml here or in a folder above\n"
            "try: Make one: layerforge init. Or name a recipe (layerforge build "
            "pandas), or a file (-r FILE, --package-json FILE, with --name LAYER).\n"
        ),
    ),
    "an option that is none": (
        ("build", "--jsno"),
        (
            "error: no such option '--jsno'. Did you mean '--json'?\n"
            "try: layerforge build --help\n"
        ),
    ),
    "an option without its value": (
        ("plan", "--arch"),
        "error: option '--arch' requires an argument\ntry: layerforge --help\n",
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
            "error: invalid value for --unused: expected a time: seconds, "
            '"30 min", "2h" or "30d"\n'
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
