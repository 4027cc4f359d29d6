"""layerforge plan: what a build would do, and nothing done."""

from __future__ import annotations

import re

from tests.e2e.program import TARGET, Program, files_below

WEB = ("-r", "requirements.in", "--name", "web", *TARGET)


def without_rules(text: str) -> str:
    """Leave out which strip rules there are, which is not for this test to hold."""
    return re.sub(r"  strip   .*\n(?: {10}.*\n)*", "", text)


def test_writes_nothing_and_asks_nobody(web: Program) -> None:
    web("lock", *WEB)
    before = files_below(web.folder), files_below(web.cache)
    web.index.requests.clear()

    ran = web("plan", *WEB)

    assert ran.status == 0
    assert (files_below(web.folder), files_below(web.cache)) == before
    assert web.index.requests == []


def test_without_a_lock_it_would_resolve(web: Program) -> None:
    ran = web("plan", *WEB)

    assert without_rules(ran.stdout) == (
        "web for python3.12-x86_64\n"
        "  resolve, and write pylock.web-python312-x86_64.toml\n"
        "  fetch   what is then pinned and not in the store\n"
        "  write   dist/web-python3.12-x86_64.zip\n"
    )
    assert files_below(web.folder) == {"requirements.in": b"demo\n"}
    assert not web.cache.exists()


def test_lists_what_is_to_fetch(web: Program) -> None:
    web("lock", *WEB)

    ran = web("plan", *WEB)

    demo, helper = (
        (web.index.folder / f"{stem}-py3-none-any.whl").stat().st_size
        for stem in ("demo-1.0", "helper-1.1")
    )
    assert without_rules(ran.stdout) == (
        "web for python3.12-x86_64\n"
        "  lock    pylock.web-python312-x86_64.toml\n"
        f"  fetch   2 of 2 archives, {demo + helper:,} bytes\n"
        f"          demo    1.0  {demo:5,}  to fetch\n"
        f"          helper  1.1  {helper:5,}  to fetch\n"
        "  write   dist/web-python3.12-x86_64.zip\n"
        "  holding 145 bytes (0.0 MiB)\n"
    )


def test_json_tells_what_is_here_and_what_is_not(web: Program) -> None:
    web("build", *WEB)

    ran = web("plan", *WEB, "--json")

    [plan] = ran.document["plans"]
    assert plan["target"] == "python3.12-x86_64"
    assert plan["locked"]
    assert plan["fetch"] == []
    assert [pin["name"] for pin in plan["present"]] == ["demo", "helper"]


def test_refuses_a_stale_lock_as_a_build_would(web: Program) -> None:
    web("lock", *WEB)
    web.write("requirements.in", "helper\n")

    planned, built = web("plan", *WEB), web("build", *WEB)

    assert (planned.status, planned.stderr) == (3, built.stderr)


def test_names_the_rules_by_which_files_go(web: Program) -> None:
    every = web("plan", *WEB, "--json").document["plans"][0]["rules"]

    ran = web("plan", *WEB)

    named = re.sub(r"\s+", " ", ran.stdout.partition("  strip   ")[2])
    assert named.startswith(", ".join([*every, "tails of libraries"]))
    assert max(map(len, ran.stdout.splitlines())) <= 80
