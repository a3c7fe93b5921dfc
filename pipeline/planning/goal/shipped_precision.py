"""A new plan for a goal, made in the precision that ships.

In which that will be is known of the unpruned network alone before there is a plan, and of a narrow one it is another:
its layers have too few channels for INT8 kernels to save what rounding costs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporters.target import HALVES
from pipeline.errors import GoalError, ParityError
from pipeline.planning.goal.goal_search import GoalSearch
from pipeline.planning.goal.measured_networks import bytes_bind, fastest, nothing_is_measured, planned_precision
from pipeline.planning.precision_choice import CLEARLY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.planning.goal.goal_plan import GoalPlan
    from pipeline.planning.time_ratio import TimeRatio

__all__ = ["searched_plan"]


def searched_plan(chain: Chain, target: Target, network: Artifact) -> GoalPlan:
    """Search in what the unpruned network is fastest in, and once more where what is left is faster in something else.

    A size in bytes that float does not hold is planned for once: it decides itself in what the network ships.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.

    Raises:
        GoalError: when a budget cannot be held whatever goes.
        ParityError: when a network on the way does not compute the same in the precision that it is planned in.
    """
    recipe, precision = chain.plan.recipe, planned_precision(chain, target, network)
    is_free = recipe.build.precision == "auto"
    counted = nothing_is_measured(chain, target)
    bound = is_free and not counted and bytes_bind(chain, target, network)
    is_settled = not is_free or "int8" in recipe.goal.require or counted or bound
    search, halves = GoalSearch(chain, target, network, precision), True
    try:
        try:
            plan = search.run()
        except ParityError as error:
            if not is_free or precision not in HALVES:
                raise
            chain.progress.note(f"goal: planned anew without {precision}: {error.what}, {error.got}")
            halves = False
            search = GoalSearch(chain, target, network, planned_precision(chain, target, network, halves=False))
            plan = search.run()
    except GoalError as error:
        other = _instead(chain, target, search.precision, error, bound=bound)
        if other is None:
            raise
        why = f"in {search.precision} it cannot be held: {error.got}"
        chain.progress.note(f"goal: tried in {other} too, since {why}")
        held = _held(chain, GoalSearch(chain, target, network, other), error, halves=halves)
        return _told(held, f"planned in {other}, since {why}")
    return plan if is_settled else _as_it_ships(chain, target, network, search, plan, halves=halves)


def _instead(chain: Chain, target: Target, first: Precision, refused: GoalError, *, bound: bool) -> Precision | None:
    """In what a goal may be held that cannot be in the first precision; None where that is nothing.

    Narrow networks are faster in float, and all are smaller in INT8, which ships where it alone holds a size.

    Args:
        chain: What is run.
        target: Where it will run.
        first: Precision.
        refused: What was said in it.
        bound: Whether the unpruned network does not hold a size in bytes in float.
    """
    goal = chain.plan.recipe.goal
    counted = {f"goal.{budget.quantity}" for budget in goal.budgets() if budget.is_counted}
    if chain.plan.recipe.build.precision != "auto" or nothing_is_measured(chain, target) or refused.where in counted:
        return None
    if bound and (first != "int8" or refused.where == "goal.size"):
        return "int8" if first != "int8" and "int8" in target.precisions else None
    return None if first == "float" or "int8" in goal.require else "float"


def _held(chain: Chain, search: GoalSearch, refused: GoalError, *, halves: bool) -> GoalPlan:
    """What is found in another precision; what was refused first is, where that is nothing, or would not ship.

    A fraction of the latency is one of the unpruned network in what ships: held in float, it is of no use where what is
    left is faster in the precision in which it is not held.
    """
    try:
        plan = search.run(unlikely=True)
    except GoalError:
        raise refused from None
    of_latency = any(one.quantity == "latency" and one.relative for one in chain.plan.recipe.goal.budgets())
    if search.precision == "float" and of_latency:
        times = search.times_over_float(plan, halves=halves)
        ships = fastest(times)
        if times[ships].ratio < CLEARLY:
            chain.progress.note(f"goal: of what a plan in float leaves {_compared(times, ships)}")
            raise refused
    return replace(plan, settled=search.precision)


def _as_it_ships(
    chain: Chain, target: Target, network: Artifact, search: GoalSearch, plan: GoalPlan, *, halves: bool
) -> GoalPlan:
    """The plan, or one in the precision that what it leaves is fastest in, where that is what ships then.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.
        search: That was made.
        plan: What it found.
        halves: Whether 16-bit floats may ship.
    """
    times, own = search.times_over_float(plan, halves=halves), search.precision
    other = fastest(times)
    plan = replace(plan, settled=own)
    if times[other].ratio >= CLEARLY * times[own].ratio:
        return plan
    why = f"of what a plan in {own} leaves {_compared(times, own, other)}"
    chain.progress.note(f"goal: planned anew in {other}, since {why}")
    again = GoalSearch(chain, target, network, other)
    try:
        anew = again.run()
    except (GoalError, ParityError) as error:
        if isinstance(error, ParityError) and other not in HALVES:
            raise
        return _told(plan, f"{why}, and in {other} it cannot be held: {error.got}")
    back = again.times_over_float(anew, halves=halves)
    ships = fastest(back)
    if back[ships].ratio < CLEARLY * back[other].ratio:
        return _told(plan, f"{why}, and of what a plan in {other} leaves {_compared(back, other, ships)}")
    return replace(_told(anew, f"planned in {other}, since {why}"), before=plan.networks, settled=other)


def _compared(times: Mapping[Precision, TimeRatio], *precisions: Precision) -> str:
    """``int8 takes 1.25x the time of float, 1.22x to 1.28x side by side``."""
    return " and ".join(f"{one} {times[one].told('float')}" for one in precisions if one != "float")


def _told(plan: GoalPlan, more: str) -> GoalPlan:
    return replace(plan, networks=plan.networks.model_copy(update={"reason": f"{plan.networks.reason}; {more}"}))
