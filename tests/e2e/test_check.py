"""layerforge check: of projects that were locked against an index, which is gone."""

from __future__ import annotations

import json
import subprocess
from typing import Final

import pytest

from layerforge.limits import UNZIPPED_LIMIT
from tests.e2e.program import Program, files_below
from tests.servers import Index

PROJECT: Final = """\
[defaults]
runtimes = ["python3.12"]
architectures = ["x86_64"]

[layers.web]
requirements = "requirements.in"

[layers.base]
requirements = ["helper<1.1"]

[functions.api]
layers = ["web", "base"]
code = 1000
"""
STALE: Final = (
    "error[lock-stale]: web for python3.12-x86_64\n"
    "  pylock.web-python312-x86_64.toml was made from other requirements than web has"
    "\n    now\n"
    "  try: Bring it up to date: layerforge lock web\n"
)


@pytest.fixture
def locked(web: Program) -> Program:
    """A project of two layers and a function, locked."""
    web.write("layerforge.toml", PROJECT)
    ran = web("lock")
    assert ran.status == 0, ran.stderr
    return web


def change(program: Program, old: str, new: str) -> None:
    file = program.folder / "layerforge.toml"
    file.write_text(file.read_text().replace(old, new))


def commit(program: Program) -> None:
    own = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*own, *words], cwd=program.folder, check=True)


def test_a_project_in_order(locked: Program, index: Index) -> None:
    before = files_below(locked.folder)
    index.requests.clear()

    ran = locked("check")

    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout == (
        "layer  target             unzipped  share  state\n"
        "web    python3.12-x86_64       145   0.0%  ok\n"
        "base   python3.12-x86_64        60   0.0%  ok\n"
        "\n"
        "function  target             unzipped  share  state\n"
        "api       python3.12-x86_64     1,205   0.0%  ok\n"
    )
    assert files_below(locked.folder) == before
    assert index.requests == []


def test_sizes_are_those_of_a_build(locked: Program) -> None:
    built = locked("build", "--json").document["layers"]

    checked = locked("check", "--json").document["layers"]

    assert [layer["unzipped"] for layer in checked] == [
        layer["unzipped"] for layer in built
    ]


def test_quiet_says_nothing_of_a_project_in_order(locked: Program) -> None:
    ran = locked("check", "-q")

    assert (ran.status, ran.stdout, ran.stderr) == (0, "", "")


def test_a_stale_lock_ends_with_3(locked: Program) -> None:
    locked.write("requirements.in", "demo\nhelper\n")

    ran = locked("check", "-q")

    assert (ran.status, ran.stderr) == (3, "")
    assert ran.stdout == f"{STALE}\n1 error\n"


def test_what_a_stale_lock_asks_for_mends_it(locked: Program) -> None:
    locked.write("requirements.in", "demo\nhelper\n")
    assert locked("lock", "web").status == 0

    assert locked("check").status == 0


def test_a_missing_lock_ends_with_3(locked: Program) -> None:
    (locked.folder / "pylock.base-python312-x86_64.toml").unlink()

    ran = locked("check", "-q")

    assert ran.status == 3
    assert ran.stdout == (
        "error[lock-missing]: base for python3.12-x86_64\n"
        "  there is no pylock.base-python312-x86_64.toml\n"
        "  try: Make it, and commit it: layerforge lock base\n"
        "\n"
        "1 error\n"
    )


def test_a_limit_ends_with_5(locked: Program) -> None:
    change(locked, 'helper<1.1"]', 'helper<1.1"]\nmax-unzipped = 9')

    ran = locked("check")

    assert ran.status == 5
    assert "error[size]: base for python3.12-x86_64\n" in ran.stdout


def test_a_budget_ends_with_5(locked: Program) -> None:
    change(locked, "code = 1000", f"code = {2 * UNZIPPED_LIMIT}")

    ran = locked("check", "api", "-q")

    assert ran.status == 5
    assert ran.stdout.startswith("error[budget]: function api for python3.12-x86_64\n")


def test_the_lowest_status_wins(locked: Program) -> None:
    locked.write("requirements.in", "demo\nhelper\n")
    change(locked, 'helper<1.1"]', 'helper<1.1"]\nmax-unzipped = 9')

    assert locked("check").status == 3


def test_a_mistake_in_layerforge_toml_ends_with_2(locked: Program) -> None:
    change(locked, '["web", "base"]', '["web", "bass"]')

    ran = locked("check")

    assert (ran.status, ran.stdout) == (2, "")
    assert ran.stderr == (
        "error: layerforge.toml:\n"
        '  functions.api.layers[1]: found "bass", expected a layer (web, base), or an '
        "ARN\n"
    )


def test_a_mistake_in_layerforge_toml_is_annotated_there(locked: Program) -> None:
    change(locked, '["web", "base"]', '["web", "bass"]')

    ran = locked("check", "--format", "github")

    assert ran.status == 2
    assert ran.stdout == (
        "::error file=layerforge.toml,title=layerforge%3A check::layerforge.toml:%0A  "
        'functions.api.layers[1]: found "bass", expected a layer (web, base), or an '
        "ARN\n"
    )
    assert ran.stderr.startswith("error: layerforge.toml:\n")


def test_a_mistake_in_requirements_is_annotated_there(locked: Program) -> None:
    locked.write("requirements.in", "demo>>2\n")

    ran = locked("check", "--format", "github")

    assert ran.status == 2
    assert ran.stdout.startswith(
        "::error file=requirements.in,title=layerforge%3A check::requirements.in, line"
    )
    assert ran.stdout.count("\n") == 1


def test_a_mistake_of_no_file_is_annotated_without_one(layerforge: Program) -> None:
    ran = layerforge("check", "--format", "github")

    assert ran.status == 2
    assert ran.stdout.startswith(
        "::error title=layerforge%3A check::there is no layerforge.toml here"
    )


def test_a_comment_says_why_nothing_was_checked(locked: Program) -> None:
    change(locked, '["web", "base"]', '["web", "bass"]')

    ran = locked("check", "--format", "markdown")

    assert ran.status == 2
    assert ran.stdout == (
        '- **error** layerforge.toml: functions.api.layers\\[1\\]: found "bass", '
        "expected a layer (web, base), or an ARN.\n"
    )


def test_no_layerforge_toml_ends_with_2(layerforge: Program) -> None:
    ran = layerforge("check")

    assert ran.status == 2
    assert ran.stderr == (
        "error: there is no layerforge.toml here or in a folder above\n"
        "try: Name its folder (--project FOLDER), or make one: layerforge init\n"
    )


def test_a_layerforge_toml_with_nothing_to_check_ends_with_2(
    layerforge: Program,
) -> None:
    layerforge.write("layerforge.toml", "[layers]\n")

    ran = layerforge("check")

    assert (ran.status, ran.stderr) == (
        2,
        (
            "error: layerforge.toml has neither layers nor functions\n"
            "try: See how they are written: layerforge init, in an empty folder\n"
        ),
    )


def test_functions_need_no_layers_of_the_project(layerforge: Program) -> None:
    layerforge.write("layerforge.toml", "[functions.api]\ncode = 1000\n")

    ran = layerforge("check")

    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout == (
        "function  target  unzipped  share  state\n"
        "api       ?          1,000   0.0%  ok\n"
    )


def test_a_project_in_another_folder_is_checked_from_here(locked: Program) -> None:
    inner = locked.folder / "inner"
    inner.mkdir()
    for path in files_below(locked.folder):
        (locked.folder / path).rename(inner / path)

    ran = locked("check", "--project", "inner", "-q")
    (inner / "pylock.base-python312-x86_64.toml").unlink()
    missing = locked("check", "--project", "inner", "-q")

    assert (ran.status, ran.stdout, ran.stderr) == (0, "", "")
    assert missing.status == 3
    assert "  there is no inner/pylock.base-python312-x86_64.toml\n" in missing.stdout


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        (
            ["--json", "--format", "markdown"],
            "--json and --format markdown are asked for at once",
            "Leave one of them out.",
        ),
        (
            ["--against", ""],
            "--against names no revision",
            (
                "Name a branch, a tag or a commit; in a script, see that its variable "
                "is set."
            ),
        ),
    ],
)
def test_options_that_say_two_things_or_nothing_are_refused(
    locked: Program, words: list[str], message: str, remedy: str
) -> None:
    ran = locked("check", *words)

    assert (ran.status, ran.stderr) == (2, f"error: {message}\ntry: {remedy}\n")


@pytest.mark.parametrize("words", [("--json",), ("--format", "json")])
def test_an_error_is_a_document_where_one_is_wanted(
    layerforge: Program, words: tuple[str, ...]
) -> None:
    ran = layerforge("check", *words)

    assert ran.document["error"]["exit_code"] == ran.status == 2


def test_warnings_count_if_it_is_to_be_strict(locked: Program) -> None:
    change(locked, "code = 1000", 'code = "build/api.zip"')

    easy, strict = locked("check", "-q"), locked("check", "-q", "--strict")

    assert (easy.status, strict.status) == (0, 5)
    assert easy.stdout == strict.stdout
    assert easy.stdout.startswith("warning[code]: function api for python3.12-x86_64\n")


def test_json_has_these_fields(locked: Program) -> None:
    document = locked("check", "--json").document

    assert {key: type(value).__name__ for key, value in document.items()} == {
        "format": "int",
        "status": "int",
        "limit": "int",
        "layers": "list",
        "functions": "list",
        "findings": "list",
    }


def test_annotations_stand_at_the_layers_line(locked: Program) -> None:
    locked.write("requirements.in", "demo\nhelper\n")

    ran = locked("check", "--format", "github")

    assert ran.status == 3
    assert ran.stdout == (
        "::error file=layerforge.toml,line=5,title=layerforge%3A lock-stale::web for "
        "python3.12-x86_64: pylock.web-python312-x86_64.toml was made from other "
        "requirements than web has now%0ABring it up to date: layerforge lock web\n"
    )


def test_annotations_name_files_as_github_does(locked: Program) -> None:
    (locked.folder / "pylock.base-python312-x86_64.toml").unlink()
    workspace = {"GITHUB_WORKSPACE": str(locked.folder.parent)}

    ran = locked.elsewhere(variables=workspace)("check", "--format", "github")

    assert ran.stdout.startswith("::error file=work/layerforge.toml,line=8,")


def test_annotations_name_files_from_the_repository_s_root(locked: Program) -> None:
    (locked.folder / "pylock.base-python312-x86_64.toml").unlink()
    (locked.folder.parent / ".git").mkdir()

    ran = locked("check", "--format", "github")

    assert ran.stdout.startswith("::error file=work/layerforge.toml,line=8,")


def test_annotations_of_a_project_in_order_are_none(locked: Program) -> None:
    ran = locked("check", "--format", "github")

    assert (ran.status, ran.stdout) == (0, "")


def test_a_pull_request_sees_what_a_change_costs(locked: Program) -> None:
    commit(locked)
    change(locked, "helper<1.1", "helper>=1.1")
    assert locked("lock", "base").status == 0

    ran = locked("check", "base", "--against", "HEAD", "--format", "markdown")
    document = locked("check", "base", "--against", "HEAD", "--json").document

    assert ran.status == 0
    assert "### Since `HEAD`: 0 bytes in one zip\n" in ran.stdout
    assert "| `base` | python3.12-x86_64 | `helper` | 1.0 | 1.1 | " in ran.stdout
    (layer,) = document["since"]["layers"]
    assert (layer["name"], layer["growth"]) == ("base", 0)


def test_a_revision_that_is_none_ends_with_2(locked: Program) -> None:
    commit(locked)

    ran = locked("check", "--against", "nope")

    assert ran.status == 2
    assert ran.stderr.startswith("error: git knows no revision 'nope' here\n")


def test_node_js_is_checked_by_its_lock_and_its_ledger(layerforge: Program) -> None:
    layerforge.write(
        "layerforge.toml",
        '[layers.kit]\npackage-json = "package.json"\n'
        'runtimes = ["nodejs24.x"]\narchitectures = ["arm64"]\n',
    )
    manifest = {"name": "kit", "dependencies": {"ms": "^2.0.0"}}
    layerforge.write("package.json", json.dumps(manifest))
    ms = {
        "version": "2.0.0",
        "resolved": "https://registry.npmjs.org/ms/-/ms-2.0.0.tgz",
        "integrity": f"sha512-{'A' * 86}==",
    }
    packages = {"": manifest, "node_modules/ms": ms}
    layerforge.write(
        "package-lock.json", json.dumps({"lockfileVersion": 3, "packages": packages})
    )
    unweighed = layerforge("check")
    layerforge.write(
        "layerforge-ledger.kit-nodejs24-arm64.toml",
        'format = 1\nlayer = "kit"\ntarget = "nodejs24.x-arm64"\nstripping = ""\n'
        '[[packages]]\nid = "ms"\nversion = "2.0.0"\nunzipped = 9\nkept = 7\n',
    )
    weighed = layerforge("check", "--json")

    assert unweighed.status == 0
    assert "warning[weights]: kit for nodejs24.x-arm64\n" in unweighed.stdout
    (layer,) = weighed.document["layers"]
    assert (layer["unzipped"], layer["bound"]) == (7, "about")
