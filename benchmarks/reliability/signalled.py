"""Asked to end at any moment, a run ends, soon, wholly and with one line."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.reliability.outcome import Outcome, timed
from benchmarks.reliability.tiny_job import kill

if TYPE_CHECKING:
    from benchmarks.reliability.campaign import Campaign
    from benchmarks.reliability.tiny_job import Running

__all__ = ["signalled"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SOON_S = 5.0
_LOOK_S = 0.05
_COLD_EVERY = 3
"""Of runs of the same signal: one is started as a user does."""
_RESUMED_EVERY = 7
"""Of the stores in which runs were ended: so each signal comes to be followed, whichever way its run was started."""
_RESUMABLE = "finished stages are kept, the same command goes on from there"


def signalled(campaign: Campaign, tries: int) -> Outcome:
    """Send SIGINT, SIGTERM and SIGHUP in turn at random times, each to a run from an empty store or where one was.

    Of three runs one is started as a user does, and two where libraries are loaded: else half of the signals would meet
    Python's imports.
    """
    chance, job = campaign.chance("signalled"), campaign.job
    cache, out = job.folder / "signalled", job.folder / "signalled-out"
    with timed(
        "SIGINT, SIGTERM or SIGHUP at a random time ends a run within 5 s, with its children, by one line; the same "
        "command makes the undisturbed bundle and leaves nothing lying",
        campaign.shown,
    ) as outcome:
        number = early = 0
        while outcome.tries < tries and early <= tries:
            asked = _SIGNALS[number % len(_SIGNALS)]
            warm = number // len(_SIGNALS) % _COLD_EVERY > 0
            delay = chance.uniform(0, 0.9 * (campaign.sound().wall_s if warm else campaign.wall_s))
            number += 1
            start = campaign.deploy if warm else job.deploy
            process = start(cache / str(number), out)
            try:
                process.communicate(timeout=delay)
            except subprocess.TimeoutExpired:
                failure = _failure(process, asked)
                outcome.tried(failure and f"{asked.name} after {delay:.2f} s: {failure}")
            else:
                early += 1
                if process.returncode:
                    outcome.tried(f"the run ended by itself within {delay:.2f} s, with {process.returncode}")
        if early:
            outcome.notes.append(f"{early} more runs had ended before their signal")
        for one in sorted({*range(1, number + 1, _RESUMED_EVERY), number}):
            if failure := _resumed(campaign, cache / str(one), out):
                outcome.failures.append(f"the run after signal {one}: {failure}")
    return outcome


def _resumed(campaign: Campaign, cache: Path, out: Path) -> str | None:
    """What is wrong about the run that goes on in a store, and about what it leaves; None where nothing is."""
    done = campaign.job.ended(campaign.deploy(cache, out))
    if done.code or done.digest != campaign.digest:
        return f"{done.code}, {done.err.strip()[-300:]}"
    if left := [path.name for path in out.iterdir() if path.name.startswith(".")]:
        return f"left beside the bundle: {left}"
    return campaign.job.store_failure(cache)


def _failure(process: Running, asked: signal.Signals) -> str | None:
    start = time.perf_counter()
    process.send_signal(asked)
    try:
        _, err = process.communicate(timeout=4 * _SOON_S)
    except subprocess.TimeoutExpired:
        kill(process)
        return f"still there after {4 * _SOON_S:.0f} s"
    took_s = time.perf_counter() - start
    if took_s > _SOON_S:
        return f"took {took_s:.1f} s"
    while (children := _alive(process.pid)) and time.perf_counter() - start < _SOON_S:
        time.sleep(_LOOK_S)
    if children:
        return f"children live on: {children}"
    if process.returncode == -asked and not err:
        return None  # before Python had read the command: there was nothing to tidy up, and nobody to say so
    told = f"interrupted; {_RESUMABLE}" if asked == signal.SIGINT else f"ended by {asked.name}; {_RESUMABLE}"
    lines = [line for line in err.splitlines() if not line.startswith("  ")]  # what it had said of its work before
    if process.returncode not in {128 + asked, -asked} or lines != [told]:
        return f"exit code {process.returncode}, said {err[-400:]!r}"
    return None


def _alive(session: int) -> list[int]:
    """Processes of that session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found
