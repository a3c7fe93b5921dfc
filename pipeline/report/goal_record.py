"""What was asked of a network's cost and what came of it, as data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["GoalEntry"]


class GoalEntry(BaseModel):
    """A goal; what was measured on the way is among the report's choices.

    Attributes:
        asked: Quantity to the amount, as typed.
        relative: Quantities whose amount is a fraction of the unpruned network's.
        met: Whether what is shipped holds all of them.
        sentence: That in words, and where not, how near it came.
        found: Quantity to what is shipped has of it.
        limit_s: The latency that was asked for, seconds; of a fraction, that of the unpruned network. Null: none was.
        precision: In which the plan was measured; null where nothing was planned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    asked: dict[str, str]
    relative: tuple[str, ...] = ()
    met: bool
    sentence: str
    found: dict[str, float] = {}
    limit_s: float | None = None
    precision: str | None = None
