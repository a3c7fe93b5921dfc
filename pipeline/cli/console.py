"""What is printed while work goes on: bars on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from pipeline.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.progress import TaskID

    from pipeline.progress import Progress, Ticker

__all__ = ["PlainProgress", "TerminalProgress", "out_console", "progress", "say", "table"]

_PLAIN_EVERY_S = 15.0
"""A pipe gets a line this often while something long runs, so that a log shows it is alive."""

_LOOK_EVERY_S = 1.0
"""So often it is seen whether such a line is due in work that does not tell of itself."""

_PIPED_WIDTH = 10_000
"""A pipe has no width: tables are as wide as they are."""


@cache
def out_console() -> Console:
    """Standard output: results."""
    return _console(sys.stdout)


def _console(stream: TextIO) -> Console:
    return Console(
        file=stream, highlight=False, emoji=False, soft_wrap=True, width=None if stream.isatty() else _PIPED_WIDTH
    )


@cache
def progress() -> Progress:
    """Standard error: bars where they can be drawn, else a line now and then."""
    stream = _console(sys.stderr)
    return TerminalProgress(stream) if stream.is_terminal else PlainProgress(stream)


def say(text: str, *, markup: bool = True) -> None:
    """Print one line of results at once, so that a log is complete up to where a run was killed.

    ``markup`` lets ``[bold]`` and the like colour the line; without it every letter is printed as it is.
    """
    out_console().print(printable(text), markup=markup)
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table with its first column to the left and figures to the right; no frames, so that it pipes well."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    return drawn


class TerminalProgress:
    """Bars with what is done, what remains and a status such as the loss; they vanish when done."""

    def __init__(self, stream: Console) -> None:
        self._stream = stream

    @contextmanager
    def track(self, description: str, total: int, *, even: bool = True) -> Iterator[Ticker]:
        """Draw a bar while the ``with`` block lasts."""
        left = (TextColumn("left"), TimeRemainingColumn()) if even else ()
        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            *left,
            TextColumn("{task.fields[status]}", markup=False),
        )
        with Bars(*columns, console=self._stream, transient=True) as bars:
            yield _Bar(bars, bars.add_task(printable(description), total=total or None, status=""))

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._stream.print(f"  {printable(text)}", markup=False)


class _Bar:
    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        self._bars.update(self._task, advance=steps, status=printable(status))


class PlainProgress:
    """A line now and then, for pipes and logs."""

    def __init__(self, stream: Console) -> None:
        self._stream = stream
        self._open: list[_Lines] = []

    @contextmanager
    def track(self, description: str, total: int, *, even: bool = True) -> Iterator[Ticker]:
        """Print a line every few seconds while the ``with`` block lasts, whatever it does; nothing when it is quick.

        Work within work speaks for both.
        """
        lines = _Lines(self._stream, self._open, printable(description), total, even=even)
        self._open.append(lines)
        try:
            yield lines
        finally:
            lines.end()
            self._open.remove(lines)
            for outer in self._open:
                outer.heard()

    def note(self, text: str) -> None:
        """Print a line."""
        self._stream.print(f"  {printable(text)}", markup=False)


class _Lines:
    """Work that is told in lines: when a step is done, and by a thread of its own while none is.

    Args:
        stream: Where they are printed.
        open_now: All work that has begun and not ended, this too, the innermost last.
        description: What it is.
        total: Its steps; 0 where nobody knows.
        even: Whether they take alike long.
    """

    def __init__(self, stream: Console, open_now: list[_Lines], description: str, total: int, *, even: bool) -> None:
        self._stream, self._description, self._total, self._even = stream, description, total, even
        self._open_now = open_now
        self._done, self._status = 0, ""
        self._start = self._last = self._stepped = time.monotonic()
        self._one_at_a_time, self._ended = threading.Lock(), threading.Event()
        threading.Thread(target=self._tell_of_silence, daemon=True).start()

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        with self._one_at_a_time:
            now = time.monotonic()
            self._status = status
            if steps:
                self._done += steps
                self._stepped = now
            self._tell(now)

    def heard(self) -> None:
        """Work within this one has ended: whoever reads along knows since when."""
        with self._one_at_a_time:
            self._last = time.monotonic()

    def end(self) -> None:
        """From here on nothing is told."""
        self._ended.set()
        with self._one_at_a_time:
            pass

    def _tell_of_silence(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            with self._one_at_a_time:
                if not self._ended.is_set() and self._open_now[-1:] == [self]:
                    self._tell(time.monotonic())

    def _tell(self, now: float) -> None:
        if now - self._last >= _PLAIN_EVERY_S:
            self._last = now
            self._stream.print(
                f"  {self._description}: {self._progress(now)}  {printable(self._status)}".rstrip(), markup=False
            )

    def _progress(self, now: float) -> str:
        if not self._total:
            return f"{self._done}" if self._done else f"since {now - self._start:.0f} s"
        told = f"{self._done}/{self._total}"
        if not self._even or not self._done:  # without a step that was done, nobody knows
            return told
        a_step_s, steps = (self._stepped - self._start) / self._done, self._total - self._done
        left_s = a_step_s * (steps - min(1.0, (now - self._stepped) / max(a_step_s, 1e-9)))
        return f"{told}, about {max(0.0, left_s):.0f} s left"
