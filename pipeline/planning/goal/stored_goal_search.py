"""Planning for a goal once: what was found is kept in the store like a stage's result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.environment import versions
from pipeline.planning.goal.budgets import Budgets
from pipeline.planning.goal.goal_plan import GoalPlan
from pipeline.planning.goal.shipped_precision import searched_plan
from pipeline.planning.stored_search import once, search_components
from pipeline.planning.time_ratio import comparison_settings
from pipeline.stages.downsample import Downsample
from pipeline.stages.prune import Prune

if TYPE_CHECKING:
    from exporters.target import Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import Plan
    from pipeline.stage import Stage

__all__ = ["GOAL", "as_planned", "goal_components", "plan_for_goal", "planning_targets", "waits_for_goal"]

GOAL = "goal"
"""What stands in place of a stage's name in the key."""

_VERSION = 14
_OF_PRUNE = {"importance", "keep", "round_to"}


def planning_targets(plan: Plan) -> list[Target]:
    """Where a goal may be planned: on the first target that runs here, of the candidates of ``auto`` on each such.

    What is counted is as much on all of them.
    """
    running = [target for target in plan.targets if not plan.cannot_run(target)] or [plan.targets[0]]
    counted = Budgets(plan.recipe.goal.budgets()).are_counted
    return running if plan.fastest_only and not counted else running[:1]


def goal_components(plan: Plan, target: Target, network: Artifact) -> dict[str, Json]:
    """Everything that a plan depends on."""
    found = search_components(
        plan,
        target,
        network,
        sections=("calibrate", "export", "build", "measure"),
        splits=("train", "validation", "calibration", "test"),
    )
    found["versions"] |= versions(("torch", "torch-pruning"))
    goal: dict[str, Json] = {budget.quantity: budget.text for budget in plan.recipe.goal.budgets()}
    if "int8" in plan.recipe.goal.require:
        goal["require"] = ["int8"]  # then it is planned in INT8 even where that is slower
    return {
        "stage": GOAL,
        "version": _VERSION,
        **found,
        "goal": goal,
        "compared": comparison_settings(plan),
        "levers": _levers(plan),
    }


def _levers(plan: Plan) -> dict[str, Json]:
    """What may go, and how it is tried: where pixels, blocks and channels compete, recoveries are part of it."""
    recipe = plan.recipe
    found: dict[str, Json] = {}
    if "prune" not in plan.skipped:
        weighs = plan.size_is_open or plan.depth_is_open
        found["prune"] = recipe.prune.model_dump(mode="json", include=None if weighs else _OF_PRUNE)
    if plan.size_is_open:
        found["downsample"] = recipe.downsample.model_dump(mode="json")
    return found


def waits_for_goal(plan: Plan, stage: Stage) -> bool:
    """Whether a goal decides what the stage does."""
    if stage.name == "downsample":
        return plan.size_is_open
    return stage.name == "prune" and bool(plan.recipe.goal.budgets())


def as_planned(stage: Stage, plan: GoalPlan) -> Stage | None:
    """The stage with what was planned for it; None where that leaves it nothing to do.

    Args:
        stage: Downsample or prune, as the recipe has it.
        plan: For the goal.
    """
    if isinstance(stage, Downsample):
        return stage.model_copy(update={"size": plan.size}) if plan.size else None
    if isinstance(stage, Prune):
        return stage.within(plan.channels, plan.blocks) if plan.channels or plan.blocks else None
    return stage


def plan_for_goal(chain: Chain, target: Target, network: Artifact) -> GoalPlan:
    """The pixels, blocks and channels that stay for a goal on a target: as given, from the store, or searched for.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.

    Raises:
        GoalError: when a budget cannot be held whatever goes.
        ParityError: when what is given was planned for another network, or one that is cut does not compute the same in
            the precision that is planned for.
    """
    if chain.given is not None:
        return chain.given.about_network(network.sha256, Budgets(chain.plan.recipe.goal.budgets()).asked)
    components = goal_components(chain.plan, target, network)
    return once(GoalPlan, components, chain.store, lambda: searched_plan(chain, target, network))
