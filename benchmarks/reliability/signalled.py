"""Asked to end at any moment, a run ends, soon, wholly and with one line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.reliability.lanes import in_lanes
from benchmarks.reliability.outcome import Outcome, timed
from benchmarks.reliability.tiny_job import Ended, kill

if TYPE_CHECKING:
    from benchmarks.reliability.campaign import Campaign
    from benchmarks.reliability.tiny_job import Running

__all__ = ["signalled"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SOON_S = 5.0
_LOOK_S = 0.05
_COLD_EVERY = 3
"""Of runs of the same signal: one is started as a user does."""
_RESUMED_EVERY = 4
"""Of the runs that a signal ended: so each signal comes to be followed, whichever way its run was started."""
_LATEST = 0.9
"""Of the undisturbed run's time."""
_UNREAD = 0.2
"""Of it: later a command has been read, on a busy machine too, and says by which signal it ends."""
_PYTHON_STARTS_S = 0.3
"""Ctrl-C within this meets Python before any code of ours, and shows whatever it was about."""
_DONE = "  bundle sha256 "
"""What a deploy prints last: Python takes its handlers away then, and ends."""
_NOTES = {
    "early": "{count} more runs had ended before their signal",
    "unread": "{count} of {tries} signals came before Python had read the command",
    "done": "{count} of {tries} came when all was done and Python was about to end",
}
_RESUMABLE = "finished stages are kept, the same command goes on from there"


def signalled(campaign: Campaign, tries: int) -> Outcome:
    """Send SIGINT, SIGTERM and SIGHUP in turn at random times, each to a run from an empty store.

    Runs go side by side. Of three one is started as a user does, and two where libraries are loaded: else half of the
    signals would meet Python's imports. A run that ends before its signal is no try, and has to end well all the same.
    """
    with timed(
        "SIGINT, SIGTERM or SIGHUP at a random time ends a run within 5 s, with its children, by one line; the same "
        f"command, typed after one in {_RESUMED_EVERY}, makes the undisturbed bundle and leaves nothing lying",
        campaign.shown,
    ) as outcome:
        campaign.sound()  # alone, before runs go beside each other
        told: list[str] = []
        in_lanes(lambda number, _: _row(campaign, number, told), tries, 1, outcome)
        if failure := campaign.left_temporary():
            outcome.failures.append(failure)
        counted = Counter(told)
        outcome.notes += [
            note.format(count=counted[kind], tries=tries) for kind, note in _NOTES.items() if counted[kind]
        ]
    return outcome


def _row(campaign: Campaign, number: int, told: list[str]) -> list[str | None]:
    """What was wrong about a run that got a signal, and about one that went on; nothing where it got none.

    Args:
        campaign: Whose.
        number: Of the run.
        told: Keys of the notes, to be counted, for what is no failure; rows beside each other append to one list.
    """
    asked, warm = _SIGNALS[number % len(_SIGNALS)], number // len(_SIGNALS) % _COLD_EVERY > 0
    longest_s = campaign.sound().wall_s if warm else campaign.wall_s
    first = 0.0 if warm else _PYTHON_STARTS_S
    delay = campaign.chance(f"signalled {number}").uniform(first, _LATEST * longest_s)
    cache, out = (campaign.job.folder / f"signalled-{number}{end}" for end in ("", "-out"))
    process = (campaign.deploy if warm else campaign.job.deploy)(cache, out)
    try:
        printed, err = process.communicate(timeout=delay)
    except subprocess.TimeoutExpired:
        failure = _ended_wrongly(process, asked, told, early=delay < _UNREAD * longest_s)
        if not failure and number % _RESUMED_EVERY == 0:
            failure = campaign.failure_of_next(cache, out)
        found = [failure and f"{asked.name} after {delay:.2f} s: {failure}"]
    else:
        assert process.returncode is not None  # noqa: S101 - it has ended
        if failure := campaign.failure_of(Ended(code=process.returncode, out=printed, err=err)):
            found = [f"to get {asked.name} after {delay:.2f} s: a run {failure}"]
        else:
            found = []
            told.append("early")
    for place in (cache, out):
        shutil.rmtree(place, ignore_errors=True)
    return found


def _ended_wrongly(process: Running, asked: signal.Signals, told: list[str], *, early: bool) -> str | None:
    """What is wrong about how a run ends by a signal; None where nothing is.

    Args:
        process: The run.
        asked: The signal.
        told: As of :func:`_row`.
        early: Whether Python may not have read the command yet: then nobody is there to say anything.
    """
    start = time.perf_counter()
    process.send_signal(asked)
    try:
        out, err = process.communicate(timeout=4 * _SOON_S)
    except subprocess.TimeoutExpired:
        kill(process)
        return f"still there after {4 * _SOON_S:.0f} s"
    took_s = time.perf_counter() - start
    while (children := _alive(process.pid)) and time.perf_counter() - start < _SOON_S:
        time.sleep(_LOOK_S)
    if children:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return f"children live on: {children}"
    if took_s > _SOON_S:
        return f"took {took_s:.1f} s"
    if process.returncode == -asked and not err and (early or _DONE in out):
        told.append("unread" if early else "done")
        return None
    said = f"interrupted; {_RESUMABLE}" if asked == signal.SIGINT else f"ended by {asked.name}; {_RESUMABLE}"
    lines = [line for line in err.splitlines() if not line.startswith("  ")]  # what it had said of its work before
    if process.returncode not in {128 + asked, -asked} or lines != [said]:
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
