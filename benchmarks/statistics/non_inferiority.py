"""From samples to verdicts: pure functions of what was measured, so that every rule can be tested without measuring."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.pairs.paired_processes import disturbances_of
from benchmarks.statistics import holm
from benchmarks.statistics.paired_proportions import agreement_upper_bound
from benchmarks.statistics.signed_rank import Shift, p_greater, shift
from pipeline.report.comparison import MetricRow, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.pairs.paired_processes import PairProcess
    from benchmarks.statistics.margins import Effort, Margins
    from benchmarks.statistics.paired_metric import MetricDrop

__all__ = ["Control", "change_of", "judge_accuracy", "judge_control", "judge_latency", "judge_memory", "judge_size"]

_PAIRED = "paired per inference, Hodges-Lehmann over processes, exact signed-rank bounds"


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """What the baseline against itself came out as.

    Attributes:
        change: Log ratio and its bounds.
        reasons: Why the machine cannot be judged by; empty when it can.
    """

    change: Shift
    reasons: tuple[str, ...]


def judge_control(processes: Sequence[PairProcess], margins: Margins, effort: Effort) -> Control:
    """Whether the machine can tell a difference of the margin from none.

    Unfit when the baseline differs from itself by more than half the margin, when the interval of that lies wholly
    beyond half the margin, when other programs or the hypervisor took too much of the time, or when a device got so hot
    that its clocks are held back. What the two sides make each other or the rest of the machine wait is no reason.
    """
    controls = [process.median_change() for process in processes if process.kind == "control"]
    change = shift(controls, alpha=effort.look_alpha)
    half = math.log1p(margins.latency_p50) / 2
    reasons = []
    if abs(change.estimate) > half or change.low > half or change.high < -half:
        reasons.append(
            f"the baseline differs from itself by {_percent(change.estimate)}, more than half the margin of "
            f"{100 * margins.latency_p50:g} %"
        )
    return Control(change=change, reasons=(*reasons, *disturbances_of(processes)))


def judge_latency(
    processes: Sequence[PairProcess], margins: Margins, effort: Effort, control: Control
) -> tuple[MetricRow, ...]:
    """The median and the ninth decile, corrected for being two."""
    pairs = [process for process in processes if process.kind == "pair"]
    series = {
        "latency p50": ([process.median_change() for process in pairs], margins.latency_p50),
        "latency p90": ([process.quantile_change(0.9) for process in pairs], margins.latency_p90),
    }
    alpha = effort.look_alpha
    worse = {name: p_greater(changes, math.log1p(margin)) for name, (changes, margin) in series.items()}
    better = {
        name: p_greater([-change for change in changes], math.log1p(margin))
        for name, (changes, margin) in series.items()
    }
    regressed, improved = holm.rejected(worse, alpha=alpha), holm.rejected(better, alpha=alpha)
    rows = []
    for name, (changes, margin) in series.items():
        found = shift(changes, alpha=alpha)
        if control.reasons:
            verdict = Verdict.UNFIT
        elif name in regressed:
            verdict = Verdict.REGRESSED
        elif name in improved:
            verdict = Verdict.IMPROVED
        else:
            verdict = Verdict.OK if found.high < math.log1p(margin) else Verdict.INCONCLUSIVE
        share = 0.5 if name == "latency p50" else 0.9
        rows.append(
            MetricRow(
                name=name,
                unit="s",
                baseline=_pooled(pairs, share, candidate=False),
                candidate=_pooled(pairs, share, candidate=True),
                change=math.expm1(found.estimate),
                low=change_of(found.low),
                high=change_of(found.high),
                limit=margin,
                level=1 - found.alpha,
                method=_PAIRED,
                verdict=verdict,
                p_worse=worse[name],
            )
        )
    return tuple(rows)


def _pooled(pairs: Sequence[PairProcess], share: float, *, candidate: bool) -> float:
    """Median over the processes of each one's quantile, seconds."""
    return median(_quantile(process.b_s if candidate else process.a_s, share) for process in pairs)


def _quantile(samples: Sequence[float], share: float) -> float:
    return sorted(samples)[min(len(samples) - 1, math.ceil(share * len(samples)) - 1)]


def judge_memory(baseline: Sequence[int], candidate: Sequence[int], margins: Margins, effort: Effort) -> MetricRow:
    """Peak resident bytes beyond the imported runtime, process by process in turn.

    Args:
        baseline: One value a process.
        candidate: As many, measured in turn with the baseline's.
        margins: The margin is relative, but at least ``memory_bytes``.
        effort: Its alpha.
    """
    middle = median(baseline)
    margin = max(margins.memory, margins.memory_bytes / max(middle, 1))
    changes = [math.log(max(b, 1) / max(a, 1)) for a, b in zip(baseline, candidate, strict=True)]
    found = shift(changes, alpha=effort.alpha)
    p_worse = p_greater(changes, math.log1p(margin))
    if p_worse <= effort.alpha:
        verdict = Verdict.REGRESSED
    elif p_greater([-change for change in changes], math.log1p(margin)) <= effort.alpha:
        verdict = Verdict.IMPROVED
    else:
        verdict = Verdict.OK if found.high < math.log1p(margin) else Verdict.INCONCLUSIVE
    return MetricRow(
        name="memory",
        unit="B",
        baseline=middle,
        candidate=median(candidate),
        change=math.expm1(found.estimate),
        low=change_of(found.low),
        high=change_of(found.high),
        limit=margin,
        level=1 - found.alpha,
        method="peak (VmHWM) of fresh processes beyond the imported runtime, allocator fixed, exact signed-rank bounds",
        verdict=verdict,
        p_worse=p_worse,
    )


def judge_size(baseline: int, candidate: int, margins: Margins) -> MetricRow:
    """Bytes that are loaded: counted, so there is no doubt."""
    change = candidate / max(baseline, 1) - 1
    verdict = Verdict.REGRESSED if change > margins.size else Verdict.IMPROVED if change < -margins.size else Verdict.OK
    return MetricRow(
        name="size",
        unit="B",
        baseline=baseline,
        candidate=candidate,
        change=change,
        limit=margins.size,
        method="counted",
        verdict=verdict,
    )


def judge_accuracy(drop: MetricDrop, same: int, margins: Margins, effort: Effort) -> tuple[MetricRow, ...]:
    """Accuracy, on the same images, and the share of images on which both decide the same.

    A drop on these very images beyond the margin is a regression even where too few images were lost to say so of all
    images there are: what is shipped was seen to be worse.

    Args:
        drop: What was lost; its bounds are at the effort's alpha.
        same: How many images get the same answer.
        margins: ``accuracy`` and ``agreement``.
        effort: Its alpha.
    """
    n = drop.n
    if drop.low > margins.accuracy or drop.estimate > margins.accuracy + 1e-12:
        verdict = Verdict.REGRESSED
    elif drop.high < -margins.accuracy:
        verdict = Verdict.IMPROVED
    else:
        verdict = Verdict.OK if drop.high < margins.accuracy or drop.nothing_lost else Verdict.INCONCLUSIVE
    accuracy = MetricRow(
        name="accuracy",
        unit="1",
        baseline=drop.baseline,
        candidate=drop.candidate,
        change=drop.estimate,
        low=drop.low,
        high=drop.high,
        limit=margins.accuracy,
        level=1 - effort.alpha,
        method=drop.method,
        verdict=verdict,
        note=drop.counted,
    )
    high = agreement_upper_bound(same, n, alpha=effort.alpha)
    agreement = MetricRow(
        name="agreement",
        unit="1",
        baseline=1.0,
        candidate=same / n,
        change=1 - same / n,
        low=1 - high,
        limit=1 - margins.agreement,
        level=1 - effort.alpha,
        method="parity: images with the same answer, exact binomial bound",
        verdict=Verdict.REGRESSED if high < margins.agreement else Verdict.OK,
    )
    return accuracy, agreement


def change_of(log_ratio: float) -> float | None:
    """A bound as a relative change; None, as JSON has no infinity, where too few processes give none."""
    return math.expm1(log_ratio) if math.isfinite(log_ratio) else None


def _percent(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):+.2f} %"
