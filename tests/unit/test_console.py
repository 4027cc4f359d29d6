"""How events look: lines in a log, one line for each task on a terminal."""

from __future__ import annotations

import io
import re

import pytest
import rich.console

from layerforge.cli import bars
from layerforge.cli.bars import Bars
from layerforge.cli.console import Console
from layerforge.events import Event, Failed, Finished, Noted, Progress, Said, Started

JOB = Started(task="lxml 5.3.0", doing="compiling", done="compiled")
JOB_EVENTS = (
    JOB,
    Said(task="lxml 5.3.0", line="gcc -c etree.c"),
    Finished(task="lxml 5.3.0"),
)
FETCHED = (
    Started(task="lxml-5.3.0.whl", total=12345),
    Progress(task="lxml-5.3.0.whl", done=1000),
    Finished(task="lxml-5.3.0.whl", size=12345),
)


def told(
    capsys: pytest.CaptureFixture[str], console: Console, *events: Event
) -> list[str]:
    with console.listening() as listen:
        for event in events:
            listen(event)
    output = capsys.readouterr()
    assert output.out == ""
    return output.err.splitlines()


def test_a_log_has_a_line_for_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, Console(), *JOB_EVENTS, *FETCHED) == [
        "compiled lxml 5.3.0",
        "fetched lxml-5.3.0.whl (12,345 bytes)",
    ]


def test_a_verbose_log_has_every_line_that_was_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told(capsys, Console(verbose=True), *JOB_EVENTS) == [
        "compiling lxml 5.3.0",
        "lxml 5.3.0: gcc -c etree.c",
        "compiled lxml 5.3.0",
    ]


def test_a_verbose_log_says_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    failed = Failed(task="lxml 5.3.0", reason="exit status 1")

    assert told(capsys, Console(verbose=True), JOB, failed) == [
        "compiling lxml 5.3.0",
        "lxml 5.3.0 failed: exit status 1",
    ]


def test_a_quiet_log_has_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    warning = Noted(message="look here", warning=True)

    assert told(
        capsys, Console(quiet=True), *JOB_EVENTS, Noted(message="by the way"), warning
    ) == ["warning: look here"]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Give what a terminal of 80 columns is sent, without what moves its cursor."""
    shown = io.StringIO()

    def console(*, stderr: bool) -> rich.console.Console:
        assert stderr
        return rich.console.Console(
            file=shown, force_terminal=True, color_system=None, width=80
        )

    monkeypatch.setattr(bars, "Console", console)
    return shown


def shown_last(screen: io.StringIO) -> list[str]:
    """Give the lines that stand on the screen since they were cleared last."""
    shown = re.split(r"\x1b\[2K", screen.getvalue())[-1]
    return [
        line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*\w", "", shown).split("\n")
    ]


def test_a_job_shows_its_time_and_the_last_line_it_said(screen: io.StringIO) -> None:
    lines = Bars()
    lines.show(JOB)
    lines.show(Said(task="lxml 5.3.0", line="gcc [-O2] " + "x" * 80))
    lines._live.refresh()
    (job,) = shown_last(screen)
    lines.close()

    assert re.fullmatch(r". compiling lxml 5\.3\.0 0:00:0\d gcc \[-O2\] x+…", job)
    assert len(job) == 80


def test_jobs_and_downloads_stand_beneath_each_other(screen: io.StringIO) -> None:
    lines = Bars()
    for event in (JOB, *FETCHED[:2]):
        lines.show(event)
    lines._live.refresh()
    shown = screen.getvalue().rpartition("\x1b[2K")[2]
    lines.close()

    assert re.search(r"lxml-5\.3\.0\.whl [╸━ ]+ 1\.0/12\.3 kB", shown)
    assert "compiling lxml 5.3.0 0:00:0" in shown


@pytest.mark.usefixtures("screen")
def test_two_jobs_of_one_name_end_as_one() -> None:
    lines = Bars()
    for event in (*JOB_EVENTS[:2], *JOB_EVENTS):
        lines.show(event)
    lines.show(JOB_EVENTS[-1])
    lines.close()

    assert lines.idle
