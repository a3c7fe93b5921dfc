"""What is drawn onto an image of its objects, and of the detections that a model is sure of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tasks.detection.overlap import overlaps
from pipeline.tasks.detection.same_objects import SAME_PLACE, SURE, pairs_of
from pipeline.tasks.marks import Mark

if TYPE_CHECKING:
    from pipeline.artifact import Json
    from pipeline.data.boxes import Box, Objects
    from pipeline.session import Array, Outputs

__all__ = ["marks_of_detections", "marks_of_truth"]


def marks_of_truth(objects: Objects) -> tuple[Mark, ...]:
    """A mark an object; crowds are none, and are left out."""
    return tuple(Mark(label=one.label, box=_corners(one)) for one in objects.boxes if not one.crowd)


def marks_of_detections(objects: Objects, decision: Json) -> tuple[Mark, ...]:
    """A mark a detection: right where it is of an object's class and in its place, as that object's only one.

    One that lies on a crowd of its class, or is of something difficult, counts for nothing, as when it is scored.

    Args:
        objects: What is on the image.
        decision: Class index, score and box, xyxy, of each detection, by falling score.
    """
    sure = [row for row in decision if row[1] >= SURE]
    said = np.array(sure, dtype=np.float64).reshape(-1, 6)
    found: Outputs = (said[:, 2:], said[:, 1], said[:, 0])
    right = {number for _, number, _ in pairs_of(_as_outputs([one for one in objects.boxes if one.counts]), found)}
    uncounted = _lies_on(found, [one for one in objects.boxes if one.crowd], of_first=True)
    uncounted |= _lies_on(found, [one for one in objects.boxes if one.difficult], of_first=False)
    return tuple(
        Mark(
            label=int(label),
            box=(float(left), float(top), float(far), float(low)),
            score=float(score),
            right=True if number in right else None if uncounted[number] else False,
        )
        for number, (label, score, left, top, far, low) in enumerate(sure)
    )


def _lies_on(found: Outputs, boxes: list[Box], *, of_first: bool) -> Array:
    """Whether each detection lies on one of the boxes of its class; see :func:`overlaps`."""
    places, _, labels = _as_outputs(boxes)
    of_class = labels[None] == found[2][:, None]
    on_one: Array = ((overlaps(found[0], places, of_first=of_first) * of_class) >= SAME_PLACE).any(axis=1)
    return on_one


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom


def _as_outputs(boxes: list[Box]) -> Outputs:
    places = np.array([_corners(one) for one in boxes], dtype=np.float64).reshape(-1, 4)
    return places, np.ones(len(boxes)), np.array([one.label for one in boxes])
