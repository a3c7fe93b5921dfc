"""How a student is taught; light to import, since it is part of the recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

__all__ = ["INSIDE", "OF_ANSWERS", "OF_LAYERS", "Teaching"]

OF_ANSWERS = ("kd", "dist", "dkd")
"""Losses that compare how likely each class is, as student and teachers answer."""
OF_LAYERS = ("features", "attention")
"""Losses that compare layers of student and teacher, pair by pair, in the order in which they are added up."""
INSIDE = frozenset((*OF_LAYERS, "pkd", "scores", "iou", "ld"))
"""Losses that look into a teacher's network; the others are about what it answers."""


class Teaching(BaseModel):
    """Which losses draw the student to its teachers, and how strongly."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: PositiveFloat = Field(default=4.0, description="softens the answers before they are compared")
    weight: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.7, description="share of the teachers in the loss; the labels have the rest"
    )
    losses: dict[
        Literal["kd", "dist", "dkd", "features", "attention", "pkd", "boxes", "scores", "iou", "ld"], PositiveFloat
    ] = Field(
        default={"kd": 1.0},
        min_length=1,
        description="what is compared, and its weight: 'kd' the answers (Hinton), 'dist' their relations, "
        "'dkd' the label's class and the others apart, 'features' layers through learned projections (FitNets), "
        "'attention' where layers look; of detectors 'pkd' the feature pyramids (by correlation), 'boxes' what "
        "teachers find, as truth, and of those with the same anchors, place by place, 'scores' the classes, 'iou' the "
        "boxes, 'ld' their distributions",
    )
    standardise: bool = Field(
        default=False, description="logits of every image scaled to mean 0 and deviation 1 before they are compared"
    )
    weighting: Literal["uniform", "confidence"] | tuple[PositiveFloat, ...] = Field(
        default="uniform",
        description="teachers are averaged alike, by how sure each is of an image, or by a weight each",
    )

    @property
    def compares_answers(self) -> bool:
        """Whether any of the losses is about what teachers answer, of which they are asked beforehand."""
        return not INSIDE.issuperset(self.losses)
