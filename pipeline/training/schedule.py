"""How long and how fast a network is trained; light to import, since it is part of the recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

__all__ = ["Augmentation", "Schedule"]

Augmentation = Literal["flip", "shift", "colour", "erase", "randaugment", "trivialaugment"]
"""See :func:`pipeline.training.augmentation.augmented`."""

_START, _END = 1 / 25, 1e-4
"""The rate begins at this fraction of the peak, and ends at that fraction of its beginning."""

_ASKED_VIEWS = 4
"""As many as cost little beside a training of a few epochs."""


class Schedule(BaseModel):
    """An optimiser under a learning rate that rises and falls once, along half cosines.

    One cycle: Smith and Topin, "Super-Convergence", 2018 (arXiv:1708.07120). AdamW: Loshchilov and Hutter, 2019
    (arXiv:1711.05101). Gradients are clipped because networks without pretrained weights meet their largest gradients
    in the first steps. Auxiliary classifiers count three tenths: Szegedy et al., "Going Deeper with Convolutions", 2015
    (arXiv:1409.4842), section 5. Smoothed labels: the same, "Rethinking the Inception Architecture", 2015
    (arXiv:1512.00567), section 7.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: PositiveInt = Field(default=5, description="passes over the training images")
    batch_size: Annotated[int, Field(ge=2)] = Field(default=32, description="images a step")
    learning_rate: PositiveFloat = Field(default=1e-3, description="the peak of the cycle")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.05, description="of weight tensors; norms and biases have none"
    )
    warmup: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.25, description="fraction of the steps that rise")
    clip_norm: PositiveFloat = Field(default=1.0, description="largest norm of a step's gradient")
    auxiliary_weight: Annotated[float, Field(ge=0)] = Field(
        default=0.3, description="weight of each auxiliary classifier's loss, for networks that have such"
    )
    augment: tuple[Augmentation, ...] = Field(
        default=("shift",),
        description="what changes from view to view of an image: 'flip', 'shift' by up to an eighth, 'colour', "
        "'erase', 'randaugment', 'trivialaugment'",
    )
    views: PositiveInt | None = Field(
        default=None,
        description="how many views of an image there are, epoch after epoch; default: one an epoch, and at most 4 "
        "where teachers are asked about each",
    )
    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        default="adamw", description="'sgd' has Nesterov's momentum of 0.9 and wants a rate some thirty times as high"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="share of every label that goes to all classes alike"
    )
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="the result is a moving average of the weights with this decay a step; 0: the last ones",
    )

    @property
    def asked_views(self) -> int:
        """How many views of each image a teacher is asked about."""
        if not self.augment:
            return 1
        return self.views or min(self.epochs, _ASKED_VIEWS)

    def with_teachers(self) -> Schedule:
        """The same on the very views that teachers are asked about."""
        return self.model_copy(update={"views": self.asked_views})

    def view_of(self, epoch: int) -> int:
        """Which view of the images an epoch, counted from 0, sees."""
        return epoch if self.views is None else epoch % self.views

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
