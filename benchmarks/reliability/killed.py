"""Killed at any moment, nothing is lost."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from benchmarks.reliability.campaign import SMALLEST
from benchmarks.reliability.further_jobs import BOXES, TAUGHT
from benchmarks.reliability.outcome import Outcome, timed
from benchmarks.reliability.tiny_job import kill

if TYPE_CHECKING:
    from benchmarks.reliability.campaign import Campaign

__all__ = ["killed"]

_IN_A_ROW = 4
_JOBS = (SMALLEST, BOXES, SMALLEST, TAUGHT)
"""Of rows in turn; a goal is planned for longer than all else takes."""


def killed(campaign: Campaign, tries: int) -> Outcome:
    """Kill runs at random times, up to four times in a row, and let the last one of each row go to its end.

    Each row is of another job in turn: a classifier that is pruned, one that is taught and brought to a goal, a
    detector.
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
                delays.append(round(chance.uniform(0, campaign.sound(recipe).wall_s), 2))
                process = campaign.deploy(cache, out, recipe)
                try:
                    process.communicate(timeout=delays[-1])
                    ended += 1
                except subprocess.TimeoutExpired:
                    kill(process)
                    outcome.tried()
            if failure := _failure(campaign, row, recipe):
                outcome.failures.append(f"{recipe} killed after {delays} s: {failure}")
            for folder in (cache, out):
                shutil.rmtree(folder, ignore_errors=True)
            row += 1
        if ended:
            outcome.notes.append(f"{ended} more runs had ended before they were to be killed")
    return outcome


def _failure(campaign: Campaign, row: int, recipe: str) -> str | None:
    job = campaign.job
    cache, out = job.folder / f"killed-{row}", job.folder / f"killed-{row}-out"
    done = job.ended(campaign.deploy(cache, out, recipe))
    if done.code:
        return f"the next run ended with {done.code}: {done.err.strip()[-300:]}"
    if done.digest != campaign.sound(recipe).digest:
        return f"another bundle, {done.digest[:12]}"
    left = [path.name for path in out.iterdir() if path.name.startswith(".")]
    return f"left beside the bundle: {left}" if left else job.store_failure(cache)
