"""Killed at any moment, nothing is lost."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

from benchmarks.reliability.campaign import SMALLEST
from benchmarks.reliability.further_jobs import BOXES, TAUGHT
from benchmarks.reliability.lanes import in_lanes
from benchmarks.reliability.outcome import Outcome, timed
from benchmarks.reliability.tiny_job import Ended, kill

if TYPE_CHECKING:
    from benchmarks.reliability.campaign import Campaign
    from benchmarks.reliability.tiny_job import Running

__all__ = ["killed"]

_IN_A_ROW = 4
_LATEST = 0.8
"""Of the undisturbed run's time: what goes on in a store takes less, and would mostly have ended before its kill."""
_JOBS = (SMALLEST, BOXES, SMALLEST, TAUGHT)
"""Of rows in turn; a goal is planned for longer than all else takes."""


def killed(campaign: Campaign, tries: int) -> Outcome:
    """Kill runs at random times, up to four times in a row, and let two more of each row go to their end.

    Rows run side by side, each of another job in turn: a classifier that is pruned, one that is taught and brought to a
    goal, a detector. A run that ends before its kill is no try, and has to end well all the same.
    """
    with timed(
        "Killed (`kill -9`) at a random time and started again, a run makes the undisturbed bundle: of a classifier, "
        "of one that is taught and brought to a goal, of a detector",
        campaign.shown,
    ) as outcome:
        rows = len(_JOBS) if tries > _IN_A_ROW else 1  # more than are counted where a run is not killed
        for recipe in dict.fromkeys(_JOBS[:rows]):  # alone, before rows run beside each other
            campaign.sound(recipe)
        ended: list[str] = []
        in_lanes(lambda number, runs: _row(campaign, number, runs, outcome, ended), tries, _IN_A_ROW, outcome)
        if failure := campaign.left_temporary():
            outcome.failures.append(failure)
        if ended:
            outcome.notes.append(f"{len(ended)} more runs had ended before they were to be killed")
    return outcome


def _row(campaign: Campaign, number: int, runs: int, outcome: Outcome, ended: list[str]) -> list[str | None]:
    """Of each kill of a row what went wrong: at the row's end, so that it is told with the last one.

    Args:
        campaign: Whose.
        number: Of the row.
        runs: That are to be killed.
        outcome: Told of what went wrong without a kill; rows beside each other append to one list.
        ended: Told of each run that ended before it was to be killed, by its recipe.
    """
    chance, folder = campaign.chance(f"killed {number}"), campaign.job.folder
    cache, out = folder / f"killed-{number}", folder / f"killed-{number}-out"
    recipe, delays, killed = _JOBS[number % len(_JOBS)], list[float](), 0
    for _ in range(runs):
        delays.append(round(chance.uniform(0, _LATEST * campaign.sound(recipe).wall_s), 2))
        end = _killed_after(delays[-1], campaign.deploy(cache, out, recipe))
        if end is None:
            killed += 1
            continue
        ended.append(recipe)
        if failure := campaign.failure_of(end, recipe):
            outcome.failures.append(f"{recipe} to be killed after {delays} s: a run {failure}")
    failure = campaign.failure_of(campaign.job.ended(campaign.deploy(cache, out, recipe)), recipe)
    # A run takes what lies there for two seconds and nobody holds: what was killed just before it, the one after that.
    failure = f"the next run {failure}" if failure else campaign.failure_of_next(cache, out, recipe)
    for place in (cache, out):
        shutil.rmtree(place, ignore_errors=True)
    told = failure and f"{recipe} killed after {delays} s: {failure}"
    if killed:
        return [None] * (killed - 1) + [told]
    outcome.failures += [told] if told else []
    return []


def _killed_after(delay_s: float, process: Running) -> Ended | None:
    """Kill a run after so long; how it ended when it did so before that, else None."""
    try:
        out, err = process.communicate(timeout=delay_s)
    except subprocess.TimeoutExpired:
        kill(process)
        out, err = process.communicate()
        if process.returncode == -signal.SIGKILL:
            return None
    assert process.returncode is not None  # noqa: S101 - it has ended
    return Ended(code=process.returncode, out=out, err=err)
