"""A store never gives what was not put into it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from benchmarks.reliability.outcome import Outcome, timed

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from benchmarks.reliability.campaign import Campaign

__all__ = ["flipped_index", "flipped_store"]


def flipped_store(campaign: Campaign, rounds: int) -> Outcome:
    """Flip a random bit of every artifact's files, every key and every record; each flip is one try.

    The next run makes anew what it needs. What it does not need stays damaged until it is removed or asked for, so that
    ``store check --repair`` has to leave a store that is as after a good run.
    """
    job = campaign.job
    with timed(
        "A flipped bit in any artifact, key or record of the store is named by `store check`, what it spoiled is made "
        "anew where a run needs it, and removed by `--repair`",
        campaign.shown,
    ) as outcome:
        for number in range(rounds):
            chance = campaign.chance(f"flipped {number}")
            cache = campaign.copy(f"flipped-{number}")
            files = sorted(
                path
                for name in ("artifacts", "keys", "records")
                for path in (cache / name).rglob("*")
                if path.is_file()
            )
            for path in files:
                flip(path, chance)
            _, named = job.check(cache)
            for path in files:
                place = path.relative_to(cache)
                piece = "/".join(place.parts[:2]) if place.parts[0] == "artifacts" else place.as_posix()
                outcome.tried(None if piece in named else f"round {number}: a flipped bit in {place} was not named")
            done = job.ended(job.deploy(cache, job.folder / "flipped-out"))
            if done.code or done.digest != campaign.digest:
                outcome.failures.append(f"round {number}: the next run ended with {done.code}: {done.err[-300:]}")
            repaired = job.ended(job.start(cache, "store", "check", "--repair"))
            if failure := repaired.err[-300:] if repaired.code else job.store_failure(cache):
                outcome.failures.append(f"round {number}: after the next run and a repair {failure}")
            shutil.rmtree(cache)
    return outcome


def flipped_index(campaign: Campaign, tries: int) -> Outcome:
    """Flip a random bit of the index of images, and ask what would run: nothing, as the images are what they were."""
    job, chance = campaign.job, campaign.chance("index")
    typed = ("explain", "--recipe", "recipe.yaml", "--json")
    with timed("A flipped bit in the index of images changes no image's identity", campaign.shown) as outcome:
        for number in range(tries):
            cache = campaign.copy(f"index-{number}")
            place = flip(cache / "data" / "index.sqlite", chance)
            (done,) = job.many(cache, [typed])
            statuses = {one["status"] for one in json.loads(done.out)["stages"]} if done.code == 0 else set()
            right = statuses <= {"cached", "skipped"} and bool(statuses)
            outcome.tried(None if right else f"byte {place}: ended with {done.code}, {statuses}: {done.err[-300:]}")
            shutil.rmtree(cache)
    return outcome


def flip(path: Path, chance: random.Random) -> int:
    """Flip a random bit of a file, in a byte that is not zero: whole pages of a database are; returns which byte."""
    content = bytearray(path.read_bytes())
    place = chance.choice([place for place, byte in enumerate(content) if byte])
    content[place] ^= 1 << chance.randrange(8)
    path.chmod(0o644)
    path.write_bytes(content)
    return place
