"""What is printed while work goes on: bars on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import TaskID

    from pipeline.progress import Progress, Ticker

__all__ = ["PlainProgress", "TerminalProgress", "console", "progress_for"]

_PLAIN_EVERY_S = 15.0
"""A pipe gets a line this often while something long runs, so that a log shows it is alive."""

console = Console(stderr=False, highlight=False, soft_wrap=True)


def progress_for(stream: Console) -> Progress:
    """Bars where they can be drawn, else lines."""
    return TerminalProgress(stream) if stream.is_terminal else PlainProgress(stream)


class TerminalProgress:
    """Bars with what is done, what remains and a status such as the loss; they vanish when done."""

    def __init__(self, stream: Console) -> None:
        self._stream = stream

    @contextmanager
    def track(self, description: str, total: int) -> Iterator[Ticker]:
        """Draw a bar while the ``with`` block lasts."""
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
        )
        with Bars(*columns, console=self._stream, transient=True) as bars:
            yield _Bar(bars, bars.add_task(description, total=total or None, status=""))

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._stream.print(f"  {text}", markup=False)


class _Bar:
    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        self._bars.update(self._task, advance=steps, status=status)


class PlainProgress:
    """A line now and then, for pipes and logs."""

    def __init__(self, stream: Console) -> None:
        self._stream = stream

    @contextmanager
    def track(self, description: str, total: int) -> Iterator[Ticker]:
        """Print a line every few seconds while the ``with`` block lasts; nothing when it is quick."""
        yield _Lines(self._stream, description, total)

    def note(self, text: str) -> None:
        """Print a line."""
        self._stream.print(f"  {text}", markup=False)


class _Lines:
    def __init__(self, stream: Console, description: str, total: int) -> None:
        self._stream, self._description, self._total = stream, description, total
        self._done = 0
        self._start = self._last = time.monotonic()

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._last >= _PLAIN_EVERY_S:
            self._last = now
            left = (now - self._start) * (self._total - self._done) / max(1, self._done)
            text = f"  {self._description}: {self._done}/{self._total}, about {left:.0f} s left  {status}"
            self._stream.print(text.rstrip(), markup=False)
            sys.stdout.flush()
