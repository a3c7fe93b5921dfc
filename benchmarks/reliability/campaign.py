"""What every campaign is given: the job, one undisturbed run of it, chance, and how much to try."""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.tiny_job import TinyJob, make_tiny_job

__all__ = ["Campaign", "begin"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Campaign:
    """What is disturbed, and by whose chance.

    Attributes:
        job: The job.
        digest: Of the bundle that an undisturbed run makes.
        wall_s: How long that run took from an empty store.
        seed: Of all that is random.
    """

    job: TinyJob
    digest: str
    wall_s: float
    seed: int

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


def begin(folder: Path, seed: int) -> Campaign:
    """Make the job and run it undisturbed.

    Raises:
        ValueError: when that fails.
    """
    job = make_tiny_job(folder)
    start = time.perf_counter()
    digest = job.ended(job.deploy(folder / "whole", folder / "whole-out")).digest
    return Campaign(job=job, digest=digest, wall_s=time.perf_counter() - start, seed=seed)
