"""What YOLOv9 learns by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from pipeline.models.yolo.distribution import distribution_loss
from pipeline.models.yolo.distribution_head import DistributionHead
from pipeline.models.yolo.task_aligned import task_aligned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

__all__ = ["v9_losses"]

_CLASS_WEIGHT, _BOX_WEIGHT, _DISTRIBUTION_WEIGHT = 0.5, 7.5, 1.5
"""As in the project's own training."""


def v9_losses(
    said: dict[str, Tensor], boxes: Tensor, anchors: Tensor, targets: Sequence[Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Losses by name, each summed over all images and divided by the sum of the qualities that are aimed at.

    Binary cross entropy for classes, whose target is how well the place is aligned, after TOOD (arXiv:2108.07755);
    complete IoU (arXiv:1911.08287) and the distribution focal loss (arXiv:2006.04388) for boxes, weighed by the same.

    Args:
        said: By the head.
        boxes: What it means by it, (batch, places, 4) xyxy.
        anchors: Of the places, (places, 4).
        targets: Of each image ``boxes`` (objects, 4) and ``labels`` (objects,) from 1.
    """
    from torchvision.ops import complete_box_iou_loss

    logits, codes = said["cls_logits"], said["bbox_regression"]
    likelihoods = DistributionHead.likelihoods(said)
    aims = torch.zeros_like(logits, dtype=torch.float32)
    learned, distributions, wanted, at, qualities = [], [], [], [], []
    for number, target in enumerate(targets):
        labels = target["labels"] - 1
        found = task_aligned(boxes[number], likelihoods[number], anchors, target["boxes"], labels)
        aims[number, found.places, labels[found.objects]] = found.quality
        learned.append(boxes[number, found.places])
        distributions.append(codes[number, found.places])
        wanted.append(target["boxes"][found.objects])
        at.append(anchors[found.places])
        qualities.append(found.quality)
    quality, aimed = torch.cat(qualities), torch.cat(wanted).float()
    count = aims.sum().clamp(min=1.0)
    overlap = complete_box_iou_loss(torch.cat(learned).float(), aimed)
    apart = distribution_loss(torch.cat(distributions), torch.cat(at), aimed)
    classes = functional.binary_cross_entropy_with_logits(logits.float(), aims, reduction="sum")
    return {
        "classes": _CLASS_WEIGHT * classes / count,
        "boxes": _BOX_WEIGHT * (overlap * quality).sum() / count,
        "distributions": _DISTRIBUTION_WEIGHT * (apart * quality).sum() / count,
    }
