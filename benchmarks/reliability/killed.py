"""Killed at any moment, nothing is lost."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

from benchmarks.reliability.campaign import SMALLEST
from benchmarks.reliability.further_jobs import BOXES, TAUGHT
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
    """Kill runs at random times, up to four times in a row, and let the last one of each row go to its end.

    Each row is of another job in turn: a classifier that is pruned, one that is taught and brought to a goal, a
    detector. A run that ends before its kill is no try, and has to end well all the same.
    """
    chance, job = campaign.chance("killed"), campaign.job
    with timed(
        "Killed (`kill -9`) at a random time and started again, a run makes the undisturbed bundle: of a classifier, "
        "of one that is taught and brought to a goal, of a detector",
        campaign.shown,
    ) as outcome:
        row = ended = 0
        while outcome.tries < tries:
            cache, out = job.folder / f"killed-{row}", job.folder / f"killed-{row}-out"
            recipe, delays = _JOBS[row % len(_JOBS)], []
            for _ in range(min(_IN_A_ROW, tries - outcome.tries)):
                delays.append(round(chance.uniform(0, _LATEST * campaign.sound(recipe).wall_s), 2))
                end = _killed_after(delays[-1], campaign.deploy(cache, out, recipe))
                if end is None:
                    outcome.tried()
                    continue
                ended += 1
                if failure := _not_sound(campaign, recipe, end):
                    outcome.failures.append(f"{recipe} to be killed after {delays} s: a run {failure}")
            if failure := _failure(campaign, row, recipe):
                outcome.failures.append(f"{recipe} killed after {delays} s: {failure}")
            for folder in (cache, out):
                shutil.rmtree(folder, ignore_errors=True)
            row += 1
        if ended:
            outcome.notes.append(f"{ended} more runs had ended before they were to be killed")
    return outcome


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


def _not_sound(campaign: Campaign, recipe: str, end: Ended) -> str | None:
    """What is wrong about a run's end and its bundle; None where nothing is."""
    if end.code:
        return f"ended with {end.code}: {end.err.strip()[-300:]}"
    return None if end.digest == campaign.sound(recipe).digest else f"made another bundle, {end.digest[:12]}"


def _failure(campaign: Campaign, row: int, recipe: str) -> str | None:
    job = campaign.job
    cache, out = job.folder / f"killed-{row}", job.folder / f"killed-{row}-out"
    if failure := _not_sound(campaign, recipe, job.ended(campaign.deploy(cache, out, recipe))):
        return f"the next run {failure}"
    left = [path.name for path in out.iterdir() if path.name.startswith(".")]
    return f"left beside the bundle: {left}" if left else job.store_failure(cache)
