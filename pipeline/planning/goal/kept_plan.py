"""Planning for a goal once: what was found is kept in the store like a stage's result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.chain.keys import key_of
from pipeline.environment import versions
from pipeline.planning.goal.goal_search import GoalSearch
from pipeline.planning.goal.plan_record import GoalPlan
from pipeline.planning.kept_record import keep, kept
from pipeline.stages.downsample import Downsample
from pipeline.stages.prune import Prune

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import Plan
    from pipeline.stage import Stage
    from pipeline.store import Store

__all__ = ["GOAL", "as_planned", "goal_components", "plan_for_goal", "recorded_plan", "waits_for_goal"]

GOAL = "goal"
"""What stands in place of a stage's name in the key."""

_VERSION = 2
_OF_PRUNE = {"importance", "keep", "round_to"}


def goal_components(plan: Plan, target: Target, network: Artifact) -> dict[str, Json]:
    """Everything that a plan depends on, the machine that measured among it; see ``key_components``."""
    recipe, parts = plan.recipe, plan.parts
    return {
        "stage": GOAL,
        "version": _VERSION,
        **{name: getattr(recipe, name).model_dump(mode="json") for name in ("calibrate", "export", "build", "measure")},
        "goal": {budget.quantity: budget.text for budget in recipe.goal.budgets()},
        "levers": _levers(plan),
        "seed": recipe.seed,
        "inputs": {"network": network.sha256},
        "target": target.name,
        "machine": plan.place.identity,
        "subject": {
            "train": parts.dataset.split_identity("train"),
            "validation": parts.dataset.split_identity("validation"),
            "calibration": parts.dataset.split_identity("calibration"),
            "test": parts.dataset.split_identity("test"),
            "preprocess": parts.preprocess.model_dump(mode="json"),
        },
        "versions": {**plan.place.versions(target.distributions), **versions(("torch", "torch-pruning"))},
    }


def _levers(plan: Plan) -> dict[str, Json]:
    """What may go, and how it is tried: where pixels and channels compete, recoveries are part of it."""
    recipe = plan.recipe
    found: dict[str, Json] = {}
    if "prune" not in plan.skipped:
        found["prune"] = recipe.prune.model_dump(mode="json", include=None if plan.size_is_open else _OF_PRUNE)
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
        return stage.model_copy(update={"channels": dict(plan.channels)}) if plan.channels else None
    return stage


def recorded_plan(components: Mapping[str, Json], store: Store) -> GoalPlan | None:
    """What an earlier run planned for exactly this, or None."""
    value = kept(components, store)
    return None if value is None else GoalPlan.from_json(value)


def plan_for_goal(chain: Chain, target: Target, network: Artifact) -> GoalPlan:
    """The pixels and channels that stay so that the goal holds on a target: as given, from the store, or searched for.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.

    Raises:
        GoalError: when a budget cannot be held whatever goes.
        ParityError: when what is given was planned for another network.
    """
    if chain.given is not None:
        return chain.given.about_network(network.sha256)
    components = goal_components(chain.plan, target, network)
    with chain.store.exclusive(key_of(components)):
        known = recorded_plan(components, chain.store)
        if known is not None:
            return known
        start = time.perf_counter()
        found = GoalSearch(chain, target, network).run()
        keep(components, found.to_json(), chain.store, wall_s=time.perf_counter() - start)
    return found
