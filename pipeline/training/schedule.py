"""How long and how fast a network is trained; light to import, since it is part of the recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

__all__ = ["Schedule"]

_START, _END = 1 / 25, 1e-4
"""The rate begins at this fraction of the peak, and ends at that fraction of its beginning."""


class Schedule(BaseModel):
    """AdamW under a learning rate that rises and falls once, along half cosines.

    One cycle: Smith and Topin, "Super-Convergence", 2018 (arXiv:1708.07120). AdamW: Loshchilov and Hutter, 2019
    (arXiv:1711.05101). Gradients are clipped because networks without pretrained weights meet their largest gradients
    in the first steps. Auxiliary classifiers count three tenths: Szegedy et al., "Going Deeper with Convolutions", 2015
    (arXiv:1409.4842), section 5.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: PositiveInt = Field(default=5, description="passes over the training images")
    batch_size: Annotated[int, Field(ge=2)] = Field(default=32, description="images a step")
    learning_rate: PositiveFloat = Field(default=1e-3, description="the peak of the cycle")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.05, description="AdamW's, of every parameter")
    warmup: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.25, description="fraction of the steps that rise")
    clip_norm: PositiveFloat = Field(default=1.0, description="largest norm of a step's gradient")
    auxiliary_weight: Annotated[float, Field(ge=0)] = Field(
        default=0.3, description="weight of each auxiliary classifier's loss, for networks that have such"
    )
    augment: tuple[Literal["flip", "shift"], ...] = Field(
        default=(), description="'flip' mirrors half of the images, 'shift' moves them by up to an eighth"
    )

    def rate_at(self, steps: int) -> Callable[[int], float]:
        """The learning rate of each step as a fraction of its peak, for a training of ``steps`` steps.

        Rises from a twenty-fifth to 1 over the warm-up and falls to a ten-thousandth of where it began.
        """
        rise = max(1e-9, self.warmup * (steps + 1) - 1)  # nothing rises in a training of three steps

        def fraction(step: int) -> float:
            if step < rise:
                return _between(_START, 1.0, step / rise)
            return _between(1.0, _START * _END, min(1.0, (step - rise) / (steps - rise)))

        return fraction


def _between(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
