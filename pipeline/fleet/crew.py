"""Who runs cells: workers on one machine or on many, seen from the fleet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.fleet.cell_run import CellEnd, Order

__all__ = ["Crew", "Ended", "Lost", "Stage"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A cell has ended, well or not."""

    cell: int
    end: CellEnd


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """A cell's worker is gone, or its machine.

    Attributes:
        machine: Where it was running; None when it had not begun.
        why: In words.
    """

    cell: int
    machine: str | None
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A cell that runs has come so far; before its first stage the name is empty."""

    cell: int
    name: str


class Crew(Protocol):
    """Runs cells, each in a process of its own, as many at once as there is room for."""

    def start(self, cell: int, order: Order, *, avoid: str | None) -> None:
        """Have a cell run as soon as there is room.

        Args:
            cell: Its number, by which it is spoken of.
            order: What.
            avoid: A machine that it should rather not run on.
        """
        ...

    def news(self) -> Sequence[Ended | Lost | Stage]:
        """What happened since this was asked last; waits a moment where nothing did."""
        ...
