"""Whether what is shipped holds its goal, and what the way there was."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.planning.goal.goal_search import MEASURED_WITHIN
from pipeline.planning.goal.measured_networks import absolute_value, engine_in
from pipeline.planning.time_ratio import time_ratio
from pipeline.report.goal_record import GoalEntry, GoalPoint, SizeEntry
from pipeline.report.goal_texts import budgets_told
from pipeline.report.record import AccuracyFigure, StageRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.target import Target
    from pipeline.chain.chain import Chain
    from pipeline.planning.goal.plan_record import GoalPlan, TriedNetwork
    from pipeline.recipe.goal import Budget
    from pipeline.report import Report
    from pipeline.runner.report_rows import Outcome

__all__ = ["goal_entry", "with_goal"]


def goal_entry(chain: Chain, target: Target, outcomes: Sequence[Outcome], plan: GoalPlan | None) -> GoalEntry | None:
    """None where no goal was set; a budget that cannot be measured here counts as missed.

    Args:
        chain: The run.
        target: Whose result it is.
        outcomes: Of all stages.
        plan: For the goal; None where nothing may go for it.
    """
    budgets = chain.plan.recipe.goal.budgets()
    if not budgets:
        return None
    last = outcomes[-1]
    found: dict[str, float] = {}
    if last.measured is not None:
        found = {budget.quantity: _of_shipped(chain, target, outcomes, budget) for budget in budgets}
    missed = [b for b in budgets if found.get(b.quantity) is None or found[b.quantity] > MEASURED_WITHIN * b.most]
    points = [] if plan is None else [GoalPoint.model_validate(_point(one)) for one in plan.tried]
    if last.measured is not None:
        points.append(
            GoalPoint(
                label="shipped",
                size=last.preprocess.size,
                p50_s=last.measured.p50_s,
                accuracy=last.measured.accuracy.value,
                params=last.facts["params"],
                found=found,
                recovered=True,
            )
        )
    return GoalEntry(
        asked={budget.quantity: budget.text for budget in budgets},
        relative=tuple(budget.quantity for budget in budgets if budget.relative),
        met=not missed,
        sentence=_sentence(budgets, found, missed, plan),
        found=found,
        limit_s=_limit(budgets, points),
        precision=None if plan is None else plan.precision,
        sizes=() if plan is None else tuple(SizeEntry.model_validate(asdict(one)) for one in plan.weighed),
        points=tuple(points),
    )


def _limit(budgets: Sequence[Budget], points: Sequence[GoalPoint]) -> float | None:
    """The latency that was asked for, seconds; None where none was, or what it is a fraction of was not measured."""
    for budget in budgets:
        if budget.quantity == "latency" and (points or not budget.relative):
            return budget.most * points[0].p50_s if budget.relative else budget.most
    return None


def _point(tried: TriedNetwork) -> dict[str, object]:
    names = ("label", "size", "p50_s", "accuracy", "params")
    return {name: getattr(tried, name) for name in names} | {
        "predicted": dict(tried.predicted),
        "found": dict(tried.found),
    }


def _of_shipped(chain: Chain, target: Target, outcomes: Sequence[Outcome], budget: Budget) -> float:
    """What is shipped has of a quantity; a fraction is that of the unpruned network in the same precision."""
    last = outcomes[-1]
    assert last.measured is not None  # noqa: S101 - asked before
    networks = [one for one in outcomes if one.result.artifact.kind is ArtifactKind.NETWORK]
    if not networks:
        return absolute_value(budget.quantity, last.facts, last.measured)
    acted = {"prune", "downsample"} if chain.plan.size_is_open else {"prune"}
    whole = next(one for one in reversed(networks) if one.result.stage not in acted)
    unpruned = whole.result.artifact
    value = absolute_value(budget.quantity, networks[-1].result.artifact.facts, last.measured)
    if not budget.relative:
        return value
    as_before = chain.fed(whole.preprocess)
    shipped = last.result.artifact.facts
    options = shipped["engine"]["options"]  # the unpruned one would ship with such too
    engine, measured = engine_in(as_before, target, unpruned, shipped["precision"], options)
    if budget.quantity == "latency":
        same = engine.sha256 == last.result.artifact.sha256
        return 1.0 if same else time_ratio(chain, last.result.artifact, engine)
    return value / absolute_value(budget.quantity, unpruned.facts, measured)


def _sentence(
    budgets: Sequence[Budget], found: dict[str, float], missed: Sequence[Budget], plan: GoalPlan | None
) -> str:
    told = budgets_told(budgets, found)
    if not missed:
        return f"the goal is met: {told}"
    why = "; nothing was done for it, since the stages that could are left out" if plan is None else ""
    return f"the goal is missed: {told}{why}"


def with_goal(report: Report, goal: GoalEntry | None, plan: GoalPlan | None) -> Report:
    """The report with its goal; where no channel had to go for it, that is said in the row of prune.

    Args:
        report: Of the run.
        goal: As of :func:`goal_entry`.
        plan: As above.
    """
    if goal is None:
        return report
    stages = report.stages
    if plan is not None and report.stage("prune") is None:
        metric = stages[0].accuracy.metric
        note = f"all channels stay: {plan.reason}"
        row = StageRow(name="prune", status="skipped", accuracy=AccuracyFigure(metric=metric), notes=(note,))
        place = next(number for number, one in enumerate(stages) if one.name == "calibrate")
        stages = (*stages[:place], row, *stages[place:])
    verdict = report.verdict
    if not goal.met:
        verdict = verdict.model_copy(update={"status": "missed"}) if verdict.status == "ok" else verdict
    return report.model_copy(update={"goal": goal, "stages": stages, "verdict": verdict})
