"""Which of two engines is faster where the run measures, side by side: what a search needs and a report does not."""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.pairs.paired_processes import PairProtocol, disturbances_of, measure_pairs
from benchmarks.statistics.signed_rank import shift
from pipeline.artifact import sha256_of_json
from pipeline.data.dataset import rotating_samples
from pipeline.measuring.engine_inputs import engine_on_images
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.engine import Engine
    from benchmarks.pairs.paired_processes import Kind
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import Plan

__all__ = [
    "PROTOCOL",
    "TimeRatio",
    "comparison_key",
    "comparison_settings",
    "engines_of",
    "kept_time_ratio",
    "time_ratio",
]

_RECORDS = "side-by-side"

PROTOCOL = PairProtocol(target_s=0.8, min_pairs=32, max_pairs=600, max_s=6.0, warmup_s=0.3, warmup_limit=120)
_PROCESSES = 3
_ALPHA = 0.5**_PROCESSES
"""Of each end of the interval: the least there is with so few processes, whose range it then is."""
_VERSION = 4
"""Of how it is measured: another one, and what was kept is measured again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeRatio:
    """The median time of one engine over that of another, of inferences in turn in the same processes.

    Attributes:
        ratio: The estimate, which decides.
        low: Lower end of its interval: that of Wilcoxon's signed-rank statistic, each end at 87.5 % with three
            processes.
        high: Upper end likewise.
        unfit: What disturbed the machine meanwhile, so that the figures are in doubt; empty where nothing was seen.
    """

    ratio: float
    low: float
    high: float
    unfit: str = ""

    @property
    def interval(self) -> str:
        """``0.86x to 0.91x side by side``, and what makes it doubtful."""
        return f"{self.low:.2f}x to {self.high:.2f}x side by side{self.doubt}"

    @property
    def doubt(self) -> str:
        """For the end of a sentence; empty where nothing was seen."""
        return f", in doubt since {self.unfit}" if self.unfit else ""

    def told(self, base: str) -> str:
        """``takes 0.88x the time of float, 0.86x to 0.91x side by side``.

        Args:
            base: What it is held against.
        """
        return f"takes {self.ratio:.2f}x the time of {base}, {self.interval}"


def comparison_settings(plan: Plan) -> dict[str, Json]:
    """What decides a ratio besides the engines and the machine; for keys."""
    threads = plan.recipe.measure.threads
    return {"version": _VERSION, "protocol": PROTOCOL.to_json(), "processes": _PROCESSES, "threads": threads}


def comparison_key(
    chain: Chain, base: Artifact, other: Artifact, distributions: Sequence[str], *, processes: int = _PROCESSES
) -> str:
    """Under what a comparison of two engines is kept, the machine it is made on among it.

    Args:
        chain: The run.
        base: Engine that the other is held against.
        other: Engine.
        distributions: Whose versions decide, those of both targets.
        processes: In how many fresh processes.
    """
    return sha256_of_json(
        {
            "engines": [base.sha256, other.sha256],
            "settings": {**comparison_settings(chain.plan), "processes": processes},
            "machine": chain.plan.place.identity,
            "versions": dict(chain.plan.place.versions(distributions)),
        }
    )


def engines_of(chain: Chain, artifacts: Sequence[Artifact], scratch: Path) -> list[Engine]:
    """Engine artifacts on calibration images of the run, to be timed with the run's threads; inputs lie in a folder."""
    parts = chain.plan.parts
    samples = rotating_samples(parts.dataset.calibration, 16)
    engines = []
    for number, artifact in enumerate(artifacts):
        spec = EngineSpec.from_json(artifact.facts["engine"]).with_threads(chain.plan.recipe.measure.threads)
        path = scratch / f"{number}.bin"
        fed = parts.preprocess.at(spec.image_size)  # that of a network which was downsampled is another one
        engines.append(engine_on_images(artifact.root, spec, samples, fed, path))
    return engines


def time_ratio(chain: Chain, other: Artifact, base: Artifact) -> TimeRatio:
    """Median latency of ``other`` over that of ``base``: inferences in turn, in three fresh processes.

    Accurate to about two percent; a gate takes more processes, and controls, to say more.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        first, second = engines_of(chain, (base, other), Path(scratch))
        with chain.progress.track("side by side", _PROCESSES) as ticker:
            seed = chain.plan.recipe.seed
            kinds: list[Kind] = ["pair"] * _PROCESSES
            found = measure_pairs(first, second, PROTOCOL, kinds, ticker, seed=seed, place=chain.plan.place)
    changes = [process.median_change() for process in found]
    ends = shift(changes, alpha=_ALPHA)
    return TimeRatio(
        ratio=math.exp(median(changes)),
        low=math.exp(ends.low),
        high=math.exp(ends.high),
        unfit=" and ".join(disturbances_of(found)),
    )


def kept_time_ratio(chain: Chain, other: Artifact, base: Artifact, distributions: Sequence[str]) -> TimeRatio:
    """The same, measured once for two engines on a machine; from the store afterwards, unless that was unfit.

    Args:
        chain: The run.
        other: Engine.
        base: That it is held against.
        distributions: As of :func:`comparison_key`.
    """
    key = comparison_key(chain, base, other, distributions)
    with chain.store.exclusive(f"{_RECORDS}-{key}"):
        known = chain.store.get_record(_RECORDS, key)
        if known is not None:
            return TimeRatio(**known)
        ratio = time_ratio(chain, other, base)
        if not ratio.unfit:
            chain.store.put_record(_RECORDS, key, asdict(ratio))
    return ratio
