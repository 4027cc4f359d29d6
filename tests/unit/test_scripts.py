"""The scripts, run in checkouts of their own, with a pip that only notes its work."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = sys.version.split()[0]

# Installs itself from a wheel; of a checkout it notes that it did, and writes tools
# that say how they were started. Words in pyproject.toml make it fail.
FAKE_PIP: Final = """
import os, signal, sys, sysconfig, zipfile
from pathlib import Path

what = sys.argv[-1]
if what.endswith(".whl"):
    zipfile.ZipFile(what).extractall(sysconfig.get_path("purelib"))
    sys.exit()
root = Path(what.partition("[")[0])
project = (root / "pyproject.toml").read_text()
if "half" in project:
    Path(sysconfig.get_path("purelib"), "half-installed").touch()
    if "killed" in project:
        os.kill(os.getppid(), signal.SIGKILL)
    sys.exit("no space left")
if "broken" in project:
    sys.exit("no such package")
with (root / "installs").open("a") as log:
    print(what.removeprefix(str(root)) or "layerforge", file=log)
for name in ("layerforge", "pytest", "ruff", "mypy", "shellcheck"):
    tool = Path(sys.prefix, "bin", name)
    tool.write_text(
        '#!/bin/sh\\n'
        f'printf "%s" "{name} in $PWD:"; printf " <%s>" "$@"; echo\\n'
        f'[ "${{FAILING:-}}" != {name} ]\\n'
    )
    tool.chmod(0o755)
"""


# An engine is what ENGINE says; the images are as good as it is.
FAKE_ENGINE: Final = {
    "docker-engine": "#!/bin/sh\n"
    '[ -n "$ENGINE" ] || { echo no engine answers >&2; exit 1; }\n',
    "base-images": '#!/bin/sh\necho made\n[ "$ENGINE" != broken ]\n',
}


def _fake_pip_wheel() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as wheel:
        wheel.writestr("pip/__init__.py", "")
        wheel.writestr("pip/__main__.py", FAKE_PIP)
    return body.getvalue()


PIP_WHEEL: Final = _fake_pip_wheel()


@dataclass
class Index:
    """A package index on this machine that has pip, and perhaps wants a password."""

    url: str = ""
    pages: dict[str, bytes] = field(default_factory=dict)
    authorization: str | None = None

    def offer_pip(self, sha256: str | None = None) -> None:
        digest = sha256 or hashlib.sha256(PIP_WHEEL).hexdigest()
        name = "pip-99.0-py3-none-any.whl"
        link = f'<a href="../../files/{name}#sha256={digest}">{name}</a>'
        self.pages = {"/simple/pip/": link.encode(), f"/files/{name}": PIP_WHEEL}


@pytest.fixture
def index() -> Iterator[Index]:
    index = Index()
    index.offer_pip()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = index.pages.get(self.path)
            if index.authorization not in (None, self.headers["Authorization"]):
                self.send_error(401)
            elif body is None:
                self.send_error(404)
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        index.url = f"http://127.0.0.1:{server.server_port}/simple"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield index
        server.shutdown()
        thread.join()


@pytest.fixture
def nobody() -> str:
    """Give the address of an index that isn't there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/simple"


@dataclass
class Checkout:
    """A checkout with nothing but the scripts, and a Python without ensurepip."""

    root: Path
    environ: dict[str, str]

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def installs(self) -> list[str]:
        return (self.root / "installs").read_text().splitlines()

    def start(
        self, script: str, *arguments: str, **environ: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "scripts" / script, *arguments],
            cwd=self.root.parent,
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *arguments: str, **environ: str) -> tuple[int, str, str]:
        """Give the exit status, stdout and stderr."""
        process = self.start(script, *arguments, **environ)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def write_project(self, text: str) -> None:
        (self.root / "pyproject.toml").write_text(text)


@pytest.fixture
def checkout(tmp_path: Path, index: Index) -> Checkout:
    root = tmp_path / "a checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=ignored)
    for name, text in FAKE_ENGINE.items():
        (root / "scripts" / name).write_text(text)
    without_ensurepip = tmp_path / "without-ensurepip"
    without_ensurepip.mkdir()
    (without_ensurepip / "sitecustomize.py").write_text(
        "import sys; sys.modules['ensurepip'] = None\n"
    )
    environ = {
        "ENGINE": "unix:///var/run/docker.sock",
        "HOME": str(tmp_path),
        "NO_PROXY": "127.0.0.1",
        "PATH": os.environ["PATH"],
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index.url,
        "PYTHON": sys.executable,
        "PYTHONPATH": str(without_ensurepip),
    }
    checkout = Checkout(root=root, environ=environ)
    checkout.write_project("first")
    return checkout


def shell_scripts() -> list[str]:
    """Give the scripts that scripts/check checks."""
    check = (ROOT / "scripts/check").read_text()
    words = check.partition("\nshellcheck ")[2].partition(" ||")[0].split()
    return [word for word in words if word != "\\"]


def setting_up(checkout: Checkout) -> str:
    return f"layerforge: setting up {checkout.venv} with Python {PYTHON}\n"


def could_not_be_set_up(checkout: Checkout) -> str:
    return f"layerforge: {checkout.venv} could not be set up, for the reason above\n"


def test_the_first_run_sets_up_and_starts_layerforge_where_the_user_is(
    checkout: Checkout,
) -> None:
    result = checkout.run("layerforge", "build", "two words")

    started = f"layerforge in {checkout.root.parent}: <build> <two words>\n"
    assert result == (0, started, setting_up(checkout))


def test_the_second_run_starts_no_other_python(checkout: Checkout) -> None:
    checkout.run("layerforge")

    status, _, err = checkout.run("layerforge", PYTHON="/nowhere/python3")

    assert (status, err) == (0, "")


def test_the_exit_status_is_layerforges(checkout: Checkout) -> None:
    status, _, _ = checkout.run("layerforge", FAILING="layerforge")

    assert status == 1


def test_a_changed_pyproject_is_installed_anew(checkout: Checkout) -> None:
    checkout.run("layerforge")

    checkout.write_project("second")
    checkout.run("layerforge")

    assert checkout.installs == ["layerforge", "layerforge"]


def test_a_moved_checkout_is_made_afresh(checkout: Checkout) -> None:
    checkout.run("layerforge")
    (checkout.venv / "bin" / "starts-the-old-python").touch()
    moved = Checkout(
        root=checkout.root.rename(checkout.root.parent / "moved"),
        environ=checkout.environ,
    )

    status, _, err = moved.run("layerforge")

    assert (status, err) == (0, setting_up(moved))
    assert not (moved.venv / "bin" / "starts-the-old-python").exists()


def test_an_environment_without_its_interpreter_is_made_anew(
    checkout: Checkout,
) -> None:
    checkout.run("layerforge")
    for name in (checkout.venv / "bin").glob("python*"):
        name.unlink()

    status, _, err = checkout.run("layerforge")

    assert (status, err) == (0, setting_up(checkout))


def test_an_extra_is_installed_with_layerforge_itself(checkout: Checkout) -> None:
    checkout.run("bootstrap", "test")

    status, _, err = checkout.run("layerforge", PYTHON="/nowhere/python3")

    assert (status, err) == (0, "")
    assert checkout.installs == ["[test]"]


def test_bootstrap_does_nothing_twice(checkout: Checkout) -> None:
    checkout.run("bootstrap", "test")

    result = checkout.run("bootstrap", "test")

    assert result == (0, "", "")
    assert checkout.installs == ["[test]"]


def test_two_at_once_set_up_once(checkout: Checkout) -> None:
    processes = [checkout.start("layerforge") for _ in range(2)]
    for process in processes:
        process.communicate(timeout=60)

    assert [process.returncode for process in processes] == [0, 0]
    assert checkout.installs == ["layerforge"]


def test_a_failed_first_install_is_not_taken_for_whole(checkout: Checkout) -> None:
    checkout.write_project("broken")

    status, out, err = checkout.run("layerforge")

    failure = "no such package\n" + could_not_be_set_up(checkout)
    assert (status, out, err) == (1, "", setting_up(checkout) + failure)
    assert not list(checkout.venv.glob("stamp*"))


def test_a_failed_install_that_changed_nothing_leaves_what_was_whole(
    checkout: Checkout,
) -> None:
    checkout.run("bootstrap")
    checkout.write_project("broken")
    failed, _, _ = checkout.run("bootstrap")
    checkout.write_project("first")

    status, _, err = checkout.run("layerforge", PYTHON="/nowhere/python3")

    assert failed == 1
    assert (status, err) == (0, "")


@pytest.mark.parametrize("stopped", ["half", "killed half"])
def test_what_a_run_left_that_was_stopped_halfway_is_cleared_away(
    checkout: Checkout, stopped: str
) -> None:
    checkout.run("bootstrap")
    checkout.write_project(stopped)
    checkout.run("bootstrap")
    left = list(checkout.venv.glob("lib/python3*/site-packages/half-installed"))
    checkout.write_project("first")

    status, _, _ = checkout.run("bootstrap")

    assert status == 0
    assert [path.exists() for path in left] == [False]


def test_a_python_that_is_too_old_is_named(checkout: Checkout) -> None:
    old = checkout.root / "python3.9"
    old.write_text("#!/bin/sh\necho 3.9.2\nexit 1\n")
    old.chmod(0o755)

    result = checkout.run("bootstrap", PYTHON=str(old))

    message = f"""\
layerforge needs Python 3.11 or newer, with its ssl and venv modules.
Found: {old} is 3.9.2.
Install one (Debian, Ubuntu: apt-get install python3; macOS: brew install python),
or name one: PYTHON=/path/to/python3 {checkout.root}/scripts/bootstrap
"""
    assert result == (1, "", message)


def test_a_machine_without_python_is_told_which_names_were_tried(
    checkout: Checkout, tmp_path: Path
) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for tool in ("cat", "dirname", "sh"):
        (bare / tool).symlink_to(str(shutil.which(tool)))

    result = checkout.run("bootstrap", PATH=str(bare), PYTHON="")

    message = f"""\
layerforge needs Python 3.11 or newer, with its ssl and venv modules.
Found: no Python among: python3 python3.14 python3.13 python3.12 python3.11.
Install one (Debian, Ubuntu: apt-get install python3; macOS: brew install python),
or name one: PYTHON=/path/to/python3 {checkout.root}/scripts/bootstrap
"""
    assert result == (1, "", message)


def unreachable(index: str) -> str:
    refused = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    return f"{index}/pip/ does not answer: {refused}"


def test_an_index_that_does_not_answer_is_named(
    checkout: Checkout, nobody: str
) -> None:
    result = checkout.run("bootstrap", PIP_INDEX_URL=nobody)

    message = f"""\
layerforge: pip can't be fetched: {unreachable(nobody)}
layerforge: HTTPS_PROXY, PIP_INDEX_URL and PIP_CERT say how to reach an index;
layerforge: the usual certificates are in Debian's package ca-certificates
"""
    assert result == (1, "", setting_up(checkout) + message)


def test_a_pip_with_other_bytes_than_the_index_says_is_refused(
    checkout: Checkout, index: Index
) -> None:
    index.offer_pip(sha256="0" * 64)

    status, _, err = checkout.run("bootstrap")

    found = hashlib.sha256(PIP_WHEEL).hexdigest()
    assert status == 1
    assert err.splitlines()[1] == (
        "layerforge: pip can't be fetched: pip-99.0-py3-none-any.whl has SHA-256 "
        f"{found}, but the index gives {'0' * 64}"
    )


def test_pip_comes_from_an_extra_index_where_the_main_one_has_none(
    checkout: Checkout, index: Index, nobody: str
) -> None:
    status, _, _ = checkout.run(
        "bootstrap", PIP_INDEX_URL=nobody, PIP_EXTRA_INDEX_URL=index.url
    )

    assert status == 0


def test_credentials_of_the_index_are_sent_for_page_and_wheel(
    checkout: Checkout, index: Index
) -> None:
    index.authorization = "Basic bWU6c2VjcmV0QA=="
    address = index.url.replace("http://", "http://me:secret%40@")

    status, _, _ = checkout.run("bootstrap", PIP_INDEX_URL=address)

    assert status == 0


def test_an_index_in_pip_conf_is_used(
    checkout: Checkout, index: Index, tmp_path: Path
) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text(f"[global]\nindex-url = {index.url}\n")
    del checkout.environ["PIP_INDEX_URL"]

    status, _, _ = checkout.run("bootstrap", PIP_CONFIG_FILE=str(conf))

    assert status == 0


def test_scripts_test_hands_its_arguments_to_pytest(checkout: Checkout) -> None:
    result = checkout.run("test", "-k", "two words")

    started = (
        f"pytest in {checkout.root}: "
        "<--numprocesses> <auto> <--dist> <loadgroup> <-k> <two words>\n"
    )
    assert result == (0, started, setting_up(checkout))


def test_scripts_test_leaves_out_network_tests_where_no_index_answers(
    checkout: Checkout, nobody: str
) -> None:
    checkout.run("bootstrap", "test")

    result = checkout.run("test", "-x", PIP_INDEX_URL=nobody)

    started = (
        f"pytest in {checkout.root}: <--numprocesses> <auto> <--dist> <loadgroup> "
        "<-m> <not network> <-x>\n"
    )
    reason = (
        "scripts/test: without the tests marked 'network', "
        f"since {unreachable(nobody)}\n"
    )
    assert result == (0, started, reason)


def test_scripts_test_leaves_out_docker_tests_where_no_engine_answers(
    checkout: Checkout,
) -> None:
    checkout.run("bootstrap", "test")

    result = checkout.run("test", "-x", ENGINE="")

    started = (
        f"pytest in {checkout.root}: <--numprocesses> <auto> <--dist> <loadgroup> "
        "<-m> <not docker> <-x>\n"
    )
    reason = (
        "scripts/test: without the tests marked 'docker', since no engine answers\n"
    )
    assert result == (0, started, reason)


def test_scripts_test_leaves_out_docker_tests_where_no_base_image_can_be_made(
    checkout: Checkout,
) -> None:
    checkout.run("bootstrap", "test")

    status, out, err = checkout.run("test", ENGINE="broken")

    assert status == 0
    assert out.splitlines()[-1].endswith("<-m> <not docker>")
    assert err == (
        "scripts/test: without the tests marked 'docker', "
        "since scripts/base-images failed\n"
    )


@pytest.mark.parametrize(
    ("engine", "reason"),
    [("", "no engine answers"), ("broken", "scripts/base-images failed")],
)
def test_scripts_test_fails_without_an_engine_that_it_is_told_to_require(
    checkout: Checkout, engine: str, reason: str
) -> None:
    checkout.run("bootstrap", "test")

    status, out, err = checkout.run(
        "test", ENGINE=engine, LAYERFORGE_REQUIRE_DOCKER="1"
    )

    assert (status, err) == (1, f"scripts/test: {reason}\n")
    assert "pytest in" not in out


def test_scripts_test_without_arguments_checks_first_and_ends_with_pytest(
    checkout: Checkout,
) -> None:
    status, out, _ = checkout.run("test")

    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        "ruff",
        "ruff",
        "mypy",
        "shellcheck",
        "pytest",
    ]


@pytest.mark.parametrize("failing", ["ruff", "mypy", "shellcheck", "pytest"])
def test_scripts_test_fails_where_any_of_its_steps_does(
    checkout: Checkout, failing: str
) -> None:
    status, _, _ = checkout.run("test", FAILING=failing)

    assert status == 1


def test_scripts_check_runs_all_it_has_though_the_first_fails(
    checkout: Checkout,
) -> None:
    status, out, _ = checkout.run("check", FAILING="ruff")

    where = f"in {checkout.root}:"
    shell = " ".join(f"<{script}>" for script in shell_scripts())
    assert status == 1
    assert out.splitlines() == [
        f"ruff {where} <check> <.>",
        f"ruff {where} <format> <--check> <.>",
        f"mypy {where} <>",
        f"shellcheck {where} {shell}",
    ]


def test_every_shell_script_is_checked() -> None:
    folders = ("scripts", ".ci", "build-images")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    shell = {
        str(file.relative_to(ROOT))
        for file in files
        if file.is_file() and re.match(rb"#!.*\b(ba)?sh\n", file.read_bytes())
    }

    assert set(shell_scripts()) == shell


@pytest.fixture(scope="module")
def package_index() -> ModuleType:
    path = ROOT / "scripts" / "package_index.py"
    spec = importlib.util.spec_from_file_location("package_index", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["package_index"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("link", "chosen"),
    [
        pytest.param("pip-10.0-py3-none-any.whl#sha256=b", "10.0", id="newer"),
        pytest.param("pip-8.0-py3-none-any.whl#sha256=b", "9.0", id="older"),
        pytest.param("pip-10.0-py3-none-any.whl", "9.0", id="no hash"),
        pytest.param("pip-10.0-py3-none-any.whl#md5=b", "9.0", id="weak hash"),
        pytest.param("pip-10.0b1-py3-none-any.whl#sha256=b", "9.0", id="pre-release"),
        pytest.param("pip-10.0.tar.gz#sha256=b", "9.0", id="no wheel"),
        pytest.param(
            'pip-10.0-py3-none-any.whl#sha256=b" data-yanked="', "9.0", id="yanked"
        ),
        pytest.param(
            'pip-10.0-py3-none-any.whl#sha256=b" data-requires-python="&gt;=3.99',
            "9.0",
            id="for a later Python",
        ),
        pytest.param(
            'pip-10.0-py3-none-any.whl#sha256=b" data-requires-python="&gt;=3.9',
            "10.0",
            id="for this Python",
        ),
    ],
)
def test_the_newest_pip_that_runs_here_is_chosen(
    package_index: ModuleType, link: str, chosen: str
) -> None:
    page = f'<a href="pip-9.0-py3-none-any.whl#sha256=a">x</a><a href="{link}">y</a>'

    wheel = package_index.newest_pip(page, "https://index/simple/pip/")

    assert wheel.url == f"https://index/simple/pip/pip-{chosen}-py3-none-any.whl"


def test_a_page_without_a_usable_pip_gives_none(package_index: ModuleType) -> None:
    assert package_index.newest_pip("<a>pip</a>", "https://index/simple/pip/") is None


def test_a_variable_beats_a_file_in_pips_settings(
    package_index: ModuleType, tmp_path: Path
) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text("[global]\nindex-url = https://file\ncert = /file.pem\n")

    settings = package_index.pip_settings(
        {
            "HOME": str(tmp_path),
            "PIP_CONFIG_FILE": str(conf),
            "PIP_INDEX_URL": "https://variable",
        }
    )

    assert settings["index-url"] == "https://variable"
    assert settings["cert"] == "/file.pem"


def test_a_folder_can_be_the_index(
    package_index: ModuleType,
    tmp_path: Path,
    index: Index,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, body in index.pages.items():
        page = f"{name}index.html" if name.endswith("/") else name
        path = tmp_path / "index" / page.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index/simple").as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    wheel = package_index.fetch_pip(tmp_path)

    assert wheel == tmp_path / "pip-99.0-py3-none-any.whl"
    assert wheel.read_bytes() == PIP_WHEEL


@pytest.mark.network
def test_this_very_checkout_is_set_up_from_the_index(
    checkout: Checkout, tmp_path: Path
) -> None:
    root = tmp_path / "this"
    ignored = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "dist")
    shutil.copytree(ROOT, root, ignore=ignored)
    kept = ("HOME", "PATH", "PYTHON", "PYTHONPATH")
    environ = dict(os.environ) | {name: checkout.environ[name] for name in kept}
    real = Checkout(root=root, environ=environ)

    process = real.start("layerforge", "--version")
    out, err = process.communicate(timeout=600)

    assert process.returncode == 0, err
    assert out.startswith("layerforge")
