"""What a person sees: notes and progress on stderr, results on stdout, errors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from layerforge.errors import ConfigError, LayerforgeError
from layerforge.events import (
    Event,
    Failed,
    Finished,
    Listener,
    Noted,
    Progress,
    Said,
    Started,
)
from layerforge.reports.paths import with_shown_paths
from layerforge.reports.prose import printable, wrapped

if TYPE_CHECKING:
    from layerforge.cli.bars import Bars

_BUG = 70
_INTERRUPTED = 130
_WARNING, _ERROR, _TRY = "warning: ", "error: ", "try: "
_LABELS: Final[dict[str, dict[str, Any]]] = {
    _WARNING: {"fg": "yellow"},
    _ERROR: {"fg": "red", "bold": True},
    _TRY: {"bold": True},
}
_WIDEST = 80  # columns; longer lines of prose are hard to read


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """How loud to be, and in which form results are wanted."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False

    @classmethod
    def for_arguments(cls, arguments: Sequence[str]) -> Console:
        """Tell from bare words, before click reads them, what errors are to be."""
        return cls(
            json="--json" in arguments,
            quiet="--quiet" in arguments or "-q" in arguments,
            verbose="--verbose" in arguments or "-v" in arguments,
        )

    def result(self, text: str, document: object) -> None:
        """Print what a command is for."""
        if self.json:
            text = json.dumps(document, indent=2, ensure_ascii=False)
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print what a person may want to read, unless asked to be quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Print what a person should read."""
        _echo(f"{_WARNING}{text}")

    def error(self, error: LayerforgeError) -> None:
        """Print what went wrong and what to do about it."""
        _echo(f"{_ERROR}{error.message}")
        if error.remedy:
            _echo(f"{_TRY}{error.remedy}")

    def fail(self, error: LayerforgeError) -> NoReturn:
        """End with an error, told in the form in which results are wanted."""
        if self.json:
            self.result("", {"format": 1, "error": error_document(error)})
        self.error(error)
        sys.exit(error.exit_code)

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """Give a listener that shows what goes on: bars on a terminal, else lines."""
        voice = _Voice(self)
        try:
            yield voice.hear
        finally:
            voice.close()

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Turn whatever ends a command into a message and an exit status."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            yield
        except LayerforgeError as error:
            self.fail(error)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            self.fail(_usage_error(error))
        except (KeyboardInterrupt, click.Abort):
            _echo("interrupted: what was there before is untouched")
            _leave(_INTERRUPTED)
        except BrokenPipeError:
            _leave(_INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - the last door: a bug is reported
            import traceback  # noqa: PLC0415 - for bugs alone

            trace = traceback.format_exception(error)
            shown = trace if self.verbose else trace[-1:]
            click.echo("".join(shown).rstrip(), err=True)
            _echo(
                "This is a bug in layerforge. Please report it, with the command and "
                "what -v shows."
            )
            sys.exit(_BUG)


def error_document(error: LayerforgeError) -> dict[str, Any]:
    """Give an error as JSON's values."""
    return {
        "kind": error.kind,
        "exit_code": error.exit_code,
        "message": error.message,
        "remedy": error.remedy,
    }


def _usage_error(error: click.ClickException) -> ConfigError:
    message = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "layerforge"
    return ConfigError(
        f"{message[:1].lower()}{message[1:].removesuffix('.')}",
        remedy=f"{command} --help",
    )


def _dressed(text: str) -> str:
    """Wrap and colour a text for people; programs that read along get it plain."""
    text = printable(with_shown_paths(text))
    if not sys.stderr.isatty():
        return text
    text = wrapped(text, min(shutil.get_terminal_size().columns, _WIDEST))
    for label, style in _LABELS.items():
        if text.startswith(label):
            return click.style(label, **style) + text.removeprefix(label)
    return text


def _echo(text: str) -> None:
    click.echo(_dressed(text), err=True)


def _leave(status: int) -> None:
    """End now: threads that wait for a server are not waited for."""
    sys.stderr.flush()
    os._exit(status)


class _Voice:
    """Shows events as they come, from whatever thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._tasks: dict[str, Started] = {}
        self._told: set[Event] = set()
        self._bars: Bars | None = None

    def hear(self, event: Event) -> None:
        with self._lock:
            match event:
                case Noted() if event in self._told:
                    pass  # of another target, or of a lock and then of its build
                case Noted(message=message, warning=True):
                    self._told.add(event)
                    self._print(f"{_WARNING}{message}")
                case Noted(message=message):
                    self._told.add(event)
                    self._tell(message)
                case _ if not self._console.quiet:
                    self._follow(event)

    def close(self) -> None:
        if self._bars:
            self._bars.close()
            self._bars = None

    def _follow(self, event: Started | Progress | Said | Finished | Failed) -> None:
        if isinstance(event, Started):
            self._tasks[event.task] = event
        if self._console.verbose:
            self._detail(event)
        if sys.stderr.isatty():
            if self._bars is None:
                from layerforge.cli.bars import Bars  # noqa: PLC0415 - brings rich

                self._bars = Bars()
            self._bars.show(event)
            if self._bars.idle:
                self.close()
        elif isinstance(event, Finished) and event not in self._told:
            # A line is for what is whole; an error speaks for itself.
            started = self._tasks[event.task]
            if event.size:  # an archive, which several targets may have waited for
                self._told.add(event)
            size = f" ({event.size:,} bytes)" if event.size else ""
            self._tell(f"{started.done} {event.task}{size}")

    def _detail(self, event: Started | Progress | Said | Finished | Failed) -> None:
        match event:
            case Started(task=task, doing=doing):
                self._print(f"{doing} {task}")
            case Said(task=task, line=line):
                self._print(f"{task}: {line}")
            case Failed(task=task, reason=reason):
                self._print(f"{task} failed: {reason}")
            case Progress() | Finished():
                pass  # these are shown in any case

    def _tell(self, text: str) -> None:
        if not self._console.quiet:
            self._print(text)

    def _print(self, text: str) -> None:
        if self._bars:
            self._bars.print(_dressed(text))
        else:
            _echo(text)
