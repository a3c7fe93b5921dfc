"""A new plan for a goal, made in the precision that ships.

In which that will be is known of the unpruned network alone before there is a plan, and of a narrow one it is another:
its layers have too few channels for INT8 kernels to save what rounding costs.
"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

from exporters.target import HALVES
from pipeline.errors import GoalError, ParityError
from pipeline.planning.goal.goal_search import GoalSearch
from pipeline.planning.goal.measured_networks import fastest, nothing_is_measured, planned_precision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.planning.goal.goal_plan import GoalPlan
    from pipeline.planning.time_ratio import TimeRatio

__all__ = ["searched_plan"]

_CLEARLY = 0.97
"""Of the time in one precision: what takes less in another one hardly ships in the first, in a better form either."""


def searched_plan(chain: Chain, target: Target, network: Artifact) -> GoalPlan:
    """Search in what the unpruned network is fastest in, and once more where what is left is faster in something else.

    A size in bytes is planned for once: it decides itself in what the network ships.

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
    is_settled = (
        not is_free
        or "int8" in recipe.goal.require
        or isfinite(recipe.goal.most_bytes)
        or nothing_is_measured(chain, target)
    )
    search, halves = GoalSearch(chain, target, network, precision), True
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
        if is_settled or precision == "float":
            raise
        why = f"in {precision} it cannot be held: {error.got}"
        chain.progress.note(f"goal: planned anew in float, since {why}")
        return _told(_held_in_float(chain, target, network, error), f"planned in float, since {why}")
    return plan if is_settled else _as_it_ships(chain, target, network, search, plan, halves=halves)


def _held_in_float(chain: Chain, target: Target, network: Artifact, refused: GoalError) -> GoalPlan:
    """A plan in float, of which narrow networks are fastest; what was refused first is, where it is none either."""
    try:
        return GoalSearch(chain, target, network, "float").run()
    except GoalError:
        raise refused from None


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
    if times[other].ratio >= _CLEARLY * times[own].ratio:
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
    if fastest(back) != other:
        return _told(plan, f"{why}, and of what a plan in {other} leaves {_compared(back, other, fastest(back))}")
    return replace(_told(anew, f"planned in {other}, since {why}"), before=plan.networks)


def _compared(times: Mapping[Precision, TimeRatio], *precisions: Precision) -> str:
    """``int8 takes 1.25x the time of float, 1.22x to 1.28x side by side``."""
    return " and ".join(f"{one} {times[one].told('float')}" for one in precisions if one != "float")


def _told(plan: GoalPlan, more: str) -> GoalPlan:
    return replace(plan, networks=plan.networks.model_copy(update={"reason": f"{plan.networks.reason}; {more}"}))
