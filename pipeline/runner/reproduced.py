"""A recipe for the target and the goal of the run that is to be reproduced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.auto import AUTO
from pipeline.errors import UsageError
from pipeline.planning.goal.budgets import Budgets

if TYPE_CHECKING:
    from pipeline.planning.given_decisions import Decisions
    from pipeline.recipe import Recipe

__all__ = ["for_given_target"]


def for_given_target(recipe: Recipe, given: Decisions | None) -> Recipe:
    """The recipe with the target that was chosen, where it leaves that open; as it is where nothing is reproduced.

    Raises:
        UsageError: when it asks for other targets or another goal.
    """
    if given is None:
        return recipe
    given.check_goal(Budgets(recipe.goal.budgets()).asked)
    if AUTO in recipe.targets:
        return recipe.model_copy(update={"targets": (given.target,)})
    if recipe.targets != (given.target,):
        raise UsageError(
            "the earlier run was for another target",
            where=str(given.file),
            got=", ".join(recipe.targets),
            expected=given.target,
            fix="each target has a decisions.json of its own: reproduce one at a time",
        )
    return recipe
