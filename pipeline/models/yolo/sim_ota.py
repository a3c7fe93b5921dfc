"""Which places learn which object: YOLOX's assignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.models.yolo.assigned import Assigned
from pipeline.models.yolo.places import centres_of, sides_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["sim_ota"]

_RADIUS = 1.5
"""Of the region around an object's centre that may learn it, in strides."""
_BOX_WEIGHT = 3.0
_LIKELIEST = 10
"""As many overlaps are added up to the number of places that learn an object."""
_OUTSIDE = 1e5
"""Above all that may be told of a place within."""
_TINY = 1e-7


@torch.no_grad()
def sim_ota(boxes: Tensor, likelihoods: Tensor, anchors: Tensor, objects: Tensor, labels: Tensor) -> Assigned:
    """Assign each object to as many places as fit it well, those that are cheapest to teach.

    Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (arXiv:2107.08430), section 2.1, "SimOTA"; the number of places
    by "OTA: Optimal Transport Assignment for Object Detection", 2021 (arXiv:2103.14259), section 3.3, "dynamic k".

    Args:
        boxes: What is told of each place, (places, 4) xyxy.
        likelihoods: Of each class, (places, classes), 0 to 1.
        anchors: As of :func:`~pipeline.models.yolo.places.sides_of`, (places, 4).
        objects: There are, (objects, 4) xyxy.
        labels: Their classes from 0, int64 (objects,).
    """
    from torchvision.ops import box_iou

    near = _near(anchors, objects)
    able = near.any(dim=1).nonzero()[:, 0]
    if not len(able):
        return Assigned(able, able, boxes.new_zeros(0))
    overlaps = box_iou(boxes[able].float(), objects.float())
    # The paper's cost takes the root of class times presence, which keeps both from vanishing together.
    known = likelihoods[able].float().sqrt().clamp(_TINY, 1 - _TINY)
    absent = -torch.log1p(-known)
    of_classes = absent.sum(dim=1, keepdim=True) - absent[:, labels] - known[:, labels].log()
    costs = of_classes - _BOX_WEIGHT * overlaps.clamp(min=_TINY).log() + _OUTSIDE * ~near[able]
    chosen = torch.zeros_like(costs, dtype=torch.bool)
    counts = overlaps.topk(min(_LIKELIEST, len(able)), dim=0).values.sum(dim=0).int().clamp(min=1)
    for number, count in enumerate(counts.tolist()):
        chosen[costs[:, number].topk(count, largest=False).indices, number] = True
    cheapest = torch.zeros_like(chosen).scatter_(1, costs.masked_fill(~chosen, torch.inf).argmin(1, keepdim=True), 1)
    rows, columns = (chosen & cheapest).nonzero(as_tuple=True)
    return Assigned(able[rows], columns, overlaps[rows, columns])


def _near(anchors: Tensor, objects: Tensor) -> Tensor:
    """Whether a place is around an object's centre, (places, objects)."""
    middles = (objects[:, :2] + objects[:, 2:]) / 2
    distances = (centres_of(anchors)[:, None] - middles[None]).abs().amax(dim=2)
    return distances < _RADIUS * sides_of(anchors)
