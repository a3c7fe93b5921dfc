"""A store never gives what was not put into it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from benchmarks.reliability.outcome import Outcome, timed
from pipeline.store import METADATA

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.reliability.campaign import Campaign

__all__ = ["flipped_index", "flipped_store"]

_DAMAGED = 6


def flipped_store(campaign: Campaign, rounds: int) -> Outcome:
    """Flip a random bit of every file of every artifact, every key and every record; each flip is one try.

    In passes, each on a store of its own: where an artifact's description is damaged too, or its key is, nobody comes
    so far as to look at its other files. The next run makes anew what it needs. What it does not need stays damaged
    until it is removed or asked for, so that ``store check --repair`` has to leave a store that is as after a good run.
    """
    with timed(
        "A flipped bit in any file of an artifact, in any key or record of the store is named by `store check`, exit "
        "code 6; what it spoiled is made anew where a run needs it, and removed by `--repair`",
        campaign.shown,
    ) as outcome:
        for number in range(rounds):
            chance = campaign.chance(f"flipped {number}")
            for place, files in enumerate(_passes(campaign.cache)):
                cache = campaign.copy(f"flipped-{number}-{place}")
                _flip_all(campaign, cache, files, chance, outcome)
                shutil.rmtree(cache)
    return outcome


def _passes(root: Path) -> list[list[Path]]:
    """All files that are sealed, relative to the store: of each artifact one a pass; keys and records together."""
    passes: list[list[Path]] = []
    for home in sorted((root / "artifacts").iterdir()):
        files = (path.relative_to(root) for path in sorted(home.rglob("*")) if path.is_file())
        for number, path in enumerate(sorted(files, key=lambda path: path.name != METADATA)):
            if number == len(passes):
                passes.append([])
            passes[number].append(path)
    noted = (path for name in ("keys", "records") for path in sorted((root / name).rglob("*")))
    return [*passes, [path.relative_to(root) for path in noted if path.is_file()]]


def _flip_all(campaign: Campaign, cache: Path, files: Sequence[Path], chance: random.Random, outcome: Outcome) -> None:
    """Flip a bit of each of these, and see who notices: the check, the next run, the repair."""
    job = campaign.job
    pieces = {path: "/".join(path.parts[:2]) if path.parts[0] == "artifacts" else path.as_posix() for path in files}
    for path in files:
        flip(cache / path, chance)
    code, named = job.check(cache)
    for path, piece in pieces.items():
        outcome.tried(None if piece in named else f"{cache.name}: a flipped bit in {path} was not named")
    if code != _DAMAGED:
        outcome.failures.append(f"{cache.name}: store check ended with {code}")
    if sound := named - set(pieces.values()):
        outcome.failures.append(f"{cache.name}: named without a flipped bit: {', '.join(sorted(sound))}")
    out = job.folder / "flipped-out"
    done = job.ended(campaign.deploy(cache, out))
    if done.code or done.digest != campaign.digest:
        outcome.failures.append(f"{cache.name}: the next run ended with {done.code}: {done.err[-300:]}")
    repaired = job.ended(campaign.start(job, cache, "store", "check", "--repair"))
    if failure := repaired.err[-300:] if repaired.code else job.store_failure(cache):
        outcome.failures.append(f"{cache.name}: after the next run and a repair {failure}")


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
