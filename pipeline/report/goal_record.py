"""What was asked of a network's cost and what came of it, as data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["GoalEntry", "GoalPoint", "SizeEntry"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GoalPoint(_Record):
    """A network that was measured on the way; before recovery, its accuracy is that of cut channels alone.

    Attributes:
        label: What it is.
        size: Height and width of its input, pixels; null in reports that knew of one size only.
        p50_s: Median time of an inference, seconds.
        accuracy: On the test split.
        params: Of the network.
        predicted: Quantity to what was predicted; empty where nothing was.
        found: Quantity to what was measured: seconds, pieces, bytes, or a fraction of the unpruned network.
        recovered: Whether it has learned to do without its channels.
    """

    label: str
    size: tuple[int, int] | None = None
    p50_s: float
    accuracy: float
    params: int
    predicted: dict[str, float] = {}
    found: dict[str, float] = {}
    recovered: bool = False


class SizeEntry(_Record):
    """An input size with as many channels as the goal leaves at it, after a short recovery.

    Attributes:
        size: Height and width, pixels.
        channels_left: Fraction of all channels that stay.
        accuracy: On training images that the recovery was not shown, a fraction of 1.
        loss: On the same, nats.
    """

    size: tuple[int, int]
    channels_left: float
    accuracy: float
    loss: float


class GoalEntry(_Record):
    """A goal.

    Attributes:
        asked: Quantity to the amount, as typed.
        relative: Quantities whose amount is a fraction of the unpruned network's.
        met: Whether what is shipped holds all of them.
        sentence: That in words, and where not, how near it came.
        found: Quantity to what is shipped has of it.
        limit_s: The latency that was asked for, seconds; of a fraction, that of the unpruned network. Null: none was.
        precision: In which the plan was measured; null where nothing was planned.
        sizes: Input sizes that were weighed against channels, the chosen one first; empty where there was no choice.
        points: What was measured on the way, the unpruned network first; what is shipped last.
    """

    asked: dict[str, str]
    relative: tuple[str, ...] = ()
    met: bool
    sentence: str
    found: dict[str, float] = {}
    limit_s: float | None = None
    precision: str | None = None
    sizes: tuple[SizeEntry, ...] = ()
    points: tuple[GoalPoint, ...] = ()
