"""What goes on, on a terminal: downloads with bytes and rate, jobs with their words."""

from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.progress import (
    Progress as RichProgress,
)
from rich.table import Column
from rich.text import Text

from layerforge.events import Failed, Finished, Progress, Said, Started
from layerforge.reports.columns import clipped

_NAME_WIDTH = 30
_JOB_WIDTH = 44


class Bars:
    """A line for each task under way: a bar, where its size is known."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._downloads = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
        )
        self._jobs = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            # The last words of a program, as many of them as there is room for.
            TextColumn(
                "{task.fields[said]}",
                style="dim",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=console,
            expand=True,
        )
        self._live = Live(
            Group(self._downloads, self._jobs),
            console=console,
            refresh_per_second=10,
            transient=True,
            # What is written to stdout is the result, and stays there.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, tuple[RichProgress, TaskID]] = {}
        self._live.start()

    def show(self, event: Started | Progress | Said | Finished | Failed) -> None:
        """Change the line that an event speaks of."""
        if isinstance(event, Started):
            self._begin(event)
            return
        if event.task not in self._tasks:  # two had one name, and one has ended
            return
        lines, task = self._tasks[event.task]
        match event:
            case Progress(done=done):
                lines.update(task, completed=done, said=f"{done:,} bytes")
            case Said(line=line):
                lines.update(task, said=line)
            case Finished() | Failed():
                lines.remove_task(task)
                del self._tasks[event.task]

    def _begin(self, event: Started) -> None:
        if event.task in self._tasks:
            return
        if event.total is not None:
            name = clipped("-".join(event.task.split("-")[:2]), _NAME_WIDTH)
            task = self._downloads.add_task(name, total=event.total)
            self._tasks[event.task] = (self._downloads, task)
        else:
            name = clipped(f"{event.doing} {event.task}", _JOB_WIDTH)
            task = self._jobs.add_task(name, total=None, said="")
            self._tasks[event.task] = (self._jobs, task)

    @property
    def idle(self) -> bool:
        """Say whether nothing is under way."""
        return not self._tasks

    def print(self, text: str) -> None:
        """Print a line above those that change."""
        self._live.console.print(Text.from_ansi(text))

    def close(self) -> None:
        """Take the lines away."""
        self._live.stop()
