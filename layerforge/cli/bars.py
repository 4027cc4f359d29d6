"""Progress bars with bytes and rate, for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.progress import (
    Progress as RichProgress,
)
from rich.text import Text

from layerforge.events import Failed, Finished, Progress, Started
from layerforge.reports.columns import clipped

_NAME_WIDTH = 30


class Bars:
    """A bar for each download under way."""

    def __init__(self) -> None:
        self._progress = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
            # What is written to stdout is the result, and stays there.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def show(self, event: Started | Progress | Finished | Failed) -> None:
        """Move the bar that an event speaks of."""
        match event:
            case Started(task=task, total=total):
                name = clipped("-".join(task.split("-")[:2]), _NAME_WIDTH)
                self._tasks[task] = self._progress.add_task(name, total=total)
            case Progress(task=task, done=done):
                self._progress.update(self._tasks[task], completed=done)
            case Finished(task=task) | Failed(task=task):
                self._progress.remove_task(self._tasks.pop(task))

    @property
    def idle(self) -> bool:
        """Say whether no download is under way."""
        return not self._tasks

    def print(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(Text.from_ansi(text))

    def close(self) -> None:
        """Take the bars away."""
        self._progress.stop()
