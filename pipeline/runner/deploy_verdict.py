"""The report's first line: what is shipped, how it compares with the baseline, and whether that is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.chain.engine_measurement import loaded_size
from pipeline.planning.accuracy_limit import is_spared
from pipeline.report.figures import megabytes, points_lost, size_change, speed_interval
from pipeline.report.record import Verdict
from pipeline.tasks import agreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.target import Target
    from pipeline.chain.engine_measurement import Measured
    from pipeline.chain.plan import Plan
    from pipeline.planning.int8_decision import Decision
    from pipeline.report.goal_record import GoalEntry
    from pipeline.runner.report_rows import Outcome
    from pipeline.runner.speedup import Speedup
    from pipeline.tasks import Task

__all__ = ["deploy_verdict", "measured_agreement", "unmeasured_verdict"]


def deploy_verdict(plan: Plan, outcomes: Sequence[Outcome], speedup: Speedup, goal: GoalEntry | None = None) -> Verdict:
    """What came of the run: ``ok`` where accuracy and goal are held and what is shipped is no slower than the baseline.

    Slower is what lies on that side with its whole interval. The exit code does not follow: only goals that are
    required decide it.

    Args:
        plan: The run's.
        outcomes: Of all stages, measured.
        speedup: What is shipped beside the baseline.
        goal: What came of it; None where there is none.
    """
    first, last = outcomes[0].measured, outcomes[-1].measured
    assert first is not None  # noqa: S101 - where the last can run, the first can
    assert last is not None  # noqa: S101 - asked before
    precision = outcomes[-1].result.artifact.facts["precision"]
    shrink = first.size_bytes / last.size_bytes
    change = last.accuracy.value - first.accuracy.value
    held = goal is None or goal.met
    well = held and is_spared(-change, plan.recipe.goal) and not speedup.is_slower
    reason = outcomes[-1].result.notes[0]
    why = "" if precision == "int8" else f" ({reason})"
    floats = next(outcome.measured for outcome in outcomes if outcome.result.stage == "calibrate")
    sentence = (
        f"{'OK' if well else 'MISSED'} {precision}: {_told(speedup)}, {size_change(shrink)}, {points_lost(-change)} "
        f"({100 * last.accuracy.value:.2f} % {last.accuracy.metric}){why}{'' if held else '; the goal is missed'}"
    )
    return Verdict(
        status="ok" if well else "missed",
        missed=not well,
        sentence=sentence,
        precision=precision,
        speedup=speedup.ratio,
        speedup_low=speedup.low,
        speedup_high=speedup.high,
        shrink=shrink,
        accuracy_change=change,
        agreement=measured_agreement(plan.parts.task, floats, last),
    )


def _told(speedup: Speedup) -> str:
    if speedup.ratio is None:
        return f"how much faster could not be told: {speedup.unfit}"
    told = speed_interval(speedup.ratio, speedup.low, speedup.high)
    return f"slower than the baseline, {told}" if speedup.is_slower else told


def unmeasured_verdict(target: Target, decision: Decision, built: Outcome, why_not: str | None) -> Verdict:
    """What is said where the target cannot run.

    Args:
        target: Of the run.
        decision: What is shipped.
        built: The last outcome.
        why_not: Nothing was measured.
    """
    size = megabytes(loaded_size(built.result.artifact))
    return Verdict(
        status="unmeasured",
        sentence=f"BUILT {decision.precision} for {target.name}, {size}; not measured here: {why_not}",
        precision=decision.precision,
    )


def measured_agreement(task: Task, floats: Measured | None, other: Measured | None) -> float | None:
    """Fraction of the test images with the same answer; None where one of them was not measured."""
    if floats is None or other is None or not floats.accuracy.decisions:
        return None
    return agreement(task, floats.accuracy.decisions, other.accuracy.decisions)
