"""Which of two models' detections are of the same objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tasks.detection.overlap import overlaps

if TYPE_CHECKING:
    from pipeline.artifact import Json
    from pipeline.session import Outputs

__all__ = ["SAME_PLACE", "SURE", "pairs_of", "same_objects"]

SURE = 0.5
"""Two models agree on an image when what each is so sure of is the same; what is less likely is neither drawn nor, by
default, printed by a bundle's runner."""
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
    """Whether two models are sure of the same ones: as many, each with a partner of its class in the same place.

    Args:
        first: Class, score and box of each detection, as of :attr:`pipeline.tasks.Accuracy.decisions`.
        second: Likewise.
    """
    sure = []
    for said in (first, second):
        rows = np.array([row for row in said if row[1] >= SURE], dtype=np.float64).reshape(-1, 6)
        sure.append((rows[:, 2:], rows[:, 1], rows[:, 0]))
    one, other = sure
    return len(one[0]) == len(other[0]) == len(pairs_of(one, other))
