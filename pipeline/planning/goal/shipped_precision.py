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
from pipeline.planning.goal.measured_networks import nothing_is_measured, planned_precision

if TYPE_CHECKING:
    from exporters.target import Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.planning.goal.goal_plan import GoalPlan

__all__ = ["searched_plan"]

_CLEARLY = 0.97
"""Of the time in one precision: what takes less in another one hardly ships in the first, in a better form either."""


def searched_plan(chain: Chain, target: Target, network: Artifact) -> GoalPlan:
    """Search in what the unpruned network is fastest in, and once more in float where what is left is faster in that.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.

    Raises:
        GoalError: when a budget cannot be held whatever goes.
        ParityError: when a network on the way does not compute the same in the precision that it is planned in.
    """
    recipe = chain.plan.recipe
    precision, is_free = planned_precision(chain, target, network), recipe.build.precision == "auto"
    search = GoalSearch(chain, target, network, precision)
    try:
        plan = search.run()
    except ParityError as error:
        if not is_free or precision not in HALVES:
            raise
        chain.progress.note(f"goal: planned anew without {precision}: {error.what}, {error.got}")
        search = GoalSearch(chain, target, network, planned_precision(chain, target, network, halves=False))
        plan = search.run()
    settled = not is_free or "int8" in recipe.goal.require or nothing_is_measured(chain, target)
    if settled or search.precision == "float":
        return plan
    return _in_float_where_faster(chain, target, network, search, plan)


def _in_float_where_faster(
    chain: Chain, target: Target, network: Artifact, search: GoalSearch, plan: GoalPlan
) -> GoalPlan:
    """The plan, or one in float where that ships: then of both networks float is the faster form.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.
        search: That was made, in another precision.
        plan: What it found.
    """
    ratio = search.ratio_in("float", plan)
    if ratio.ratio >= _CLEARLY:
        return plan
    why = f"what a plan in {search.precision} leaves takes {ratio.ratio:.2f}x its time in float"
    chain.progress.note(f"goal: planned anew in float, since {why}")
    in_float = GoalSearch(chain, target, network, "float")
    try:
        anew = in_float.run()
    except GoalError as error:
        return _told(plan, f"{why}, in which the goal cannot be held: {error.got}")
    back = in_float.ratio_in(search.precision, anew)
    if back.ratio < 1:
        return _told(plan, f"{why}, and what a plan in float leaves {back.ratio:.2f}x in {search.precision}")
    return _told(anew, f"planned in float, since {why}")


def _told(plan: GoalPlan, more: str) -> GoalPlan:
    return replace(plan, networks=plan.networks.model_copy(update={"reason": f"{plan.networks.reason}; {more}"}))
