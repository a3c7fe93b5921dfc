"""The value of a task's metric, with what each image contributed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.artifact import Json

__all__ = ["Accuracy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """The value of a task's metric, a fraction of 1.

    Attributes:
        metric: Such as ``top1``.
        value: Over all images.
        n: Number of images.
        per_image: What each image contributed, in the order of the split and in the task's own form (classification:
            1.0 hit, 0.0 miss): for paired comparisons, see :meth:`Task.metric_of`.
        decisions: What was decided for each image, as JSON in the task's own form (classification: the class's index),
            in the same order: for the agreement of two models, see :meth:`Task.alike`.
        calibration_error: How far the model's confidence is from how often it is right, a fraction of 1; None where
            the task has no such figure.
        beside: What else is customarily told with the metric: name to a fraction of 1.
    """

    metric: str
    value: float
    n: int
    per_image: tuple[Json, ...]
    decisions: tuple[Json, ...]
    calibration_error: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_json`."""
        tuples = {name: tuple(value[name]) for name in ("per_image", "decisions")}
        return cls(**{**value, **tuples})
