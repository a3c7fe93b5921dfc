"""How much of some detections is not there in others, by their squared scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.tasks.detection.overlap import have_area
from pipeline.tasks.detection.same_objects import pairs_of

if TYPE_CHECKING:
    from pipeline.session import Array, Outputs

__all__ = ["changed_and_whole"]


def changed_and_whole(ours: Outputs, theirs: Outputs) -> tuple[float, float]:
    """Squared scores of what is not in both images' detections alike, and of all of theirs.

    A detection of theirs with score s whose partner of the same class has s' and overlaps by u counts (s - u s')^2, one
    without a partner its own square. Empty boxes, which have none, are left out.

    Args:
        ours: Boxes (n, 4) xyxy, scores (n,), classes (n,).
        theirs: The same by falling score: the reference.
    """
    ours, theirs = (_with_area(*found) for found in (ours, theirs))
    matched = pairs_of(ours, theirs)
    changed = sum((theirs[1][one] - overlap * ours[1][other]) ** 2 for other, one, overlap in matched)
    ours_taken, theirs_taken = ({pair[place] for pair in matched} for place in (0, 1))
    for (_, scores, _), taken in ((ours, ours_taken), (theirs, theirs_taken)):
        changed += sum(float(score) ** 2 for number, score in enumerate(scores) if number not in taken)
    return float(changed), float((theirs[1] ** 2).sum())


def _with_area(boxes: Array, scores: Array, classes: Array) -> Outputs:
    there = have_area(boxes)
    return boxes[there], scores[there], classes[there]
