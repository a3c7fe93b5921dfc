"""Which of two models' detections are of the same objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tasks.detection.overlap import have_area, overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.artifact import Json
    from pipeline.session import Outputs

__all__ = ["NEARLY", "SAME_PLACE", "SURE", "pairs_of", "same_objects"]

SURE = 0.5
"""Two models agree on an image when what each is so sure of is the same; what is less likely is neither drawn nor, by
default, printed by a bundle's runner."""
NEARLY = 0.4
"""So sure has to be who finds what another is sure of."""
SAME_PLACE = 0.5
"""Boxes of one class that overlap by so much, intersection over union, are of one object."""


def pairs_of(ours: Outputs, theirs: Outputs) -> list[tuple[int, int, float]]:
    """Detections of one class in one place: number in ours, number in theirs, overlap.

    Args:
        ours: Boxes (n, 4) xyxy, scores (n,), classes (n,).
        theirs: The same of others, by falling score: each takes what it overlaps most of what is left.
    """
    (boxes, _, classes), (wanted, _, labels) = ours, theirs
    overlap = overlaps(wanted, boxes)
    overlap[labels[:, None] != classes[None]] = 0.0
    found = []
    for number in range(len(wanted)):
        partner = int(overlap[number].argmax()) if len(boxes) else 0
        if len(boxes) and overlap[number, partner] >= SAME_PLACE:
            found.append((partner, number, float(overlap[number, partner])))
            overlap[:, partner] = 0.0
    return found


def same_objects(first: Json, second: Json) -> bool:
    """Whether each of two models finds what the other is sure of: its class, in the same place, nearly as sure.

    Of scores on both sides of a threshold nothing follows where they hardly differ: with many objects on an image one
    of them always lies there.

    Args:
        first: Class, score and box of each detection, as of :attr:`pipeline.tasks.Accuracy.decisions`.
        second: Likewise.
    """
    said = (np.array(list(rows), dtype=np.float64).reshape(-1, 6) for rows in (first, second))
    one, other = (rows[(rows[:, 1] >= NEARLY) & have_area(rows[:, 2:])] for rows in said)
    return _finds(one, other[other[:, 1] >= SURE]) and _finds(other, one[one[:, 1] >= SURE])


def _finds(rows: NDArray[np.float64], sure: NDArray[np.float64]) -> bool:
    """Whether each of the latter has a partner among the former; both by falling score."""
    found = pairs_of(*((one[:, 2:], one[:, 1], one[:, 0]) for one in (rows, sure)))
    return len(found) == len(sure)
