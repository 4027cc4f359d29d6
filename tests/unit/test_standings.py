"""What `check` prints: whole texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from layerforge.check import Bound, Kind, Part, Size, Standing, Survey, gather
from layerforge.findings import Finding, Severity
from layerforge.reports.standings import (
    check_commands,
    check_document,
    check_markdown,
    check_text,
    line_of,
    workflow_command,
)

STALE = Finding(
    check="lock-stale",
    severity=Severity.ERROR,
    message="pylock.toml was made from other requirements than web has now",
    remedy="Bring it up to date: layerforge lock web",
)
CODE = Finding(
    check="code",
    severity=Severity.WARNING,
    message="there is no build/api.zip: only its layers are counted",
    remedy="Package it first, or give its size in bytes as code.",
)
NOTE = Finding(
    check="unknown-size",
    severity=Severity.NOTE,
    message="the size of theirs:3 isn't known here",
)
WAIVED = Finding(
    check="weights", severity=Severity.WARNING, message="m", waived="It is known."
)
LAYERS = (
    Standing(
        kind=Kind.LAYER,
        name="base",
        target="python3.13-arm64",
        parts=(Part(title="six", size=Size(bytes=61_234_567)),),
        size=Size(bytes=61_234_567, bound=Bound.ABOUT),
        lock_file=Path("pylock.base-python313-arm64.toml"),
        findings=(WAIVED,),
    ),
    Standing(
        kind=Kind.LAYER,
        name="web",
        target="python3.13-arm64",
        lock_file=Path("pylock.web-python313-arm64.toml"),
        findings=(STALE,),
    ),
)
API = Standing(
    kind=Kind.FUNCTION,
    name="api",
    target="python3.13-arm64",
    parts=(Part(title="code", size=None),),
    size=Size(bytes=0, bound=Bound.AT_LEAST),
    findings=(NOTE, CODE),
)
CHECK = Survey(layers=LAYERS, functions=(API,), told=gather([*LAYERS, API]))
WELL = Survey(layers=LAYERS[:1], functions=(), told=())
CONFIG = """# layers
[defaults]

[layers.base]
requirements = ["six"]

[layers.web]

[layers."web".publish]

[functions.api]
"""


def test_text_lists_what_there_is_and_what_is_wrong_with_it() -> None:
    assert (
        check_text(CHECK)
        == """\
layer  target                    unzipped  share  state
base   python3.13-arm64  about 61,234,567  23.4%  ok
web    python3.13-arm64                 ?         stale lock

function  target              unzipped  share  state
api       python3.13-arm64  at least 0   0.0%  no code

error[lock-stale]: web for python3.13-arm64
  pylock.toml was made from other requirements than web has now
  try: Bring it up to date: layerforge lock web
warning[code]: function api for python3.13-arm64
  there is no build/api.zip: only its layers are counted
  try: Package it first, or give its size in bytes as code.
note[unknown-size]: function api for python3.13-arm64
  the size of theirs:3 isn't known here
1 finding waived (-v shows them)

1 error, 1 warning, 1 note"""
    )


def test_text_of_a_project_in_order_is_a_table() -> None:
    assert check_text(WELL) == (
        "layer  target                    unzipped  share  state\n"
        "base   python3.13-arm64  about 61,234,567  23.4%  ok"
    )


def test_quiet_text_is_what_is_wrong() -> None:
    text = check_text(CHECK, quiet=True)

    assert text.startswith("error[lock-stale]: web for python3.13-arm64\n")
    assert "note[" not in text


def test_quiet_text_of_a_project_in_order_is_empty() -> None:
    assert check_text(WELL, quiet=True) == ""


def test_verbose_text_has_the_reasons_of_waivers() -> None:
    assert "  because: It is known." in check_text(CHECK, verbose=True)


def test_markdown_is_for_a_pull_request() -> None:
    assert (
        check_markdown(CHECK)
        == """\
| layer | target | unzipped | share | state |
| --- | --- | --: | --: | --- |
| `base` | python3.13-arm64 | about 61,234,567 | 23.4% | ok |
| `web` | python3.13-arm64 | ? |  | stale lock |

| function | target | unzipped | share | state |
| --- | --- | --: | --: | --- |
| `api` | python3.13-arm64 | at least 0 | 0.0% | no code |

- **error** `lock-stale` web for python3.13-arm64: pylock.toml was made from other \
requirements than web has now. Bring it up to date: layerforge lock web
- **warning** `code` function api for python3.13-arm64: there is no build/api.zip: \
only its layers are counted. Package it first, or give its size in bytes as code.
- **note** `unknown-size` function api for python3.13-arm64: the size of theirs:3 \
isn't known here."""
    )


def test_markdown_shows_texts_as_they_are() -> None:
    odd = replace(CODE, message="there is no __a__|<b>`c\n::error::.zip")
    told = gather([replace(API, findings=(odd,))])

    item = check_markdown(replace(CHECK, told=told)).splitlines()[-1]

    assert item.startswith(
        "- **warning** `code` function api for python3.13-arm64: there is no "
        r"\_\_a\_\_\|\<b\>\`c ::error::.zip. Package it first"
    )


def test_a_function_of_layers_without_sizes_is_not_in_order() -> None:
    unlocked = Part(title="web", size=None)
    function = replace(API, parts=(unlocked,), findings=())

    document = check_document(replace(CHECK, functions=(function,)))

    assert document["functions"][0]["state"] == "not all known"


def test_workflow_commands_point_at_the_layers_tables() -> None:
    commands = check_commands(CHECK, "infra/layerforge.toml", CONFIG)

    error, warning, note = commands
    assert error == (
        "::error file=infra/layerforge.toml,line=7,title=layerforge%3A lock-stale::"
        "web for python3.13-arm64: pylock.toml was made from other requirements than "
        "web has now%0ABring it up to date: layerforge lock web"
    )
    assert warning.startswith(
        "::warning file=infra/layerforge.toml,line=11,title=layerforge%3A code::"
        "function api for python3.13-arm64: there is no build/api.zip: "
    )
    assert note == (
        "::notice file=infra/layerforge.toml,line=11,title=layerforge%3A "
        "unknown-size::function api for python3.13-arm64: the size of theirs:3 isn't "
        "known here"
    )


def test_a_workflow_command_has_all_escaped_that_would_end_it() -> None:
    assert workflow_command("error", "50 %,\r\na: b", title="a:b,c%\n") == (
        "::error title=a%3Ab%2Cc%25%0A::50 %25,%0D%0Aa: b"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[layers.web]", 1),
        ("a = 1\n  [ layers . 'web' ]  # ours", 2),
        ('[tool.black]\n[tool.layerforge.layers."web"]', 2),
        ("[layers]\nold = {}\nweb = {requirements = []}", 3),
        ("layers.web = {}", 1),
        ("[layers.website]\n[layers.web.publish]", 1),
        ("", 1),
    ],
)
def test_the_line_of_a_table(text: str, line: int) -> None:
    assert line_of(text, "layers.web") == line


def test_the_document_has_the_numbers() -> None:
    document = check_document(CHECK)

    assert document["layers"][0] == {
        "name": "base",
        "target": "python3.13-arm64",
        "unzipped": 61_234_567,
        "bound": "about",
        "most": 262_143_999,
        "state": "ok",
        "parts": [{"title": "six", "unzipped": 61_234_567}],
        "lock": "pylock.base-python313-arm64.toml",
    }
    assert document["layers"][1]["unzipped"] is None
    assert document["functions"][0]["parts"] == [{"title": "code", "unzipped": None}]
    assert document["findings"][0] == {
        "about": "web for python3.13-arm64",
        "table": "layers.web",
        "check": "lock-stale",
        "severity": "error",
        "message": STALE.message,
        "path": "",
        "remedy": STALE.remedy,
        "waived": "",
    }
