"""Deciding about INT8 once: what was searched for is kept in the store like a stage's result."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.planning.int8_decision import Decision
from pipeline.planning.int8_search import Search
from pipeline.planning.stored_search import once, search_components
from pipeline.recipe import GoalSection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.chain.plan import Plan

__all__ = ["SEARCH", "decide", "decision_components"]

SEARCH = "search"
"""What stands in place of a stage's name in the key."""

_VERSION = 13


def decision_components(
    plan: Plan, target: Target, calibration: Artifact, settled: Precision | None = None
) -> dict[str, Json]:
    """Everything that a decision depends on; of what a goal says of the network itself a size in bytes alone is.

    Args:
        plan: Of the run.
        target: Where it will run.
        calibration: Of the network.
        settled: As of :func:`decide`.
    """
    sections, goal = ("export", "build", "measure"), plan.recipe.goal
    found = search_components(plan, target, calibration, sections=sections, splits=("calibration", "test"))
    # With the defaults of all else, since so it is written in stores.
    of_goal = GoalSection(
        max_accuracy_drop=goal.max_accuracy_drop,
        min_agreement=goal.min_agreement,
        require=tuple(one for one in goal.require if one == "int8"),
        size=goal.size if isfinite(goal.most_bytes) else None,
    )
    of_plan: dict[str, Json] = {} if settled is None else {"settled": settled}
    return {"stage": SEARCH, "version": _VERSION, **found, "goal": of_goal.model_dump(mode="json"), **of_plan}


def decide(
    chain: Chain,
    target: Target,
    artifacts: Mapping[ArtifactKind, Artifact],
    floats: Measured,
    settled: Precision | None = None,
) -> Decision:
    """The best INT8 form for a target and whether it is shipped: as given, from the store, else searched for.

    Args:
        chain: What is run.
        target: Where it will run.
        artifacts: Holds the calibration.
        floats: The float graph on the target.
        settled: What ships unless another precision is clearly faster; None: whatever is fastest.

    Raises:
        AccuracyError: when INT8 is required and does not reach the goal.
        ParityError: when what is given was chosen about another calibration.
    """
    calibration = artifacts[ArtifactKind.CALIBRATION]
    if chain.given is not None:
        return chain.given.about_calibration(calibration.sha256)
    components = decision_components(chain.plan, target, calibration, settled)
    return once(Decision, components, chain.store, lambda: Search(chain, target, artifacts, floats, settled).run())
