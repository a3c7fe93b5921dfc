"""Asked to end at any moment, a run ends, soon, wholly and with one line."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.reliability.lanes import in_lanes
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
"""Of the runs that a signal ended: so each signal comes to be followed, whichever way its run was started."""
_LATEST = 0.9
"""Of the undisturbed run's time."""
_RESUMABLE = "finished stages are kept, the same command goes on from there"


def signalled(campaign: Campaign, tries: int) -> Outcome:
    """Send SIGINT, SIGTERM and SIGHUP in turn at random times, each to a run from an empty store.

    Runs go side by side. Of three one is started as a user does, and two where libraries are loaded: else half of the
    signals would meet Python's imports. A run that ends before its signal is no try.
    """
    with timed(
        "SIGINT, SIGTERM or SIGHUP at a random time ends a run within 5 s, with its children, by one line; the same "
        "command makes the undisturbed bundle and leaves nothing lying",
        campaign.shown,
    ) as outcome:
        campaign.sound()  # alone, before runs go beside each other
        early: list[int] = []
        in_lanes(lambda number, _: _row(campaign, number, early), tries, 1, outcome)
        if early:
            outcome.notes.append(f"{len(early)} more runs had ended before their signal")
    return outcome


def _row(campaign: Campaign, number: int, early: list[int]) -> list[str | None]:
    """What was wrong about a run that got a signal, and about the one that went on; nothing where it got none.

    Args:
        campaign: Whose.
        number: Of the run.
        early: Told of each that had ended well before its signal.
    """
    asked, warm = _SIGNALS[number % len(_SIGNALS)], number // len(_SIGNALS) % _COLD_EVERY > 0
    longest_s = campaign.sound().wall_s if warm else campaign.wall_s
    delay = campaign.chance(f"signalled {number}").uniform(0, _LATEST * longest_s)
    cache, out = (campaign.job.folder / f"signalled-{number}{end}" for end in ("", "-out"))
    process = (campaign.deploy if warm else campaign.job.deploy)(cache, out)
    try:
        process.communicate(timeout=delay)
    except subprocess.TimeoutExpired:
        failure = _failure(process, asked)
        if not failure and number % _RESUMED_EVERY == 0:
            failure = campaign.failure_of_next(cache, out)
        told = [failure and f"{asked.name} after {delay:.2f} s: {failure}"]
    else:
        told = [f"the run ended by itself within {delay:.2f} s, with {code}"] if (code := process.returncode) else []
        early += [] if told else [number]
    for place in (cache, out):
        shutil.rmtree(place, ignore_errors=True)
    return told


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
