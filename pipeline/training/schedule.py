"""How long and how fast a network is trained; light to import, since it is part of the recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

__all__ = ["Schedule"]


class Schedule(BaseModel):
    """AdamW under a one-cycle learning rate.

    One cycle with warm-up: Smith and Topin, "Super-Convergence", 2018 (arXiv:1708.07120). AdamW: Loshchilov and
    Hutter, 2019 (arXiv:1711.05101). Gradients are clipped because networks without pretrained weights meet their
    largest gradients in the first steps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: PositiveInt = Field(default=5, description="passes over the training images")
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = Field(default=1e-3, description="the peak of the cycle")
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warmup: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.25, description="fraction of the steps that rise")
    clip_norm: PositiveFloat = Field(default=1.0, description="largest norm of a step's gradient")
    augment: tuple[Literal["flip", "shift"], ...] = Field(
        default=(), description="'flip' mirrors half of the images, 'shift' moves them by up to an eighth"
    )
