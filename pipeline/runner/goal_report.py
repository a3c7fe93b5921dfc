"""Whether what is shipped holds its goal, and what the way there was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.planning.accuracy_limit import drop, is_spared
from pipeline.planning.goal.budgets import Budgets
from pipeline.planning.goal.measured_networks import (
    absolute_value,
    doubt_of_latency,
    engine_in,
    on_few_images,
    quickly_calibrated,
)
from pipeline.planning.time_ratio import TimeRatio, kept_time_ratio
from pipeline.quantization.calibrated import read_calibration
from pipeline.report.choice_record import SHIPPED, Tried
from pipeline.report.figures import points, points_lost
from pipeline.report.goal_record import GoalEntry
from pipeline.report.record import AccuracyFigure, StageRow
from pipeline.runner.goal_causes import causes_of_cost, causes_of_loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.target import Target
    from pipeline.chain.chain import Chain
    from pipeline.planning.goal.goal_plan import GoalPlan
    from pipeline.planning.int8_candidate import Candidate
    from pipeline.recipe import GoalSection
    from pipeline.recipe.goal import Budget
    from pipeline.report import Report
    from pipeline.report.choice_record import MeasuredChoice
    from pipeline.runner.report_rows import Outcome

__all__ = ["goal_entry", "with_goal"]


def goal_entry(
    chain: Chain, target: Target, outcomes: Sequence[Outcome], plan: GoalPlan | None, form: Candidate
) -> GoalEntry | None:
    """None where no goal was set; what cannot be measured here, accuracy too, counts as missed.

    Args:
        chain: The run.
        target: Whose result it is.
        outcomes: Of all stages.
        plan: For the goal; None where nothing may go for it.
        form: The best INT8 one, shipped or not.
    """
    goal = chain.plan.recipe.goal
    budgets = Budgets(goal.budgets())
    if not budgets.every and "goal" not in goal.require:
        return None
    shipped = {budget.quantity: _of_shipped(chain, target, outcomes, budget, form) for budget in budgets.every}
    timed = next((value for value in shipped.values() if isinstance(value, TimeRatio)), None)
    found: dict[str, float] = {
        name: value.ratio if isinstance(value, TimeRatio) else value
        for name, value in shipped.items()
        if value is not None
    }
    before, last = outcomes[0].measured, outcomes[-1].measured
    precision = outcomes[-1].result.artifact.facts["precision"]
    lost = None if before is None or last is None else drop(before, last)
    held = len(found) == len(budgets.every) and budgets.missed(found) is None
    met = held and lost is not None and is_spared(lost, goal)
    told = [*([budgets.told(found)] if budgets.every else []), _accuracy_told(lost, goal)]
    doubts = [f"latency {timed.interval}"] if timed else []
    if last is not None and budgets.ask_for_seconds:
        doubts += doubt_of_latency(last)
    if plan is not None and not budgets.are_counted:
        doubts += _planned_otherwise(plan, target, precision)
    elif plan is None and not held:
        why = (f"{name}: {chain.plan.skipped[name]}" for name in ("downsample", "prune") if name in chain.plan.skipped)
        doubts.append(f"nothing was done for it, since the stages that could are left out ({'; '.join(why)})")
    if not met:
        elsewhere = plan is None or (not budgets.are_counted and bool(_planned_otherwise(plan, target, precision)))
        ships = None if elsewhere else plan
        causes = [*causes_of_cost(budgets, found, timed, ships), *causes_of_loss(outcomes, lost, goal)]
        doubts += [f"what holds it back: {'; '.join(causes)}"] if causes else []
    return GoalEntry(
        asked={
            **{budget.quantity: budget.text for budget in budgets.every},
            "drop": f"{100 * goal.max_accuracy_drop:g}%",
        },
        relative=tuple(budget.quantity for budget in budgets.every if budget.relative),
        met=met,
        sentence=f"the goal is {'met' if met else 'missed'}: {'; '.join([*told, *doubts])}",
        found=found,
        accuracy_drop=lost,
        limit_s=_limit(budgets, plan, target, precision),
        precision=None if plan is None else plan.precision,
    )


def _accuracy_told(lost: float | None, goal: GoalSection) -> str:
    told = "accuracy not measured here" if lost is None else points_lost(lost)
    return f"{told} (at most {points(goal.max_accuracy_drop)} may be)"


def _planned_otherwise(plan: GoalPlan, target: Target, precision: str) -> list[str]:
    """What of the plan is not about what is shipped."""
    elsewhere = [f"planned on {plan.target}"] if plan.target != target.name else []
    return elsewhere + ([f"planned in {plan.precision}, and {precision} ships"] if plan.precision != precision else [])


def _limit(budgets: Budgets, plan: GoalPlan | None, target: Target, precision: str) -> float | None:
    """The latency that was asked for, seconds; None where none was, or what it is a fraction of was not measured.

    A plan measured the unpruned network on one target and in one precision, which may not be those of what ships.
    """
    for budget in budgets.every:
        if budget.quantity == "latency" and not budget.relative:
            return budget.most
        if budget.quantity == "latency" and plan is not None and not _planned_otherwise(plan, target, precision):
            return budget.most * plan.networks.tried[0].figures["p50_s"]
    return None


def _of_shipped(
    chain: Chain, target: Target, outcomes: Sequence[Outcome], budget: Budget, form: Candidate
) -> float | TimeRatio | None:
    """What is shipped has of a quantity; a fraction is that of the unpruned network in the same precision and form.

    One of the latency comes with its interval, unless nothing went. None where it cannot be measured.
    """
    last = outcomes[-1]
    value = absolute_value(budget.quantity, last.facts, last.measured)
    if value is None or not budget.relative:
        return value
    acted = {"prune", "downsample"} if chain.plan.size_is_open else {"prune"}
    networks = [one for one in outcomes if one.result.artifact.kind is ArtifactKind.NETWORK]
    whole = next(one for one in reversed(networks) if one.result.stage not in acted)
    if whole is networks[-1]:
        return 1.0
    unpruned = whole.result.artifact
    if budget.is_counted:
        return value / float(unpruned.facts[budget.quantity])
    as_before = on_few_images(chain.fed(whole.preprocess))
    shipped = last.result.artifact
    if shipped.facts["precision"] == "int8" and form.float_nodes:
        calibrated = next(one.result.artifact for one in outcomes if one.result.stage == "calibrate")
        as_calibrated = quickly_calibrated(as_before, unpruned)
        form = form.transferred(read_calibration(calibrated), read_calibration(as_calibrated))
    options = shipped.facts["engine"]["options"]  # the unpruned one would ship with such too
    engine = engine_in(as_before, target, unpruned, shipped.facts["precision"], form, options)
    if budget.quantity == "latency":
        return kept_time_ratio(chain, shipped, engine, target.distributions)
    of_unpruned = absolute_value(budget.quantity, unpruned.facts, as_before.measured(engine, target))
    return None if of_unpruned is None else value / of_unpruned


def with_goal(report: Report, plan: GoalPlan | None, chain: Chain, shipped: Outcome) -> Report:
    """The report with how its goal was planned; where no channel had to go for it, that is said in the row of prune.

    Args:
        report: Of the run.
        plan: As of :func:`goal_entry`.
        chain: The run.
        shipped: The last outcome.
    """
    if report.goal is None or plan is None:
        return report
    networks = plan.networks
    if plan.target == report.target:  # figures of another target stand for themselves
        networks = _with_shipped(networks, report.goal, chain, shipped)
    choices = (*(one for one in (plan.before, plan.ways) if one), networks, *report.choices)
    stages = report.stages
    if report.stage("prune") is None:
        metric = stages[0].accuracy.metric
        note = f"all channels stay: {plan.networks.reason}"
        row = StageRow(name="prune", status="skipped", accuracy=AccuracyFigure(metric=metric), notes=(note,))
        place = next(number for number, one in enumerate(stages) if one.name == "calibrate")
        stages = (*stages[:place], row, *stages[place:])
    return report.model_copy(update={"stages": stages, "choices": choices})


def _with_shipped(networks: MeasuredChoice, goal: GoalEntry, chain: Chain, shipped: Outcome) -> MeasuredChoice:
    """The choice with what came of the network that was taken, where all that was measured."""
    measured = shipped.measured
    budgets = Budgets(chain.plan.recipe.goal.budgets())
    if measured is None or len(goal.found) < len(budgets.every):
        return networks
    figures = {"p50_s": measured.p50_s, "accuracy": measured.accuracy.value, "params": float(shipped.facts["params"])}
    value = {
        "label": SHIPPED,
        "figures": {**figures, **budgets.figures(goal.found)},
        "outcome": f"{networks.chosen} as it ships: {budgets.outcome(goal.found)}",
    }
    return networks.model_copy(update={"tried": (*networks.tried, Tried.model_validate(value))})
