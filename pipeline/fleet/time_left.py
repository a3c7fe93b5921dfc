"""How long a fleet still takes, from the cells of it that have ended; not told where none of them says it."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.fleet.cell_run import CellEnd

__all__ = ["TimeLeft", "told"]


@dataclass(kw_only=True)
class TimeLeft:
    """Learns from cells what the others will take.

    A cell that trains and one that finds its training in the store take times of their own. What came from the store
    whole, what failed and what was begun anew says of no other cell how long it takes.

    Attributes:
        first: Of every cell, by number, whether it shares no training with one before.
    """

    first: Sequence[bool]
    _took_s: dict[bool, list[float]] = field(init=False, default_factory=lambda: {True: [], False: []})
    """Of first cells, and of those that share."""
    _began_s: dict[int, float] = field(init=False, default_factory=dict)

    def begins(self, cell: int, now_s: float) -> None:
        """A worker has taken it; told more than once, the first time counts."""
        self._began_s.setdefault(cell, now_s)

    def lost(self, cell: int) -> None:
        """Its worker is gone: it waits again."""
        self._began_s.pop(cell, None)

    def ends(self, cell: int, end: CellEnd, *, tries: int) -> None:
        """It has ended."""
        self._began_s.pop(cell, None)
        if end.ran and end.error is None and tries == 1:
            self._took_s[self.first[cell]].append(end.wall_s)

    def left_s(self, waiting: Iterable[int], now_s: float) -> float | None:
        """Seconds until the last of the cells that have not ended is done; None where nothing says how long one takes.

        As many cells at once as run now, each taking the mean of those like it that worked.

        Args:
            waiting: Numbers of the cells that have not ended, those that run among them.
            now_s: By the clock of :meth:`begins`.
        """
        running, later = [], []
        for cell in waiting:
            expected = self._expected_s(cell)
            if expected is None:
                return None
            if cell in self._began_s:
                running.append(max(0.0, self._began_s[cell] + expected - now_s))
            else:
                later.append(expected)
        free = running or [0.0]
        heapq.heapify(free)
        for expected in later:
            heapq.heapreplace(free, free[0] + expected)
        return max(free) or None  # what takes longer than all before it says nothing of its end

    def _expected_s(self, cell: int) -> float | None:
        """What those like it took; of one that shares a training, at most what those took that trained."""
        took = self._took_s[self.first[cell]] or self._took_s[True]
        return fmean(took) if took else None


def told(left_s: float | None) -> str:
    """For people."""
    if left_s is None:
        return "time left unknown"
    return "less than a minute left" if left_s < 60 else f"about {math.ceil(left_s / 60)} min left"
