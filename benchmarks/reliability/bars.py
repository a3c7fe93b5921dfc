"""How far a campaign is, on a terminal; in a pipe nothing, since each campaign prints a line at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from benchmarks.reliability.outcome import Outcome

__all__ = ["Bars"]


class Bars:
    """A bar for the campaign that runs; to be used as a context."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False)
        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failures]}", markup=False),
        )
        self._bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, name: str, tries: int) -> None:
        """Show this campaign in the place of the one before."""
        for task in self._bars.task_ids:
            self._bars.remove_task(task)
        self._bars.add_task(name, total=tries, failures="")

    def show(self, outcome: Outcome) -> None:
        """Show what the campaign came to so far."""
        failures = f"{len(outcome.failures)} failed" if outcome.failures else ""
        for task in self._bars.task_ids:
            self._bars.update(task, completed=outcome.tries, failures=failures)
