"""Whether what is shipped holds its goal, and what the way there was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.planning.goal.budgets import Budgets
from pipeline.planning.goal.measured_networks import absolute_value, engine_in
from pipeline.planning.time_ratio import TimeRatio, time_ratio
from pipeline.report.choice_record import SHIPPED, Tried
from pipeline.report.goal_record import GoalEntry
from pipeline.report.record import AccuracyFigure, StageRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.target import Target
    from pipeline.chain.chain import Chain
    from pipeline.planning.goal.goal_plan import GoalPlan
    from pipeline.recipe.goal import Budget
    from pipeline.report import Report
    from pipeline.report.choice_record import MeasuredChoice
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
    budgets = Budgets(chain.plan.recipe.goal.budgets())
    if not budgets.every:
        return None
    shipped: dict[str, float | TimeRatio] = {}
    if outcomes[-1].measured is not None:
        shipped = {budget.quantity: _of_shipped(chain, target, outcomes, budget) for budget in budgets.every}
    timed = next((value for value in shipped.values() if isinstance(value, TimeRatio)), None)
    found = {name: value.ratio if isinstance(value, TimeRatio) else value for name, value in shipped.items()}
    met = bool(found) and budgets.missed(found) is None
    return GoalEntry(
        asked={budget.quantity: budget.text for budget in budgets.every},
        relative=tuple(budget.quantity for budget in budgets.every if budget.relative),
        met=met,
        sentence=_sentence(budgets, found, timed, plan, met=met),
        found=found,
        limit_s=_limit(budgets, plan),
        precision=None if plan is None else plan.precision,
    )


def _limit(budgets: Budgets, plan: GoalPlan | None) -> float | None:
    """The latency that was asked for, seconds; None where none was, or what it is a fraction of was not measured."""
    for budget in budgets.every:
        if budget.quantity == "latency" and (plan is not None or not budget.relative):
            unpruned = plan.networks.tried[0].figures["p50_s"] if plan is not None else 1.0
            return budget.most * unpruned if budget.relative else budget.most
    return None


def _of_shipped(chain: Chain, target: Target, outcomes: Sequence[Outcome], budget: Budget) -> float | TimeRatio:
    """What is shipped has of a quantity; a fraction is that of the unpruned network in the same precision.

    One of the latency comes with its interval, unless what is shipped is that network's engine.
    """
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
    budgets: Budgets, found: dict[str, float], timed: TimeRatio | None, plan: GoalPlan | None, *, met: bool
) -> str:
    interval = f"; latency {timed.interval}" if timed else ""
    if met:
        return f"the goal is met: {budgets.told(found)}{interval}"
    why = "; nothing was done for it, since the stages that could are left out" if plan is None else ""
    return f"the goal is missed: {budgets.told(found)}{interval}{why}"


def with_goal(report: Report, goal: GoalEntry | None, plan: GoalPlan | None, chain: Chain, shipped: Outcome) -> Report:
    """The report with its goal; where no channel had to go for it, that is said in the row of prune.

    Args:
        report: Of the run.
        goal: As of :func:`goal_entry`.
        plan: As above.
        chain: The run.
        shipped: The last outcome.
    """
    if goal is None:
        return report
    stages, choices = report.stages, report.choices
    if plan is not None:
        choices = (*([plan.ways] if plan.ways else []), _with_shipped(plan.networks, goal, chain, shipped), *choices)
    if plan is not None and report.stage("prune") is None:
        metric = stages[0].accuracy.metric
        note = f"all channels stay: {plan.networks.reason}"
        row = StageRow(name="prune", status="skipped", accuracy=AccuracyFigure(metric=metric), notes=(note,))
        place = next(number for number, one in enumerate(stages) if one.name == "calibrate")
        stages = (*stages[:place], row, *stages[place:])
    verdict = report.verdict
    if not goal.met:
        verdict = verdict.model_copy(update={"status": "missed"}) if verdict.status == "ok" else verdict
    return report.model_copy(update={"goal": goal, "stages": stages, "choices": choices, "verdict": verdict})


def _with_shipped(networks: MeasuredChoice, goal: GoalEntry, chain: Chain, shipped: Outcome) -> MeasuredChoice:
    """The choice with what came of the network that was taken, where that was measured."""
    measured = shipped.measured
    if measured is None:
        return networks
    figures = {"p50_s": measured.p50_s, "accuracy": measured.accuracy.value, "params": float(shipped.facts["params"])}
    budgets = Budgets(chain.plan.recipe.goal.budgets())
    value = {
        "label": SHIPPED,
        "figures": {**figures, **budgets.figures(goal.found)},
        "outcome": f"{networks.chosen} as it ships: {budgets.outcome(goal.found)}",
    }
    return networks.model_copy(update={"tried": (*networks.tried, Tried.model_validate(value))})
