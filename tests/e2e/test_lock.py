"""Locks: made, held to, brought up to date, and given to other tools."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from tests.e2e.program import TARGET, Program, files_below
from tests.servers import Index
from tests.wheels import make_wheel

WEB = ("-r", "requirements.in", "--name", "web", *TARGET)
LOCK = "pylock.web-python312-x86_64.toml"

PROJECT = """
[defaults]
runtimes = ["python3.12"]
architectures = ["x86_64"]

[layers.web]
requirements = ["helper<1.1"]
"""


def pins_in(lock: Path) -> dict[str, str]:
    packages = tomllib.loads(lock.read_text())["packages"]
    return {package["name"]: package["version"] for package in packages}


def test_a_project_from_its_beginning(layerforge: Program, index: Index) -> None:
    make_wheel(index.folder, "requests", "2.32.0", {"requests/__init__.py": b""})

    begun = layerforge("init")
    built = layerforge("build")

    assert (begun.stdout, begun.stderr) == (
        "layerforge.toml\n",
        "Next: layerforge build\n",
    )
    assert (built.status, built.stdout) == (
        0,
        "dist/work-python3.13-x86_64.zip\ndist/work-python3.13-arm64.zip\n",
    )


def test_a_lock_whose_requirements_changed_is_refused(layerforge: Program) -> None:
    project = layerforge.write("layerforge.toml", PROJECT)
    layerforge("build")
    before = files_below(layerforge.folder / "dist")
    project.write_text(PROJECT.replace("helper<1.1", "helper"))

    ran = layerforge("build")

    assert (ran.status, ran.stdout, ran.stderr) == (
        3,
        "",
        (
            f"error: {LOCK} was made from other requirements than web "
            "has now\n"
            "try: Bring it up to date: layerforge lock web --runtime python3.12 "
            "--arch x86_64\n"
        ),
    )
    assert files_below(layerforge.folder / "dist") == before


def test_the_command_that_a_stale_lock_names_mends_it(layerforge: Program) -> None:
    project = layerforge.write("layerforge.toml", PROJECT)
    layerforge("build")
    project.write_text(PROJECT.replace('"helper<1.1"', '"helper<1.1", "demo"'))
    told = layerforge("build").stderr.partition("up to date: layerforge ")[2]

    locked = layerforge(*told.split())
    built = layerforge("build")

    assert (locked.status, locked.stdout) == (0, f"{LOCK}\n")
    assert built.status == 0
    assert pins_in(layerforge.folder / LOCK) == {"demo": "1.0", "helper": "1.0"}


def test_check_passes_where_the_lock_is_fresh(web: Program) -> None:
    web("lock", *WEB)
    web.index.requests.clear()

    ran = web("lock", *WEB, "--check")

    assert (ran.status, ran.stdout, web.index.requests) == (0, f"{LOCK}\n", [])


def test_check_fails_where_the_lock_is_stale(web: Program) -> None:
    web("lock", *WEB)
    web.write("requirements.in", "demo\nnative\n")

    ran = web("lock", *WEB, "--check")

    assert (ran.status, ran.stderr) == (
        3,
        (
            f"error: {LOCK} was made from other requirements than web has now\n"
            "try: Bring it up to date: layerforge lock -r requirements.in --name web "
            "--runtime python3.12 --arch x86_64\n"
        ),
    )


def test_check_fails_where_there_is_no_lock(web: Program) -> None:
    ran = web("lock", *WEB, "--check")

    assert (ran.status, ran.stderr) == (
        3,
        (
            f"error: there is no lock of web for python3.12-x86_64 ({LOCK})\n"
            "try: Make it: layerforge lock -r requirements.in --name web "
            "--runtime python3.12 --arch x86_64\n"
        ),
    )


def test_keeps_its_pins_until_it_is_to_upgrade(web: Program, shelf: Path) -> None:
    web("lock", *WEB)
    make_wheel(shelf, "helper", "1.2", {"helper.py": b""})
    make_wheel(shelf, "demo", "1.3", {"demo/__init__.py": b""}, requires=["helper"])

    again = web("lock", *WEB)
    kept = pins_in(web.folder / LOCK)
    web.elsewhere(cache=web.home / "c")("lock", *WEB, "--upgrade-package", "helper")
    freed = pins_in(web.folder / LOCK)
    web.elsewhere(cache=web.home / "c")("lock", *WEB, "--upgrade")

    assert again.status == 0
    assert kept == {"demo": "1.0", "helper": "1.1"}
    assert freed == {"demo": "1.0", "helper": "1.2"}
    assert pins_in(web.folder / LOCK) == {"demo": "1.3", "helper": "1.2"}


def test_can_not_upgrade_a_package_that_it_does_not_pin(web: Program) -> None:
    web("lock", *WEB)

    ran = web("lock", *WEB, "--upgrade-package", "flask")

    assert (ran.status, ran.stderr) == (
        3,
        (
            f"error: {LOCK} pins no flask\n"
            "try: Name packages that the lock has with --upgrade-package.\n"
        ),
    )


def test_json_lists_every_pin(web: Program) -> None:
    ran = web("lock", *WEB, "--json")

    [lock] = ran.document["locks"]
    assert ran.document["format"] == 1
    assert lock["path"] == str(web.folder / LOCK)
    assert lock["target"] == "python3.12-x86_64"
    assert lock["roots"] == ["demo"]
    assert [(pin["name"], pin["version"]) for pin in lock["pins"]] == [
        ("demo", "1.0"),
        ("helper", "1.1"),
    ]


def test_export_is_what_pip_installs_from(web: Program) -> None:
    web("lock", *WEB)
    exported = web("export", *WEB)
    requirements = web.write("hashed.txt", exported.stdout)

    pip = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--require-hashes"),
            *("--ignore-installed", "--no-cache-dir", "--disable-pip-version-check"),
            *("--index-url", web.index.simple_url, "-r", requirements),
        ],
        env=web.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert exported.stderr == ""
    assert pip.stdout.splitlines()[-1:] == ["Would install demo-1.0 helper-1.1"], pip


def test_export_takes_one_target(web: Program) -> None:
    ran = web("export", *WEB, "--arch", "arm64")

    assert (ran.status, ran.stdout, ran.stderr) == (
        2,
        "",
        (
            "error: a requirements file is for one target, and there are 2\n"
            "try: Name one layer, --runtime and --arch.\n"
        ),
    )
