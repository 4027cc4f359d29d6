from __future__ import annotations

from dataclasses import replace

from layerforge.cli.findings import painted
from layerforge.findings import Finding, Severity
from layerforge.reports.findings import findings_sum, findings_text

LIBRARY = Finding(
    check="library",
    severity=Severity.ERROR,
    path="python/demo/a.so",
    message="needs libGL.so.1, which neither the runtime nor the layer has",
    remedy="Take demo-headless, which needs none of X11.",
)
SIZE = Finding(check="size", severity=Severity.ERROR, message="it is too large")
PTH = Finding(
    check="pth",
    severity=Severity.NOTE,
    path="python/demo.pth",
    message="runs code at every cold start",
)
LINK = Finding(
    check="link",
    severity=Severity.WARNING,
    path="lib/a",
    message="is a link to /opt/b, which is not in the layer",
    remedy="Leave it out.",
)


def test_nothing_found_is_no_text() -> None:
    assert findings_text([]) == ""
    assert findings_sum([]) == "nothing wrong"


def test_the_worst_comes_first() -> None:
    assert findings_text([PTH, LINK, LIBRARY, SIZE]) == (
        "error[library]: python/demo/a.so\n"
        "  needs libGL.so.1, which neither the runtime nor the layer has\n"
        "  try: Take demo-headless, which needs none of X11.\n"
        "error[size]: it is too large\n"
        "warning[link]: lib/a\n"
        "  is a link to /opt/b, which is not in the layer\n"
        "  try: Leave it out.\n"
        "note[pth]: python/demo.pth\n"
        "  runs code at every cold start"
    )


def test_what_would_steer_a_terminal_is_shown() -> None:
    hostile = replace(LINK, path="lib/\x1b[2J", message="runs \x07\N{SNOWMAN}\u202e")

    assert findings_text([hostile]) == (
        "warning[link]: lib/\\x1b[2J\n"
        "  runs \\x07\N{SNOWMAN}\\u202e\n"
        "  try: Leave it out."
    )


def test_paths_with_one_fault_are_told_together() -> None:
    many = [replace(LINK, path=f"lib/{letter}") for letter in "abcde"]

    assert findings_text(many) == (
        "warning[link]: lib/a\n"
        "  and lib/b, lib/c, and 2 more (-v shows them)\n"
        "  is a link to /opt/b, which is not in the layer\n"
        "  try: Leave it out."
    )
    assert "  and lib/b, lib/c, lib/d, lib/e\n" in findings_text(many, verbose=True)


def test_a_remedy_that_helps_several_is_told_once_behind_the_last() -> None:
    other = replace(LINK, path="lib/b", message="is a link that goes round")

    assert findings_text([LINK, PTH, other]) == (
        "warning[link]: lib/a\n"
        "  is a link to /opt/b, which is not in the layer\n"
        "warning[link]: lib/b\n"
        "  is a link that goes round\n"
        "  try, for all 2: Leave it out.\n"
        "note[pth]: python/demo.pth\n"
        "  runs code at every cold start"
    )


def test_what_is_waived_is_counted() -> None:
    waived = replace(LIBRARY, waived="We draw nothing.")

    assert findings_text([waived, PTH, waived]) == (
        "note[pth]: python/demo.pth\n"
        "  runs code at every cold start\n"
        "2 findings waived (-v shows them)"
    )
    assert findings_sum([waived, PTH]) == "1 note"


def test_what_is_waived_is_told_to_who_wants_more() -> None:
    waived = replace(LIBRARY, waived="We draw nothing.")

    assert findings_text([waived], verbose=True) == (
        "waived[library]: python/demo/a.so\n"
        "  needs libGL.so.1, which neither the runtime nor the layer has\n"
        "  because: We draw nothing."
    )


def test_long_lines_are_broken_below_their_beginning() -> None:
    long = replace(SIZE, message="it has so many bytes " * 6)

    assert findings_text([long], indent="  ").splitlines() == [
        f"  error[size]: it has so many bytes {'it has so many bytes ' * 2}it",
        f"    has so many bytes {'it has so many bytes ' * 2}".rstrip(),
    ]


def test_findings_are_counted_by_their_severity() -> None:
    assert findings_sum([PTH, LINK, LINK, SIZE]) == "1 error, 2 warnings, 1 note"


def test_a_terminal_gets_labels_in_colour() -> None:
    text = findings_text([LIBRARY], indent="  ")

    assert painted("  try, for all 2: x", terminal=True) == (
        "  \x1b[1mtry, for all 2:\x1b[0m x"
    )
    assert painted(text, terminal=False) == text
    assert painted(text, terminal=True) == (
        "  \x1b[31m\x1b[1merror[library]:\x1b[0m python/demo/a.so\n"
        "    needs libGL.so.1, which neither the runtime nor the layer has\n"
        "    \x1b[1mtry:\x1b[0m Take demo-headless, which needs none of X11."
    )
