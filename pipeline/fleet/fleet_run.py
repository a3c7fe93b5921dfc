"""A fleet from its first cell to its last: what runs next, what is tried again, and what is written."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline import __version__
from pipeline.ending import ending
from pipeline.errors import EdgewrightError, ResourceError, first_line
from pipeline.fleet import entries
from pipeline.fleet.cell_run import CellEnd
from pipeline.fleet.crew import Ended, Lost, Stage
from pipeline.fleet.parcel import unpack
from pipeline.fleet.time_left import TimeLeft, told
from pipeline.report.fleet_pages import write_fleet_reports
from pipeline.report.fleet_record import FleetReport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline.fleet.cell_run import Order
    from pipeline.fleet.crew import Crew
    from pipeline.progress import Progress, Ticker
    from pipeline.report.fleet_record import FleetCell

__all__ = ["FleetRun", "exit_code"]

_WORST_FIRST = (70, 6, 7, 2, 8, 1, 5, 4, 3)
"""Exit codes: what is broken before what fell short, and that before what cannot be told."""
_LOST = 7
"""Of a cell whose workers were all lost: as of a measuring process that was killed, mostly for want of memory."""


@dataclass(kw_only=True)
class FleetRun:
    """One run of a fleet.

    Attributes:
        orders: All cells.
        crew: Who runs them.
        out: Folder of all results.
        name: Of the fleet, for its page.
        retries: How often a cell is begun anew whose worker was lost.
        progress: Told how far it is.
        announce: Called with every cell that has ended.
    """

    orders: Sequence[Order]
    crew: Crew
    out: Path
    name: str
    retries: int
    progress: Progress
    announce: Callable[[FleetCell], None]
    _entries: list[FleetCell] = field(init=False)
    _tries: dict[int, int] = field(init=False, default_factory=dict)
    _at: dict[int, str] = field(init=False, default_factory=dict)
    """Cells that run, by number, with the stage they have come to."""
    _time_left: TimeLeft = field(init=False)
    _behind: bool = field(init=False, default=False)
    """Whether what is written is that of an earlier moment, for want of room."""

    def run(self) -> FleetReport:
        """Run every cell; the report is written anew whenever one has ended, as far as there is room for it.

        Raises:
            EdgewrightError: when the report cannot be written at the beginning or at the end, or, before anything is,
                when a cell cannot be started.
        """
        before = entries.earlier(self.out)
        self._entries = [entries.waiting(order.cell, before, self.out) for order in self.orders]
        places = _places(self.orders)
        self._time_left = TimeLeft(first=[place == 0 for place in places])
        with self.progress.track("cells", len(self.orders), even=False) as ticker:
            for number in sorted(range(len(self.orders)), key=places.__getitem__):
                self._start(number)
            self._write()
            while any(entry.status == "waiting" for entry in self._entries):
                for news in self.crew.news():
                    self._hear(news, ticker)
                ticker.advance(0, status=self._status())
        if self._behind:
            self._write()
        return self.report()

    def report(self) -> FleetReport:
        """The fleet so far."""
        return FleetReport(edgewright=__version__, fleet=self.name, cells=tuple(self._entries))

    def _start(self, number: int, *, avoid: str | None = None) -> None:
        self._tries[number] = self._tries.get(number, 0) + 1
        self.crew.start(number, self.orders[number], avoid=avoid)

    def _hear(self, news: Ended | Lost | Stage, ticker: Ticker) -> None:
        name = self.orders[news.cell].cell.name
        match news:
            case Stage():
                if self._entries[news.cell].status == "waiting":  # a last word may come behind the end
                    self._at[news.cell] = news.name
                    self._time_left.begins(news.cell, time.monotonic())
            case Ended():
                self._end(news.cell, news.end, ticker)
            case Lost() if self._tries[news.cell] <= self.retries:
                self._at.pop(news.cell, None)
                self._time_left.lost(news.cell)
                self.progress.note(f"{name}: its worker was lost ({news.why}); tried again")
                try:
                    self._start(news.cell, avoid=news.machine)
                except EdgewrightError as raised:  # no machine is left that could: its end, and nobody else's
                    error, code = ending(raised)
                    self._end(news.cell, CellEnd(exit_code=code, error=error, wall_s=0.0), ticker)
            case Lost():
                tries = self._tries[news.cell]
                error = f"its worker was lost {tries} times\n  got: {news.why}\n  fix: see whether memory ran out there"
                self._end(news.cell, CellEnd(exit_code=_LOST, error=error, wall_s=0.0), ticker)

    def _end(self, number: int, end: CellEnd, ticker: Ticker) -> None:
        cell, tries = self.orders[number].cell, self._tries[number]
        self._at.pop(number, None)
        self._time_left.ends(number, end, tries=tries)
        try:
            if end.files:
                unpack(end.files, self.out / cell.folder)
            self._entries[number] = entries.ended(cell, end, tries, self.out)
        except (EdgewrightError, OSError) as raised:  # its end, and nobody else's
            error, code = ending(raised)
            end = CellEnd(exit_code=code, error=error, wall_s=end.wall_s)
            self._entries[number] = entries.ended(cell, end, tries, self.out)
        try:
            self._write()
        except (ResourceError, OSError) as raised:  # others may end where there is room again
            self._behind = True
            self.progress.note(first_line(raised))
        ticker.advance()
        self.announce(self._entries[number])

    def _status(self) -> str:
        waiting = [number for number, entry in enumerate(self._entries) if entry.status == "waiting"]
        if not waiting:
            return ""
        running = ", ".join(
            f"{self.orders[number].cell.name}{f' after {stage}' if stage else ''}" for number, stage in self._at.items()
        )
        left = told(self._time_left.left_s(waiting, time.monotonic()))
        return f"{left}: {running}" if running else left

    def _write(self) -> None:
        write_fleet_reports(self.report(), self.out)
        self._behind = False


def _places(orders: Sequence[Order]) -> list[int]:
    """Of each cell how many before it share its training: fewer run first, the others find it in the store."""
    seen: dict[tuple[str, str, str], int] = {}
    places = []
    for order in orders:
        axes = order.cell.axes
        shared = (axes.model, axes.data, axes.recipe)
        seen[shared] = place = seen.get(shared, -1) + 1
        places.append(place)
    return places


def exit_code(report: FleetReport) -> int:
    """What the command ends with: 0, or the worst cell's."""
    codes = {cell.exit_code for cell in report.cells if cell.exit_code}
    return next((code for code in _WORST_FIRST if code in codes), max(codes, default=0))
