"""What holds a missed goal back, in words, from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pipeline.planning.accuracy_limit import is_spared
from pipeline.planning.goal.budgets import Budgets, above
from pipeline.planning.goal.goal_search import ROUNDS
from pipeline.report.figures import amount, points

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.planning.goal.goal_plan import GoalPlan
    from pipeline.planning.time_ratio import TimeRatio
    from pipeline.recipe import GoalSection
    from pipeline.recipe.goal import Budget
    from pipeline.report.choice_record import Figure, MeasuredChoice
    from pipeline.runner.report_rows import Outcome

__all__ = ["causes_of_cost", "causes_of_loss"]


def causes_of_cost(
    budgets: Budgets, found: Mapping[str, float], timed: TimeRatio | None, plan: GoalPlan | None
) -> list[str]:
    """How far above its budgets what ships is, and how near to them what was planned came.

    Args:
        budgets: Of the goal.
        found: Quantity to what is shipped has of it; what was not measured is lacking.
        timed: The latency as a fraction, with its interval; None where it is none.
        plan: That ships: for the same target and precision; None: what was measured for it says nothing here.
    """
    told: list[str] = []
    for budget in budgets.every:
        one = Budgets((budget,))
        if budget.quantity not in found or one.missed(found) is None:
            continue
        over = f"{budget.quantity} is {above(found[budget.quantity] / budget.most)} its budget"
        if budget.quantity == "latency" and timed is not None and timed.low <= budget.most:
            over += ", which lies within the interval of its measurements"
        told.append(over)
        if plan is not None:
            told += _planned(plan.networks, budget, one)
    return told


def _planned(networks: MeasuredChoice, budget: Budget, one: Budgets) -> list[str]:
    """What of a quantity was planned, how far predictions went astray where rounds ran out, and what is the least."""
    (name,) = cast("dict[Figure, float]", one.figures({budget.quantity: 0.0}))
    measured = {tried.label: tried.figures[name] for tried in networks.tried if name in tried.figures}

    def written(label: str) -> str:
        return amount(budget.quantity, measured[label], relative=budget.relative)

    told = []
    if networks.chosen in measured:
        told.append(f"{networks.chosen} had {written(networks.chosen)} before recovery")
    off = [
        abs(tried.predicted[name] / tried.figures[name] - 1)
        for tried in networks.tried
        if name in tried.predicted and tried.figures.get(name)
    ]
    if len(off) == ROUNDS:
        told.append(f"all {ROUNDS} rounds of planning were used up, with predictions off by up to {max(off):.0%}")
    least = min(measured, key=lambda label: measured[label], default=None)
    if least is not None:
        told.append(f"the least that was measured is {written(least)}, of {least}")
    return told


def causes_of_loss(outcomes: Sequence[Outcome], lost: float | None, goal: GoalSection) -> list[str]:
    """Which stages lost the accuracy where more went than may, the worst first; nothing where none of them did.

    Args:
        outcomes: Of all stages.
        lost: Of the accuracy, a fraction of 1; None where it was not measured.
        goal: Says what may be.
    """
    if lost is None or is_spared(lost, goal):
        return []
    by_stage: dict[str, float] = {}
    before: float | None = None
    for outcome in outcomes:
        if outcome.measured is None or outcome.result.stage == "export":  # the INT8 form, whether it ships or not
            continue
        now = outcome.measured.accuracy.value
        if before is not None and now < before:
            stage, facts = outcome.result.stage, outcome.result.artifact.facts
            by_stage[facts["precision"] if stage == "build" else stage] = before - now
        before = now
    if not by_stage:
        return []
    worst_first = sorted(by_stage, key=lambda stage: -by_stage[stage])
    return [f"accuracy: {', '.join(f'{stage} lost {points(by_stage[stage])}' for stage in worst_first)}"]
