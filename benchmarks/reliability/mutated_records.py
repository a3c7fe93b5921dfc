"""Records of earlier runs that are not what was written: reports, choices, the history of baselines."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from benchmarks.reliability.edits import changed
from benchmarks.reliability.hostile_input import unclear
from benchmarks.reliability.outcome import Outcome, timed

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from benchmarks.reliability.campaign import Campaign
    from benchmarks.reliability.tiny_job import Ended

__all__ = ["mutated_records"]

_EVERY = 10
"""A changed choice may be followed by a whole run: one record in so many is one."""


def mutated_records(campaign: Campaign, tries: int) -> Outcome:
    """Change bytes of a report, of the choices of a run and of the history of baselines, and let them be read.

    What a report or a choice says is not sealed: as far as it can be read it is taken. A history is.
    """
    job = campaign.job
    with timed(
        "A mutated report or choice is read, or refused by one error with a documented exit code; a mutated history of "
        "baselines is refused, or says what it said",
        campaign.shown,
    ) as outcome:
        shelf = _shelf(campaign)
        listed = ("baseline", "list", "--history", "--json", "--baselines")
        typed: list[tuple[str, ...]] = [(*listed, str(shelf))]
        for number in range(tries):
            chance, home = campaign.chance(f"record {number}"), job.folder / "records" / str(number)
            if number % _EVERY == 0:
                file = _changed_copy(campaign.bundle.parent / "decisions.json", home, chance)
                typed.append(
                    ("deploy", "--recipe", "recipe.yaml", "--reproducible", str(file), "--out", str(home / "out"))
                )
            elif number % 2:
                typed.append(
                    ("report", str(_changed_copy(campaign.bundle.parent / "report.json", home, chance).parent))
                )
            else:
                typed.append((*listed, str(_changed_shelf(shelf, home, chance))))
        sound, *ends = job.many(campaign.copy("records-store"), typed)
        for command, end in zip(typed[1:], ends, strict=True):
            failure = unclear(end)
            if command[0] == "baseline" and end.code == 0 and end.out != sound.out:
                failure = f"was read otherwise: {end.out[-300:]}"
            outcome.tried(failure and f"{' '.join(command)}: {failure}")
        shutil.rmtree(job.folder / "records")
    return outcome


def _shelf(campaign: Campaign) -> Path:
    """The undisturbed bundle as an accepted baseline."""
    shelf = campaign.job.folder / "shelf"
    typed = ("baseline", "accept", str(campaign.bundle), "--reason", "first", "--baselines", str(shelf))
    done: Ended = campaign.job.ended(campaign.start(campaign.job, campaign.cache, *typed))
    if done.code:
        raise ValueError(f"the bundle was not accepted as a baseline: {done.err.strip()[-300:]}")
    return shelf


def _changed_copy(file: Path, home: Path, chance: random.Random) -> Path:
    home.mkdir(parents=True)
    copy = home / file.name
    copy.write_bytes(changed(file.read_bytes(), chance))
    return copy


def _changed_shelf(shelf: Path, home: Path, chance: random.Random) -> Path:
    shutil.copytree(shelf, home, ignore=shutil.ignore_patterns("bundles"))
    file = chance.choice(sorted([*home.glob("*/history.jsonl"), *home.glob("*/current.json")]))
    file.write_bytes(changed(file.read_bytes(), chance))
    return home
