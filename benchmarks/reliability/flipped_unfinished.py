"""What a killed stage left for its next run never comes into a result with other bits than were written."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.reliability.flipped_store import flip
from benchmarks.reliability.further_jobs import LEAVING
from benchmarks.reliability.outcome import Outcome, timed
from benchmarks.reliability.tiny_job import kill
from pipeline.environment import ARCHITECTURES, this_machine

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from benchmarks.reliability.campaign import Campaign
    from benchmarks.reliability.tiny_job import Running

__all__ = ["LEFT", "flipped_unfinished"]

LEFT = ("training-*.safetensors", "view-*.safetensors", "distilling-*.safetensors", "observed")
"""Names of what a run leaves, in the order in which it does: a checkpoint, a teacher's answers, a checkpoint with those
answers, what was seen of activations."""
_LOOK_S = 0.001
_LIMIT_S = 600.0
"""For a run to leave something, or to end."""
_MISSES = 8
"""In so many rounds a run may have gone on before it was killed."""


def flipped_unfinished(campaign: Campaign, tries: int) -> Outcome:
    """Kill runs as soon as they leave something of each kind in turn, flip a bit of it, and let them go on.

    They build for another architecture, so that nothing is measured: most of a run would be that.
    """
    job = campaign.job
    with timed(
        "A flipped bit in what a killed run left unfinished (a checkpoint, a teacher's answers, what was seen of "
        "activations) is told by the next run, which makes that anew, and the undisturbed bundle",
        campaign.shown,
    ) as outcome:
        sound, out = job.folder / "unfinished-sound", job.folder / "unfinished-out"
        digest = job.ended(_start(campaign, sound, out)).digest
        missing = Counter(LEFT[number % len(LEFT)] for number in range(tries))
        number = early = 0
        while missing.total() and early < _MISSES:
            kinds = tuple(kind for kind in LEFT if missing[kind])
            caught = _flipped(campaign, number, kinds, digest, outcome)
            missing.subtract(caught)
            early += len(caught) < len(kinds)
            number += 1
        if early:
            outcome.notes.append(f"in {early} rounds a run had gone on before it was killed")
        if lacking := [kind for kind in LEFT if missing[kind]]:
            outcome.failures.append(
                f"only {outcome.tries} of {tries} could be tried: runs had gone on before they were killed at "
                f"{', '.join(lacking)}"
            )
        shutil.rmtree(sound)
    return outcome


def _flipped(campaign: Campaign, number: int, kinds: tuple[str, ...], digest: str, outcome: Outcome) -> list[str]:
    """Disturb one store, a kind after the other, and let a run come to its end; the kinds that were there to disturb.

    Raises:
        subprocess.TimeoutExpired: when a run hangs; it is killed.
    """
    job, chance = campaign.job, campaign.chance(f"unfinished {number}")
    cache, out = job.folder / f"unfinished-{number}", job.folder / f"unfinished-{number}-out"
    flipped: Path | None = None
    caught = []
    for kind in kinds:
        running = _start(campaign, cache, out)
        _wait_for(running, cache, kind)
        kill(running)
        _, said = running.communicate()
        if flipped is not None:
            outcome.tried(_untold(flipped, said))
        flipped = _flip_one(cache, kind, chance)
        if flipped is not None:
            caught.append(kind)
    done = job.ended(_start(campaign, cache, out))
    if flipped is not None:
        outcome.tried(_untold(flipped, done.err))
    if done.code or done.digest != digest:
        outcome.failures.append(f"round {number}: the last run ended with {done.code}: {done.err.strip()[-300:]}")
    elif failure := job.store_failure(cache):
        outcome.failures.append(f"round {number}: {failure}")
    elif left := [path.name for path in (cache / "unfinished").rglob("*")]:
        outcome.failures.append(f"round {number}: left unfinished: {left}")
    for folder in (cache, out):
        shutil.rmtree(folder, ignore_errors=True)
    return caught


def _start(campaign: Campaign, cache: Path, out: Path) -> Running:
    other = next(one for one in ARCHITECTURES if one != this_machine().architecture)
    return campaign.start(campaign.job, cache, "deploy", "--recipe", LEAVING, "--arch", other, "--out", str(out))


def _wait_for(running: Running, cache: Path, kind: str) -> None:
    """Until something of that kind lies in the store, or the run has ended.

    Raises:
        subprocess.TimeoutExpired: when neither comes in ten minutes; the run is killed then.
    """
    until = time.monotonic() + _LIMIT_S
    while not any(cache.glob(f"unfinished/*/{kind}")):
        try:
            running.communicate(timeout=_LOOK_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() < until:
                continue
            kill(running)
            raise subprocess.TimeoutExpired(f"a run that was to leave {kind}", _LIMIT_S) from None
        return


def _flip_one(cache: Path, kind: str, chance: random.Random) -> Path | None:
    """Flip a bit of one file of that kind; None where the run had gone on and removed it."""
    left = sorted(cache.glob(f"unfinished/*/{kind}"))
    if not left:
        return None
    path = chance.choice(left)
    flip(path, chance)
    return path


def _untold(flipped: Path, said: str) -> str | None:
    """What is wrong with what a run said that met this file."""
    if any("cannot be read, so that" in line and str(flipped) in line for line in said.splitlines()):
        return None
    return f"a flipped bit in {flipped.name} was not told: {said.strip()[-300:]!r}"
