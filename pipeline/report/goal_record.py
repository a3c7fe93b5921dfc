"""What was asked of a network's cost and what came of it, as data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["GoalEntry"]


class GoalEntry(BaseModel):
    """A goal; what was measured on the way is among the report's choices.

    Attributes:
        asked: Quantity to the amount, as typed; ``drop``: the accuracy that may be lost against the baseline.
        relative: Quantities whose amount is a fraction of the unpruned network's.
        met: Whether what is shipped holds all of them, and has not lost more accuracy.
        sentence: That in words, and where not, how near it came and what holds it back.
        found: Quantity to what is shipped has of it; what was not measured is lacking, and the goal is missed.
        accuracy_drop: What it lost, below 0 for a gain; null where nothing was measured.
        limit_s: The latency that was asked for, seconds; of a fraction, that of the unpruned network. Null: none was,
            or a fraction of what was measured in another precision, or on another target, than what ships.
        precision: In which the plan was measured; null where nothing was planned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    asked: dict[str, str]
    relative: tuple[str, ...] = ()
    met: bool
    sentence: str
    found: dict[str, float] = {}
    accuracy_drop: float | None = None
    limit_s: float | None = None
    precision: str | None = None
