"""What several detectors say of one image, made one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tasks.detection.overlap import overlaps
from pipeline.tasks.reading.detection import detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.session import Array, Outputs

__all__ = ["weighted_box_fusion"]

_SAME_OBJECT = 0.55
"""Intersection over union from which on boxes of one class are fused: the paper's section 3.1."""


def weighted_box_fusion(
    members: Sequence[Outputs], weights: Sequence[float] | None = None, *, iou: float = _SAME_OBJECT
) -> Outputs:
    """One list of boxes out of those of several detectors, the likeliest first.

    Solovyev, Wang and Gabruseva, "Weighted boxes fusion: Ensembling boxes from different object detection models",
    2021 (arXiv:1910.13302), section 3: the boxes of all members, by falling score, join the fused box of their class
    that they overlap most, or begin one. A fused box is the mean of its boxes weighted by their scores, and its score
    is their mean score times the share of the members that found it, at most 1. Before that, of a member's boxes of one
    class that overlap by as much the likeliest counts: detectors leave some, and a faint one beside a sure one would
    halve its score, a sure one have it found by one member more.

    Args:
        members: Boxes (k, 4) xyxy, scores (k,) and classes (k,) of each.
        weights: By which each member's scores count; their scale does not matter. None: alike.
        iou: Boxes that overlap by more are of one object.

    Returns:
        Boxes float64 (n, 4), scores float64 (n,), classes int64 (n,).
    """
    once = [detections(boxes, scores, classes, 0.0, iou, len(boxes)) for boxes, scores, classes in members]
    boxes, scores, classes = _all_boxes(once, weights)
    fused, together = np.zeros((len(boxes), 4)), np.zeros(len(boxes))
    found, labels = np.zeros(len(boxes), dtype=np.int64), np.zeros(len(boxes), dtype=np.int64)
    count = 0
    for box, score, label in zip(boxes, scores, classes, strict=True):
        place = _like(box, fused[:count], labels[:count] == label, iou)
        if place is None:
            place, labels[count] = count, label
            count += 1
        whole = together[place] + score
        fused[place] = (together[place] * fused[place] + score * box) / whole
        together[place], found[place] = whole, found[place] + 1
    found = found[:count]
    likely = together[:count] / found * np.minimum(found, len(members)) / len(members)
    order = np.argsort(-likely, kind="stable")
    return fused[order], likely[order], labels[order]


def _all_boxes(members: Sequence[Outputs], weights: Sequence[float] | None) -> Outputs:
    """The boxes, scores and classes of all members, by falling score."""
    given = np.ones(len(members)) if weights is None else np.asarray(weights, dtype=np.float64)
    given = given * len(members) / given.sum()
    boxes = np.concatenate([one.reshape(-1, 4) for one, _, _ in members]).astype(np.float64)
    scores = np.concatenate([np.asarray(one, np.float64) * by for (_, one, _), by in zip(members, given, strict=True)])
    classes = np.concatenate([one for _, _, one in members]).astype(np.int64)
    order = np.argsort(-scores, kind="stable")
    return boxes[order], scores[order], classes[order]


def _like(box: Array, fused: Array, of_its_class: Array, iou: float) -> int | None:
    """Which fused box of its class a box overlaps most; None where it overlaps none by more than ``iou``."""
    if not of_its_class.any():
        return None
    overlap = np.where(of_its_class, overlaps(box[None], fused)[0], 0.0)
    place = int(overlap.argmax())
    return place if overlap[place] > iou else None
