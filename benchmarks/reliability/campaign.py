"""What every campaign is given: jobs, undisturbed runs of them, chance, and how to start a command."""

from __future__ import annotations

import random
import shutil
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.reliability.further_jobs import write_further_jobs
from benchmarks.reliability.tiny_job import TinyJob, make_tiny_job
from benchmarks.reliability.warm_start import WarmStart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.reliability.outcome import Outcome
    from benchmarks.reliability.tiny_job import Ended, Running

__all__ = ["OLD_ENOUGH_S", "SMALLEST", "Campaign", "Sound", "begin"]

SMALLEST = "recipe.yaml"
"""The recipe of the job that most campaigns disturb."""
OLD_ENOUGH_S = 2.2
"""What is younger than two seconds is not swept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """An undisturbed run, from an empty store and warm.

    Attributes:
        digest: Of its bundle.
        wall_s: How long it took.
    """

    digest: str
    wall_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Campaign:
    """What is disturbed, and by whose chance.

    Attributes:
        job: The smallest job.
        digest: Of the bundle that an undisturbed run of it makes.
        wall_s: How long that run took from an empty store, as a user types it.
        seed: Of all that is random.
        warm: Starts commands without importing anything anew; None where nothing is started so.
        shown: Called with an outcome whenever there is something new to see of it.
        sounds: Undisturbed runs by recipe, as far as they were asked for.
    """

    job: TinyJob
    digest: str
    wall_s: float
    seed: int
    warm: WarmStart | None = None
    shown: Callable[[Outcome], None] = lambda _: None
    sounds: dict[str, Sound] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        """The store of the undisturbed run; not to be changed."""
        return self.job.folder / "whole"

    @property
    def bundle(self) -> Path:
        """The bundle of the undisturbed run; not to be changed."""
        return self.job.folder / "whole-out" / "bundle"

    def chance(self, name: str) -> random.Random:
        """Seeded by the campaign's seed and a name."""
        return random.Random(f"{self.seed} {name}")

    def copy(self, name: str) -> Path:
        """A copy of the undisturbed run's store."""
        return Path(shutil.copytree(self.cache, self.job.folder / name, copy_function=shutil.copy2))

    def start(self, job: TinyJob, cache: Path, *typed: str) -> Running:
        """Start a command on a store, warm where that is possible."""
        if self.warm is None:
            return job.start(cache, *typed)
        return self.warm.start(job.folder, job.environment(cache), *typed)

    def deploy(self, cache: Path, out: Path, recipe: str = SMALLEST) -> Running:
        """Start a job so."""
        return self.start(self.job, cache, "deploy", "--recipe", recipe, "--out", str(out))

    def sound(self, recipe: str = SMALLEST) -> Sound:
        """The undisturbed run of a recipe; made when it is asked for first.

        Raises:
            ValueError: when it does not end well.
        """
        if recipe not in self.sounds:
            cache, out = (self.job.folder / f"sound-{recipe}{end}" for end in ("", "-out"))
            running = self.deploy(cache, out, recipe)  # the first of all waits until libraries are loaded
            start = time.perf_counter()
            done = self.job.ended(running)
            self.sounds[recipe] = Sound(digest=done.digest, wall_s=time.perf_counter() - start)
        return self.sounds[recipe]

    def failure_of(self, end: Ended, recipe: str = SMALLEST) -> str | None:
        """What is wrong about how a run of a recipe ended, and about its bundle; None where nothing is."""
        if end.code:
            return f"ended with {end.code}: {end.err.strip()[-300:]}"
        return None if end.digest == self.sound(recipe).digest else f"made another bundle, {end.digest[:12]}"

    def failure_of_next(self, cache: Path, out: Path, recipe: str = SMALLEST) -> str | None:
        """What is wrong about the run that goes on in a store, and about what it leaves; None where nothing is."""
        if failure := self.failure_of(self.job.ended(self.deploy(cache, out, recipe)), recipe):
            return f"the next run {failure}"
        left = [path.name for path in out.iterdir() if path.name.startswith(".")]
        return f"left beside the bundle: {left}" if left else self.job.store_failure(cache)

    def left_temporary(self) -> str | None:
        """What a further command leaves among temporary files where no other runs; None where nothing is."""
        time.sleep(OLD_ENOUGH_S)
        self.job.ended(self.start(self.job, self.cache, "store", "path"))
        return self.job.left_temporary()


@contextmanager
def begin(folder: Path, seed: int, shown: Callable[[Outcome], None] = lambda _: None) -> Iterator[Campaign]:
    """Make the jobs and run the smallest one undisturbed. All that is started hears SIGHUP, under ``nohup`` too.

    Raises:
        ValueError: when that fails.
    """
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # what is caught here is no longer ignored there
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    job = make_tiny_job(folder)
    write_further_jobs(folder)
    start = time.perf_counter()
    digest = job.ended(job.deploy(folder / "whole", folder / "whole-out")).digest
    wall_s = time.perf_counter() - start
    with WarmStart(job.environment(folder / "nowhere")) as warm:
        yield Campaign(job=job, digest=digest, wall_s=wall_s, seed=seed, warm=warm, shown=shown)
