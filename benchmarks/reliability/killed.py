"""Killed at any moment, nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

from benchmarks.reliability.outcome import Outcome, timed

if TYPE_CHECKING:
    from benchmarks.reliability.campaign import Campaign

__all__ = ["killed"]

_IN_A_ROW = 4


def killed(campaign: Campaign, tries: int) -> Outcome:
    """Kill runs at random times, up to four times in a row, and let the last one of each row go to its end."""
    chance, job = campaign.chance("killed"), campaign.job
    with timed("Killed (`kill -9`) at a random time and started again, a run makes the undisturbed bundle") as outcome:
        row = 0
        while outcome.tries < tries:
            cache, out = job.folder / f"killed-{row}", job.folder / f"killed-{row}-out"
            delays = []
            for _ in range(min(_IN_A_ROW, tries - outcome.tries)):
                delays.append(round(chance.uniform(0, campaign.wall_s), 2))
                process = job.deploy(cache, out)
                try:
                    process.communicate(timeout=delays[-1])
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.communicate()
                outcome.tried()
            if failure := _failure(campaign, row):
                outcome.failures.append(f"killed after {delays} s: {failure}")
            for folder in (cache, out):
                shutil.rmtree(folder, ignore_errors=True)
            row += 1
    return outcome


def _failure(campaign: Campaign, row: int) -> str | None:
    job = campaign.job
    cache, out = job.folder / f"killed-{row}", job.folder / f"killed-{row}-out"
    done = job.ended(job.deploy(cache, out))
    if done.code:
        return f"the next run ended with {done.code}: {done.err.strip()[-300:]}"
    if done.digest != campaign.digest:
        return f"another bundle, {done.digest[:12]}"
    left = [path.name for path in out.iterdir() if path.name.startswith(".")]
    return f"left beside the bundle: {left}" if left else job.store_failure(cache)
