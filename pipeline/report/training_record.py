"""The curves of what was trained, as data."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["EpochEntry", "TrainingEntry"]


class EpochEntry(BaseModel):
    """What an epoch came to.

    Attributes:
        steps: Done by its end.
        loss: Mean over its steps.
        learning_rate: Of its last step.
        validation: The task's metric on images that were held back; null without such.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: Annotated[int, Field(ge=0)]
    loss: float
    learning_rate: float
    validation: float | None = None


class TrainingEntry(BaseModel):
    """One training, epoch by epoch.

    Attributes:
        stage: That trained, ``teacher`` for what a teacher needed.
        name: For people.
        epochs: All of it.
        best: The epoch whose weights were kept, from 0, where images were held back; null: the last one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    name: str
    epochs: tuple[EpochEntry, ...]
    best: int | None = None
