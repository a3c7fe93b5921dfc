"""Which schedules of a recipe a run may train by, each under its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.chain.goal_checks import goal_decides_size
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.recipe import Recipe

__all__ = ["asked_schedules"]

_TRAINING = ("baseline", "distill", "downsample", "prune")


def asked_schedules(recipe: Recipe, skipped: Mapping[str, str]) -> dict[str, Schedule]:
    """Key of the recipe, such as ``distill.teacher_schedule``, to what it says, of the stages that are not left out.

    Whether a baseline has to be trained at all is known once its weights are loaded: its schedule is always among them,
    and where it has none of its own, that of distill, by which it is trained then.

    Args:
        recipe: As the user gave it, with what the task fills in.
        skipped: The stages that are left out.
    """
    found = {}
    for stage in _TRAINING:
        section = getattr(recipe, stage)
        idle = stage == "downsample" and not (section.acts or goal_decides_size(recipe, skipped))
        if stage in skipped or idle:
            continue
        for name in type(section).model_fields:
            if isinstance(schedule := getattr(section, name), Schedule):
                found[f"{stage}.{name}"] = schedule
    if recipe.baseline.schedule is None:
        found["distill.schedule"] = recipe.distill.schedule
    return found
