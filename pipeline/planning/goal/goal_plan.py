"""What was decided for a goal, with every network that was measured on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporters.target import Precision  # noqa: TC001 - read again from the store by the field's type
from pipeline.report.choice_record import MeasuredChoice  # noqa: TC001 - read again from the store by the field's type

if TYPE_CHECKING:
    from exporters.target import Target

__all__ = ["GoalPlan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GoalPlan:
    """How large the input is, and which blocks and how many channels stay.

    Attributes:
        size: Height and width of the input, pixels; None: it stays as it is.
        blocks: Residual blocks that are left out, by name.
        channels: Root layer to number; empty where all stay.
        target: On which everything was measured.
        precision: In which.
        networks: Among which networks, the unpruned one first.
        before: Among which networks first, in another precision than what was left then was fastest in; None where it
            was planned once.
        settled: The precision that ships unless another one is clearly faster: that in which the goal is held; None:
            whatever is fastest, or what the recipe says.
        ways: Among which input sizes and blocks left out, each with as many channels as the goal then leaves; None
            where there was one way only.
    """

    size: tuple[int, int] | None
    channels: Mapping[str, int]
    blocks: tuple[str, ...] = ()
    target: str
    precision: Precision
    networks: MeasuredChoice
    ways: MeasuredChoice | None = None
    before: MeasuredChoice | None = None
    settled: Precision | None = None

    def settled_for(self, target: Target) -> Precision | None:
        """What ships on a target unless another precision is clearly faster; None: whatever is fastest."""
        return self.settled if target.name == self.target else None
