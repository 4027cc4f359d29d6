"""The documents say what the program does: its words, its keys, its numbers."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, Final

import click
import pytest
from pre_commit.clientlib import load_config, load_manifest
from pre_commit.yaml import yaml_load

from layerforge import __version__, errors
from layerforge.ecosystems.node.install_scripts import known_scripts
from layerforge.errors import ConfigError, LayerforgeError
from layerforge.findings import load_checks
from layerforge.limits import DIRECT_UPLOAD_LIMIT, UNZIPPED_LIMIT
from layerforge.project import find_project
from layerforge.publication import NAME_WORDS
from layerforge.recipes import read_recipe, recipe_names
from layerforge.reports.handover import HANDOVERS
from layerforge.strip import all_rules
from layerforge.target import find_runtime, load_runtimes
from tests.commands import Words, all_commands, options_of, parsed

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
HOOKS: Final = ".pre-commit-hooks.yaml"
DOCUMENTS: Final = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
COMMANDS: Final = all_commands()
WIDTH: Final = 80

each_document = pytest.mark.parametrize("name", DOCUMENTS)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(title: str, text: str = README) -> str:
    """Give what stands under a heading, up to the next of its rank or a higher one."""
    begin = re.search(rf"^(#+) {re.escape(title)}\n", text, re.MULTILINE)
    assert begin, f"there is no heading {title!r}"
    rest = text[begin.end() :]
    end = re.search(rf"^#{{1,{len(begin[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def blocks(text: str, language: str) -> list[str]:
    """Give the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def rows(text: str) -> list[list[str]]:
    """Give the cells of every table's rows, without their heads."""
    lines = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    rules = [number for number, row in enumerate(cells) if set(row[0]) <= {"-", ":"}]
    heads = {number - 1 for number in rules} | set(rules)
    return [row for number, row in enumerate(cells) if number not in heads]


def codes(text: str) -> list[str]:
    """Give what stands between backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def command_lines(text: str) -> list[list[str]]:
    """Give the command lines of all console blocks that start us, in words."""
    typed = re.sub(r"\\\n\s*", "", "\n".join(blocks(text, "console")))
    lines = [line.removeprefix("$ ") for line in typed.split("\n") if line[:2] == "$ "]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line for line in words if line[0].rpartition("/")[2] == "layerforge"]


def test_the_first_command_sets_up_and_builds_and_the_second_tests() -> None:
    lines = "\n".join(blocks(README, "console")).splitlines()
    commands = [line for line in lines if line.startswith("$ ")]

    assert commands[:2] == [
        "$ scripts/layerforge build pandas --runtime python3.13 --arch arm64",
        "$ scripts/test",
    ]


def test_every_command_has_its_heading() -> None:
    headings = re.findall(r"^### `layerforge (.*)`$", section("Commands"), re.MULTILINE)

    leaves = {
        " ".join(words)
        for words, command in COMMANDS.items()
        if not isinstance(command, click.Group)
    }
    assert set(headings) == leaves


def test_the_commands_stand_in_the_order_of_the_help() -> None:
    headings = re.findall(r"^### `layerforge (\w+)", section("Commands"), re.MULTILINE)

    first = list(dict.fromkeys(headings))
    assert first == [words[0] for words in COMMANDS if len(words) == 1]


@pytest.mark.parametrize(
    "words",
    [
        words
        for words, command in COMMANDS.items()
        if not isinstance(command, click.Group)
    ],
    ids=" ".join,
)
def test_a_commands_options_are_those_of_its_help(words: Words) -> None:
    own = section(f"`layerforge {' '.join(words)}`")
    groups = re.findall(r"\[(\w+ options)\]\(#", own)
    tables = [own, *(section(group.capitalize()) for group in groups)]

    documented = {
        word
        for table in tables
        for row in rows(table)
        for code in codes(row[0])
        for word in code.split()
        if word.startswith("--")
    }

    assert documented == options_of(COMMANDS[words])


def test_every_environment_variable_of_an_option_is_named() -> None:
    variables = {
        part.envvar
        for command in COMMANDS.values()
        for part in command.params
        if isinstance(part.envvar, str)
    }

    assert {name for name in variables if f"`{name}`" not in README} == set()


@each_document
def test_every_command_line_is_one_that_the_program_takes(name: str) -> None:
    for _, *words in command_lines(text_of(name)):
        parsed(words)  # raises where a command, option or value is unknown


def known_keys(tmp_path: Path, table: str) -> set[str]:
    """Ask the program which keys a table may have, by one that it doesn't."""
    (tmp_path / "layerforge.toml").write_text(table + "qqqqqqqqq = 1\n")
    with pytest.raises(ConfigError) as caught:
        find_project(tmp_path)
    keys = re.search(r"qqqqqqqqq: unknown; known here: (.*)", caught.value.message)
    assert keys
    return set(keys[1].split(", "))


def test_every_key_of_a_layer_is_in_the_reference_and_no_other(tmp_path: Path) -> None:
    documented = {codes(row[0])[0] for row in rows(section("The keys of a layer"))}

    assert documented == known_keys(tmp_path, "[layers.web]\n")


def test_every_key_of_a_function_is_in_the_reference_and_no_other(
    tmp_path: Path,
) -> None:
    documented = {codes(row[0])[0] for row in rows(section("The keys of functions"))}

    assert documented == known_keys(tmp_path, "[functions.api]\n")


def test_every_key_of_publish_is_in_the_reference_and_no_other(tmp_path: Path) -> None:
    documented = {codes(row[0])[0] for row in rows(section("The keys of publish"))}

    assert documented == known_keys(tmp_path, "[layers.web.publish]\n")


def test_every_key_of_an_account_is_in_the_reference_and_no_other(
    tmp_path: Path,
) -> None:
    documented = {codes(row[0])[0] for row in rows(section("The keys of accounts"))}

    assert documented == known_keys(tmp_path, "[publish.accounts.live]\n")


def test_every_word_of_a_template_is_explained() -> None:
    documented = {codes(row[0])[0] for row in rows(section("Names"))}

    assert documented == {f"{{{word}}}" for word in NAME_WORDS}


def test_every_form_of_a_hand_over_is_explained() -> None:
    documented = [codes(row[0])[0] for row in rows(section("Handing over"))]

    assert documented == list(HANDOVERS)


def _actions() -> set[str]:
    """Name what is asked of Lambda and of the Systems Manager, from the sources."""
    sources = [
        path.read_text(encoding="utf-8")
        for path in (ROOT / "layerforge/aws").iterdir()
        if path.suffix == ".py"
    ]
    calls = re.findall(
        r"\.(?:call|once|pages)\(\s*\"(lambda|ssm)\",[^,]+,\s*\"(\w+)\"",
        "".join(sources),
    )
    return {
        f"{service}:{operation.title().replace('_', '')}"
        for service, operation in calls
    }


def test_the_permissions_are_those_of_the_calls_that_are_made() -> None:
    table = rows(section("Permissions"))

    documented = {
        action
        for row in table
        for action in codes(row[1])
        if action.startswith(("lambda:", "ssm:"))
    }

    assert documented == _actions()


def test_the_policy_allows_what_publishing_asks_for() -> None:
    text = section("Permissions")
    (policy,) = map(json.loads, blocks(text, "json"))
    allowed = [
        action for statement in policy["Statement"] for action in statement["Action"]
    ]

    needed = [
        action
        for row in rows(text)
        if codes(row[0])[0] in ("publish", "grants", "bucket")
        for action in codes(row[1])
    ]

    assert sorted(allowed) == sorted(needed)


def _make_what_is_named(folder: Path, document: dict[str, Any]) -> None:
    """Make the files that a configuration speaks of."""
    for layer in document.get("layers", {}).values():
        files = (layer.get("requirements"), layer.get("package-json"))
        named = [*files, *layer.get("include", ()), *layer.get("entry-points", ())]
        for name in named:
            if isinstance(name, str):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).touch()


@each_document
def test_every_toml_example_is_read_without_a_complaint(
    name: str, tmp_path: Path
) -> None:
    for number, text in enumerate(blocks(text_of(name), "toml")):
        folder = tmp_path / str(number)
        folder.mkdir()
        document = tomllib.loads(text)
        inside = document.get("tool", {}).get("layerforge", document)
        _make_what_is_named(folder, inside)
        if "imports" in document:
            (folder / "recipe.toml").write_text(text)
            assert read_recipe(folder / "recipe.toml").imports
        elif "rules" in document:
            assert {"id", "why", "drop", "examples"} <= set(document["rules"][0])
        elif "runtimes" in document:
            assert all("os" in row for row in document["runtimes"].values())
        elif "packages" in document:
            assert document["packages"] == _as_it_stands(document["packages"])
        elif "checks" in document:
            assert document["checks"].items() <= _rows_of("checks")["checks"].items()
        elif "libraries" in document:
            known = _rows_of("missing-libraries")["libraries"]
            assert all(row in known for row in document["libraries"])
        else:
            file = "pyproject.toml" if "tool" in document else "layerforge.toml"
            (folder / file).write_text(text)
            assert find_project(folder).file == folder / file


def _as_it_stands(rows: dict[str, Any]) -> dict[str, Any]:
    """Give what is known of the install scripts that an example speaks of."""
    known = known_scripts()
    return {
        name: {"why": known[name].why, **({"run": True} if known[name].run else {})}
        for name in rows
    }


def _rows_of(name: str) -> dict[str, Any]:
    text = (ROOT / "layerforge/data" / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _kinds(error: type[LayerforgeError]) -> set[tuple[int, str]]:
    inner = [kinds for child in error.__subclasses__() for kinds in _kinds(child)]
    return {(error.exit_code, error.kind), *inner}


def test_the_exit_statuses_are_those_of_the_errors() -> None:
    documented = {
        (int(row[0]), code)
        for row in rows(section("Exit status"))
        for code in codes(row[1])
    }
    statuses = {int(row[0]) for row in rows(section("Exit status"))}

    expected = _kinds(LayerforgeError) - {(1, LayerforgeError.kind)}
    assert documented == expected
    assert statuses == {status for status, _ in expected} | {0, 70, 130}


def test_the_overview_in_errors_gives_the_statuses_of_the_classes() -> None:
    drawn = re.findall(r"── (\w+) +(\d+)", errors.__doc__ or "")

    assert {name: int(status) for name, status in drawn} == {
        child.__name__: child.exit_code for child in LayerforgeError.__subclasses__()
    }


@each_document
def test_every_runtime_that_is_mentioned_exists(name: str) -> None:
    mentioned = re.findall(r"\b(?:python3\.\d+|nodejs\d+\.x)", text_of(name))

    for runtime in mentioned:
        find_runtime(runtime)  # raises where there is none


def test_the_runtimes_that_are_built_for_are_all_named() -> None:
    table = rows(section("Runtimes"))

    names = [codes(row[0])[0] for row in table]

    assert names == list(load_runtimes())


def test_every_recipe_is_named_and_no_other() -> None:
    assert {codes(row[0])[0] for row in rows(section("Recipes"))} == set(recipe_names())


def test_every_strip_rule_is_named_with_its_profile() -> None:
    table = rows(section("Strip rules"))

    documented = [(codes(row[0])[0], codes(row[1])[0]) for row in table]

    assert documented == [(rule.id, str(rule.profile)) for rule in all_rules()]


def test_every_check_is_named_with_its_severity_and_title() -> None:
    documented = [(codes(row[0])[0], *row[1:]) for row in rows(section("Checks"))]

    checks = load_checks().values()
    assert documented == [(check.id, check.severity, check.title) for check in checks]


def test_the_checks_that_cant_be_waived_are_named() -> None:
    (listed,) = re.findall(r"can't be\s+waived: ([^.]*)\.", section("Waivers"))

    checks = load_checks().values()
    assert set(codes(listed)) == {check.id for check in checks if not check.waivable}


def test_the_configuration_of_the_hooks_is_lawful_and_names_all(tmp_path: Path) -> None:
    (snippet,) = blocks(section("pre-commit"), "yaml")
    file = tmp_path / ".pre-commit-config.yaml"
    file.write_text(snippet, encoding="utf-8")

    (repository,) = load_config(str(file))["repos"]  # raises for what is unlawful

    ours = {hook["id"]: hook for hook in load_manifest(str(ROOT / HOOKS))}
    assert [hook["id"] for hook in repository["hooks"]] == list(ours)
    for hook in repository["hooks"]:
        words = shlex.split(ours[hook["id"]]["entry"])[1:]
        parsed([*words, *hook.get("args", ()), "a.zip"])  # raises for what is unknown


def test_the_workflow_calls_commands_that_there_are() -> None:
    (snippet,) = blocks(section("GitHub Actions"), "yaml")
    steps = yaml_load(snippet)["jobs"]["layers"]["steps"]
    lines = "\n".join(step.get("run", "") for step in steps).splitlines()

    calls = [shlex.split(line) for line in lines if line.startswith("layerforge ")]

    assert len(calls) == 2
    for _, *words in calls:
        end = words.index(">") if ">" in words else None
        parsed(words[:end])  # raises where a command, option or value is unknown


def test_the_limits_are_those_that_are_checked() -> None:
    limits = section("Limits")

    assert str(UNZIPPED_LIMIT) in limits
    assert str(DIRECT_UPLOAD_LIMIT) in limits


def _anchors(text: str) -> set[str]:
    """Give the anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in headings
    }


@each_document
def test_every_link_within_the_repository_leads_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", text_of(name))

    for link in (link for link in links if "://" not in link):
        path, _, anchor = link.partition("#")
        target = ROOT / (path or name)
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target.read_text(encoding="utf-8")), link


@each_document
def test_every_file_that_is_mentioned_exists(name: str) -> None:
    folders = r"(?:\.ci|layerforge|recipes|scripts|tests)"
    mentioned = re.findall(rf"[`\s]({folders}/[\w./-]+\w)", text_of(name))

    real = [path for path in mentioned if "NAME" not in path]  # which stands for any
    assert [path for path in real if not (ROOT / path).exists()] == []


@each_document
def test_what_stands_in_a_block_fits_a_terminal(name: str) -> None:
    inside = re.findall(r"^```\w*\n(.*?)^```$", text_of(name), re.MULTILINE | re.DOTALL)

    lines = [line for block in inside for line in block.splitlines()]

    assert [line for line in lines if len(line) > WIDTH] == []


def test_every_module_is_on_the_map() -> None:
    rooms = section("The rooms", text_of("CONTRIBUTING.md"))
    package = ROOT / "layerforge"
    inside = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    folders = {
        path.name + "/"
        for path in package.iterdir()
        if path.is_dir() and path.name[0] not in "._"  # tools leave caches
    }

    named = {code for row in rows(rooms) for code in codes(row[0])}

    assert named == inside | folders


def test_the_changelog_speaks_of_this_version() -> None:
    assert re.search(
        rf"^## \[{re.escape(__version__)}\] - ", text_of("CHANGELOG.md"), re.MULTILINE
    )
