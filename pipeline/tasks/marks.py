"""What can be drawn onto an image of where something is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Mark"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A box on an image.

    Attributes:
        label: Index into the data set's classes.
        box: Left, top, right, bottom in pixels of the upright image.
        score: How sure it is, a fraction of 1; None of what is known.
        right: Whether something of its class is there; None of what is known, and where it counts for nothing.
    """

    label: int
    box: tuple[float, float, float, float]
    score: float | None = None
    right: bool | None = None
