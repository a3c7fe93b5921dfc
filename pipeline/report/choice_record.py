"""What was chosen by measuring, as data: among what, what was asked, what was tried, and why this one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SHIPPED", "Figure", "MeasuredChoice", "Tried"]

SHIPPED = "shipped"
"""Label of a network as it is shipped, after its recovery, beside those it was planned from."""

Figure = Literal[
    "noise",
    "agreement",
    "time_ratio",
    "time_ratio_low",
    "time_ratio_high",
    "accuracy_drop",
    "size_bytes",
    "memory_bytes",
    "p50_s",
    "latency_ratio",
    "latency_ratio_low",
    "latency_ratio_high",
    "macs_ratio",
    "params_ratio",
    "size_ratio",
    "memory_ratio",
    "macs",
    "params",
    "channels_left",
    "accuracy",
    "loss",
]
"""What is measured of a candidate: seconds, bytes, pieces, fractions of 1; a ``_ratio`` is one of the unpruned network,
``time_ratio`` of the float graph side by side; ``_low`` and ``_high`` are the ends of its interval. ``noise``: energy
of the output's error over that of the output, and ``agreement``: share of the same answers, both against the float
graph on calibration images. ``accuracy_drop``: against it on the test split, below 0 for a gain. ``accuracy``: of
networks on at most 512 test images, which chooses nothing, and of what ships on all; of ways to a goal, as ``loss``
(nats), on training images that they were not shown."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Tried(_Record):
    """A candidate, what was measured of it, and what became of it.

    Attributes:
        label: What it is; no other one of the same choice has it.
        figures: What was measured.
        predicted: What of that was predicted before.
        outcome: Whether it was taken, and why not.
    """

    label: str
    figures: dict[Figure, float] = {}
    predicted: dict[Figure, float] = {}
    outcome: str


class MeasuredChoice(_Record):
    """One choice.

    Attributes:
        among: What there was to choose from.
        asked: Key of the recipe to what it says of limits and of the time for looking.
        spent_s: How long looking took when it was done, seconds; without waiting for the measurements of others.
        tried: Every candidate that was looked at, in order.
        chosen: Label of the one that was taken.
        reason: Why, in one sentence with figures.
    """

    among: str
    asked: dict[str, str] = {}
    spent_s: Annotated[float, Field(ge=0)]
    tried: tuple[Tried, ...]
    chosen: str
    reason: str
