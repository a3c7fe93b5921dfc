"""Which places learn which object: YOLOv9's assignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.models.yolo.assigned import Assigned
from pipeline.models.yolo.places import centres_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["task_aligned"]

_CLASS_POWER, _BOX_POWER = 0.5, 6.0
"""Of the likelihood and of the overlap in how well a place is aligned."""
_PLACES = 10
"""That learn an object at most."""
_TINY = 1e-30
"""Below any alignment: that of an object of 12 pixels with what a new head says is 1e-13, by the sixth power."""


@torch.no_grad()
def task_aligned(boxes: Tensor, likelihoods: Tensor, anchors: Tensor, objects: Tensor, labels: Tensor) -> Assigned:
    """Assign each object to the places within it that say class and box best, both at once.

    Feng et al., "TOOD: Task-aligned One-stage Object Detection", 2021 (arXiv:2108.07755), section 3.2.

    Args:
        boxes: What is told of each place, (places, 4) xyxy.
        likelihoods: Of each class, (places, classes), 0 to 1.
        anchors: As of :func:`~pipeline.models.yolo.places.sides_of`, (places, 4).
        objects: There are, (objects, 4) xyxy.
        labels: Their classes from 0, int64 (objects,).
    """
    from torchvision.ops import box_iou

    within = _within(centres_of(anchors), objects)
    able = within.any(dim=1).nonzero()[:, 0]
    if not len(able):
        return Assigned(able, able, boxes.new_zeros(0))
    overlaps = box_iou(boxes[able].float(), objects.float()) * within[able]
    aligned = likelihoods[able].float()[:, labels].pow(_CLASS_POWER) * overlaps.pow(_BOX_POWER)
    # Those within come first even where nothing is aligned yet; beside 1 small alignments would all be alike.
    ranked = torch.where(within[able], aligned, -1.0)
    best = ranked.topk(min(_PLACES, len(able)), dim=0).indices
    chosen = torch.zeros_like(within[able]).scatter_(0, best, 1) & within[able]
    closest = torch.zeros_like(chosen).scatter_(1, overlaps.masked_fill(~chosen, -1).argmax(1, keepdim=True), 1)
    chosen &= closest
    aligned, overlaps = aligned * chosen, overlaps * chosen
    quality = aligned * overlaps.amax(dim=0) / aligned.amax(dim=0).clamp(min=_TINY)
    rows, columns = chosen.nonzero(as_tuple=True)
    return Assigned(able[rows], columns, quality[rows, columns])


def _within(centres: Tensor, objects: Tensor) -> Tensor:
    """Whether a place's middle is within an object, (places, objects)."""
    low = centres[:, None] - objects[None, :, :2]
    high = objects[None, :, 2:] - centres[:, None]
    return torch.cat([low, high], dim=2).amin(dim=2) > 0
