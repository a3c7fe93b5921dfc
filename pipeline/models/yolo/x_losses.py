"""What YOLOX learns by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from pipeline.models.yolo.decoupled_head import DecoupledHead
from pipeline.models.yolo.sim_ota import sim_ota

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

__all__ = ["x_losses"]

_BOX_WEIGHT = 5.0
"""Of the boxes' loss, as in the project's own training."""


def x_losses(
    said: dict[str, Tensor], boxes: Tensor, anchors: Tensor, targets: Sequence[Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Losses by name, each summed over all images and divided by the number of places that learn an object.

    Ge et al., 2021 (arXiv:2107.08430): binary cross entropy for classes, whose target is the overlap, and for whether
    anything is there; a loss of overlap for boxes, here the generalised one, whose gradient does not vanish where boxes
    do not meet. Without the L1 loss of the last epochs.

    Args:
        said: By the head.
        boxes: What it means by it, (batch, places, 4) xyxy.
        anchors: Of the places, (places, 4).
        targets: Of each image ``boxes`` (objects, 4) and ``labels`` (objects,) from 1.
    """
    from torchvision.ops import generalized_box_iou_loss

    likelihoods = DecoupledHead.likelihoods(said)
    present = torch.zeros_like(said["objectness"])
    learned, wanted, of_classes = [], [], []
    for number, target in enumerate(targets):
        labels = target["labels"] - 1
        found = sim_ota(boxes[number], likelihoods[number], anchors, target["boxes"], labels)
        present[number, found.places] = 1.0
        learned.append(boxes[number, found.places])
        wanted.append(target["boxes"][found.objects])
        logits = said["cls_logits"][number, found.places]
        aims = functional.one_hot(labels[found.objects], logits.shape[1]) * found.quality[:, None]
        of_classes.append(_entropy(logits, aims))
    count = max(1.0, float(present.sum()))
    overlap = generalized_box_iou_loss(torch.cat(learned).float(), torch.cat(wanted).float(), reduction="sum")
    return {
        "classes": torch.stack(of_classes).sum() / count,
        "objectness": _entropy(said["objectness"], present) / count,
        "boxes": _BOX_WEIGHT * overlap / count,
    }


def _entropy(logits: Tensor, aims: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits.float(), aims.float(), reduction="sum")
