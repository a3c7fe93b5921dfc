"""What a detector's outputs mean: a part of its bundle's ``run.py``, and used by :class:`edgewright.Bundle`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.image_input import boxes_in_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["boxes_found", "detections", "suppressed"]

# --- the bundle's run.py starts here ---


def detections(
    boxes: NDArray[Any], scores: NDArray[Any], labels: NDArray[Any], score: float, iou: float, most: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Boxes (n, 4), scores (n,) and labels (n,) of what is on one image, the likeliest first, of its candidates.

    boxes (k, 4) xyxy, scores (k,), labels (k,): the candidates; score: only higher ones count; iou: of two boxes of
    one class that overlap by more, the less likely one goes; most: how many are left at most.
    """
    likely = np.flatnonzero(scores > score)
    likely = likely[np.argsort(-scores[likely], kind="stable")]
    stays = np.zeros(len(likely), bool)
    for label in np.unique(labels[likely]):
        places = np.flatnonzero(labels[likely] == label)
        stays[places[suppressed(boxes[likely[places]], iou)]] = True
    left = likely[stays][:most]
    return boxes[left], scores[left], labels[left]


def suppressed(boxes: NDArray[Any], iou: float) -> NDArray[Any]:
    """Places of the boxes (k, 4) that stay, where a box goes that overlaps by more than iou with one before it."""
    x1, y1, x2, y2 = boxes.T
    areas = (x2 - x1) * (y2 - y1)
    left, stays = np.arange(len(boxes)), []
    while len(left):
        first, left = left[0], left[1:]
        stays.append(first)
        wide = np.minimum(x2[first], x2[left]) - np.maximum(x1[first], x1[left])
        high = np.minimum(y2[first], y2[left]) - np.maximum(y1[first], y1[left])
        both = np.maximum(wide, 0) * np.maximum(high, 0)
        either = areas[first] + areas[left] - both
        # Two empty boxes do not overlap: nothing is divided by nothing. In float64, as torchvision compares.
        overlap = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
        left = left[overlap.astype(np.float64) <= iou]
    return np.array(stays, dtype=int)


def boxes_found(
    outputs: Sequence[NDArray[Any]],
    answers: dict[str, Any],
    classes: Sequence[str],
    spec: dict[str, Any],
    size: tuple[int, int],
    score: float,
) -> list[dict[str, Any]]:
    """What is on one image: class, index, score and box (left, top, right, bottom in its pixels), the likeliest first.

    outputs: boxes, scores and labels of the candidates, which count the classes from 1; answers: the thresholds; spec:
    the fields of preprocess.json; size: width and height of the image; score: nothing less likely is given.
    """
    boxes, scores, labels = outputs
    boxes, scores, labels = detections(boxes, scores, labels, answers["score"], answers["iou"], answers["most"])
    placed = boxes_in_image(boxes, size, spec)
    return [
        {"class": classes[label - 1], "index": int(label) - 1, "score": float(sure), "box": [float(x) for x in box]}
        for box, sure, label in zip(placed, scores, labels)  # noqa: B905 - devices may have an older Python
        if sure >= score
    ]


# --- the bundle's run.py ends here ---
