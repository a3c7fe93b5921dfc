"""Where the time of a run goes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Phases"]


_BEFORE, _REST = "starting up", "everything else"


class Phases:
    """Seconds by phase. Of phases within a phase each keeps its own, unless the outer one takes them as a whole.

    Together they are all the time that went by: what belongs to no phase is told as such.

    Args:
        before_s: How long the run had been going on when this was made.
    """

    def __init__(self, *, before_s: float = 0.0) -> None:
        self._start = time.perf_counter() - before_s
        self._spent: dict[str, float] = {_BEFORE: before_s} if before_s else {}
        self._inner: list[float] = []
        """For every open phase, how long phases within it took so far."""
        self._whole = 0

    @contextmanager
    def during(self, name: str, *, whole: bool = False, apart: bool = False) -> Iterator[None]:
        """Count the ``with`` block's time for a phase.

        Args:
            name: Of the phase; it may come several times.
            whole: Whether phases within it are part of it rather than told beside it.
            apart: Whether it is told beside even a phase that takes those within it as a whole.
        """
        if self._whole and not apart:
            yield
            return
        self._whole += whole
        self._inner.append(0.0)
        start = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - start
            self._whole -= whole
            self._spent[name] = self._spent.get(name, 0.0) + took - self._inner.pop()
            if self._inner:
                self._inner[-1] += took

    def spent_s(self) -> Mapping[str, float]:
        """Phase to seconds, in the order in which they first ended, then what belongs to none; asked between phases."""
        rest_s = time.perf_counter() - self._start - sum(self._spent.values())
        return {**self._spent, **({_REST: rest_s} if rest_s > 0 else {})}
