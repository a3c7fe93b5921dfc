"""Two engines side by side until their latency can be judged: what a gate rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.pairs.paired_processes import Kind, PairProcess, PairProtocol, measure_pairs
from benchmarks.statistics.non_inferiority import judge_control, judge_latency
from benchmarks.workers.workplace import HERE
from pipeline.report.comparison import Verdict

if TYPE_CHECKING:
    from benchmarks.engine import Engine
    from benchmarks.statistics.margins import Effort, Margins
    from benchmarks.statistics.non_inferiority import Control
    from benchmarks.workers.workplace import Workplace
    from pipeline.progress import Progress
    from pipeline.report.comparison import MetricRow

__all__ = ["JudgedLatency", "judge_side_by_side"]


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedLatency:
    """What came out.

    Attributes:
        rows: p50 and p90.
        processes: Pairs and controls, in the order in which they ran.
        control: The baseline beside itself.
        looks: How often it was decided.
    """

    rows: tuple[MetricRow, ...]
    processes: tuple[PairProcess, ...]
    control: Control
    looks: int


def judge_side_by_side(  # noqa: PLR0913 - who, how, how much is fine and how sure
    baseline: Engine,
    candidate: Engine,
    progress: Progress,
    *,
    protocol: PairProtocol,
    margins: Margins,
    effort: Effort,
    seed: int,
    place: Workplace = HERE,
) -> JudgedLatency:
    """Look, and look once more with as many processes again while nothing is decided.

    Args:
        baseline: What the candidate is held against.
        candidate: Is judged.
        progress: Told of every process.
        protocol: How each process measures.
        margins: What is still fine.
        effort: How much evidence.
        seed: Of orders and draws.
        place: Where.
    """
    pairs: list[Kind] = ["pair"]
    controls: list[Kind] = ["control"]
    kinds = pairs * effort.processes + controls * math.ceil(effort.processes / 2)
    processes: list[PairProcess] = []
    for look in range(1, effort.looks + 1):
        with progress.track("pairs" if look == 1 else "pairs, second look", len(kinds)) as ticker:
            own = seed * effort.looks + look
            found = measure_pairs(baseline, candidate, protocol, kinds, ticker, seed=own, place=place)
        processes += [replace(process, position=len(processes) + process.position) for process in found]
        control = judge_control(processes, margins, effort)
        rows = judge_latency(processes, margins, effort, control)
        if all(row.verdict not in {Verdict.INCONCLUSIVE, Verdict.UNFIT} for row in rows):
            break
    return JudgedLatency(rows=tuple(rows), processes=tuple(processes), control=control, looks=look)
