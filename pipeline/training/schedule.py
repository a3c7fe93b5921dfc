"""How long and how fast a network is trained; light to import, since it is part of the recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

__all__ = ["MOVING_KINDS", "PUTTING_TOGETHER_KINDS", "Augmentation", "Schedule"]

Augmentation = Literal[
    "flip", "shift", "scale", "affine", "colour", "erase", "randaugment", "trivialaugment", "mosaic", "mixup", "cutmix"
]
"""See :func:`pipeline.training.augmentation.augmented`, and :mod:`pipeline.training.mosaic` and
:mod:`pipeline.training.mixing` for what puts several images into one."""

PUTTING_TOGETHER_KINDS: frozenset[Augmentation] = frozenset(("mixup", "cutmix", "mosaic"))
"""What is said of an image alone does not hold for such a view of it."""

MOVING_KINDS: frozenset[Augmentation] = frozenset(("flip", "shift", "scale", "affine"))
"""Nor does what is said of where something is, for such a one."""

_START, _END = 1 / 25, 1e-4
"""The rate begins at this fraction of the peak, and ends at that fraction of its beginning."""

_MILESTONES = (0.5, 0.75)
"""A step curve falls to a tenth at these fractions of a training: He et al., 2015 (arXiv:1512.03385), section 4.2."""

_LEAST_ASKED, _MOST_ASKED = 4, 16
"""Views: the former cost little beside a training of a few epochs, the latter taught most of what was tried
(docs/distillation.md)."""

_DECAYS = {"adamw": 0.05, "adam": 5e-4, "sgd": 5e-4}
"""AdamW's is apart from the gradient. Of the others it is a part of that, and one as large would leave nothing of the
weights after a few epochs."""


class Schedule(BaseModel):
    """An optimiser under a learning rate that rises and falls, on views of the images.

    One cycle: Smith and Topin, "Super-Convergence", 2018 (arXiv:1708.07120). AdamW: Loshchilov and Hutter, 2019
    (arXiv:1711.05101). Gradients are clipped because networks without pretrained weights meet their largest gradients
    in the first steps. Auxiliary classifiers count three tenths: Szegedy et al., "Going Deeper with Convolutions", 2015
    (arXiv:1409.4842), section 5. Smoothed labels: the same, "Rethinking the Inception Architecture", 2015
    (arXiv:1512.00567), section 7. Cosine: Loshchilov and Hutter, "SGDR", 2017 (arXiv:1608.03983), equation 5, without
    restarts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: PositiveInt = Field(default=5, description="passes over the training images")
    batch_size: Annotated[int, Field(ge=2)] = Field(default=32, description="images a step")
    learning_rate: PositiveFloat | None = Field(
        default=None,
        description="its peak; default: 1e-3, and 1e-4 of networks without normalisation that have a layer of "
        "thousands of inputs, such as VGG-16 and AlexNet",
    )
    curve: Literal["one-cycle", "cosine", "step", "constant"] = Field(
        default="one-cycle",
        description="after the rise the learning rate falls along half a cosine ('one-cycle', which also rises along "
        "one; 'cosine'), to a tenth after half and three quarters of the steps ('step'), or never ('constant')",
    )
    weight_decay: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="of weight tensors; norms and biases have none; default: 0.05 of 'adamw', 5e-4 of the others, "
        "whose decay is part of the gradient",
    )
    warmup: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.25, description="fraction of the steps that rise")
    clip_norm: PositiveFloat = Field(default=1.0, description="largest norm of a step's gradient")
    auxiliary_weight: Annotated[float, Field(ge=0)] = Field(
        default=0.3, description="weight of each auxiliary classifier's loss, for networks that have such"
    )
    augment: tuple[Augmentation, ...] = Field(
        default=("shift",),
        description="what changes from view to view of an image: 'flip', 'shift' by up to an eighth, 'scale' to 0.5 "
        "to 1.5 times its size, 'affine' (turned by up to 10 degrees, sheared by 2), 'colour', 'erase', 'randaugment', "
        "'trivialaugment'; 'mixup' and 'cutmix' put another image into it, 'mosaic' three (detectors)",
    )
    views: PositiveInt | None = Field(
        default=None,
        description="how many views of an image there are, epoch after epoch; default: one an epoch, and where "
        "teachers are asked about each 4, or half of the epochs up to 16",
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
    balanced: bool = Field(
        default=False, description="draw the images of all classes alike often, however many each class has"
    )
    patience: PositiveInt | None = Field(
        default=None,
        description="end after so many epochs without a better one on the validation images, which data.validation "
        "holds back",
    )
    precision: Literal["auto", "float32", "bf16", "fp16"] = Field(
        default="auto",
        description="what the networks compute in, their weights stay float32; 'auto': bf16 on GPUs that multiply it, "
        "float32 elsewhere",
    )
    compiled: bool = Field(
        default=False, description="compile the network with torch.compile: a minute at the start, then faster steps"
    )

    @property
    def decay(self) -> float:
        """Of weight tensors, as said or as the optimiser wants it."""
        return _DECAYS[self.optimizer] if self.weight_decay is None else self.weight_decay

    @property
    def asked_views(self) -> int:
        """How many views of each image a teacher is asked about."""
        if not self.augment:
            return 1
        return self.views or min(self.epochs, max(_LEAST_ASKED, min(self.epochs // 2, _MOST_ASKED)))

    def with_teachers(self) -> Schedule:
        """The same on the very views that teachers are asked about."""
        return self.model_copy(update={"views": self.asked_views})

    def view_of(self, epoch: int) -> int:
        """Which view of the images an epoch, counted from 0, sees."""
        return epoch if self.views is None else epoch % self.views

    def rate_at(self, steps: int) -> Callable[[int], float]:
        """The learning rate of each step as a fraction of its peak, for a training of ``steps`` steps.

        One cycle rises from a twenty-fifth to 1 over the warm-up and falls to a ten-thousandth of where it began; the
        others rise from there in a straight line.
        """
        rise = max(0.0, self.warmup * (steps + 1) - 1)  # nothing rises in a training of three steps

        def fraction(step: int) -> float:
            if step < rise:
                return _rising(self.curve, step / rise)
            return _falling(self.curve, min(1.0, (step - rise) / (steps - rise)), step / steps)

        return fraction


def _rising(curve: str, progress: float) -> float:
    return _between(_START, 1.0, progress) if curve == "one-cycle" else _START + (1 - _START) * progress


def _falling(curve: str, progress: float, done: float) -> float:
    """After the rise.

    Args:
        curve: Its name.
        progress: Fraction of the steps after the rise.
        done: Fraction of all steps.
    """
    match curve:
        case "step":
            return 0.1 ** sum(done >= milestone for milestone in _MILESTONES)
        case "constant":
            return 1.0
        case _:
            return _between(1.0, _START * _END if curve == "one-cycle" else 0.0, progress)


def _between(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
