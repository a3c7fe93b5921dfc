"""How much faster the shipped engine is than the baseline: both side by side, with an interval, by the gate's means.

Medians that were taken minutes apart differ by what the machine did meanwhile; two engines that take turns in the same
processes do not. Controls, the baseline beside itself, say whether the machine could tell.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.statistics.margins import Effort, Margins
from pipeline.chain.engine_measurement import profile_of
from pipeline.gate.latency_looks import judge_side_by_side
from pipeline.planning.time_ratio import PROTOCOL, comparison_key, engines_of

if TYPE_CHECKING:
    from exporters.target import Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain

__all__ = ["Speedup", "speedup"]

_RECORDS = "speedups"
_ALPHA = 0.05
_PROCESSES = 6
"""At least, unless fewer are asked for: with fewer there is no interval at 95 %."""
_MARGINS = Margins(latency_p50=0.2, latency_p90=0.2)
"""Half of it is what the baseline may differ from itself: a factor is told, not a difference of two percent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speedup:
    """The baseline's median time over that of what is shipped.

    Attributes:
        ratio: Above 1 where what is shipped is faster; None where the machine could not tell.
        low: Lower end of the interval, each end at 95 %; None where there were too few processes for one.
        high: Upper end likewise; both ends and the ratio are exactly 1 where both are one engine, which nobody timed.
        unfit: Why the machine could not tell; empty when it could.
    """

    ratio: float | None
    low: float | None = None
    high: float | None = None
    unfit: str = ""

    @property
    def is_slower(self) -> bool:
        """Whether what is shipped takes longer than the baseline, the whole interval of it."""
        return self.high is not None and self.high < 1


def speedup(chain: Chain, target: Target, baseline: Artifact, shipped: Artifact) -> Speedup:
    """Measure once for the same two engines on one machine; from the store afterwards, unless it was unfit.

    Args:
        chain: The run; its measuring profile says in how many processes.
        target: Of both engines.
        baseline: Engine of the network as it came.
        shipped: Engine that goes into the bundle.
    """
    if baseline.sha256 == shipped.sha256:
        return Speedup(ratio=1.0, low=1.0, high=1.0)
    section = chain.plan.recipe.measure
    processes = section.processes or max(_PROCESSES, profile_of(section).processes)
    key = comparison_key(chain, baseline, shipped, target.distributions, processes=processes)
    with chain.store.exclusive(f"{_RECORDS}-{key}"):
        known = chain.store.get_record(_RECORDS, key)
        if known is not None:
            return Speedup(**known)
        found = _measured(chain, baseline, shipped, processes)
        if not found.unfit:
            chain.store.put_record(_RECORDS, key, asdict(found))
    return found


def _measured(chain: Chain, baseline: Artifact, shipped: Artifact, processes: int) -> Speedup:
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        first, second = engines_of(chain, (baseline, shipped), Path(scratch))
        judged = judge_side_by_side(
            first,
            second,
            chain.progress,
            protocol=PROTOCOL,
            margins=_MARGINS,
            effort=Effort(processes=processes, looks=1, alpha=_ALPHA, memory_processes=0),
            seed=chain.plan.recipe.seed,
            place=chain.plan.place,
        )
    if judged.control.reasons:
        return Speedup(ratio=None, unfit=judged.control.reasons[0])
    row = judged.rows[0]
    return Speedup(ratio=_times(row.change), low=_times(row.high), high=_times(row.low))


def _times(change: float | None) -> float | None:
    """How many times as fast something is whose time changed by that much."""
    return None if change is None or change <= -1 else 1 / (1 + change)
