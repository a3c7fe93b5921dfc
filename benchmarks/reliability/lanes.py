"""Rows of accidents side by side: a run of the smallest job waits for disks and imports more than it computes."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.reliability.outcome import Outcome

__all__ = ["LANES", "in_lanes"]

LANES = 2
"""Rows at once: as many as the cores that the campaigns are made for."""


def in_lanes(row: Callable[[int, int], Sequence[str | None]], tries: int, longest: int, outcome: Outcome) -> None:
    """Do rows until so many accidents were made; that there were fewer is a failure.

    Rows that make none, as others end before their accident, are done as often as accidents are wanted.

    Args:
        row: From a row's number, from 0, and the accidents it may make to what each that it made did that it should not
            have done. It runs in a thread beside others, on folders of its own.
        tries: So many.
        longest: Accidents of a row, at most.
        outcome: They count there, in this thread.

    Raises:
        Exception: what a row raises, once the others have ended.
    """
    running: dict[Future[Sequence[str | None]], int] = {}
    begun = without = 0
    with ThreadPoolExecutor(LANES) as pool:
        while True:
            while (
                without <= tries
                and len(running) < LANES
                and (left := tries - outcome.tries - sum(running.values())) > 0
            ):
                count = min(left, longest)
                running[pool.submit(row, begun, count)] = count
                begun += 1
            if not running:
                break
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                del running[ended]
                without += not ended.result()
                for failure in ended.result():
                    outcome.tried(failure)
    if outcome.tries < tries:
        outcome.failures.append(f"only {outcome.tries} of {tries} could be tried: {without} rows came to none")
