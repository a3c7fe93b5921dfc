"""What another form of the network may lose against the float one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.tasks import agreement

if TYPE_CHECKING:
    from pipeline.chain.engine_measurement import Measured
    from pipeline.recipe import GoalSection
    from pipeline.tasks import Task

__all__ = ["AccuracyLimit", "drop", "is_spared"]

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class AccuracyLimit:
    """The goal's limits, judged as the task judges.

    Attributes:
        goal: Of the recipe.
        task: Says when two models decide the same.
    """

    goal: GoalSection
    task: Task

    def holds(self, floats: Measured, other: Measured) -> bool:
        """Whether a form of the network is as accurate, and as like its float form, as the goal asks."""
        least = self.goal.min_agreement
        alike = least is None or self.agreement(floats, other) >= least - _ROUNDING
        return alike and is_spared(drop(floats, other), self.goal)

    def agreement(self, floats: Measured, other: Measured) -> float:
        """Fraction of the test images on which both decide the same."""
        return agreement(self.task, floats.accuracy.decisions, other.accuracy.decisions)


def is_spared(lost: float, goal: GoalSection) -> bool:
    """Whether so much accuracy, a fraction of 1, may be lost."""
    return lost <= goal.max_accuracy_drop + _ROUNDING


def drop(floats: Measured, other: Measured) -> float:
    """What the metric loses, a fraction of 1; negative for a gain."""
    return floats.accuracy.value - other.accuracy.value
