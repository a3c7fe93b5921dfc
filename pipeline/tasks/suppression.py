"""The suppression of overlapping boxes as a graph may do it, in numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

__all__ = ["Suppression"]

_Share = Annotated[float, Field(ge=0, le=1)]


class Suppression(BaseModel):
    """What becomes of candidates.

    Attributes:
        labels: Every candidate's label is below it.
        score: Candidates of a higher score are looked at.
        iou: Of two boxes of one label that overlap by more, the less likely one goes; intersection over union.
        most: So many are left at most, the likeliest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    labels: PositiveInt
    score: _Share
    iou: _Share
    most: PositiveInt
