"""YOLOv9's head: a class's score says how well the box fits, a box is four distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from pipeline.models.yolo.blocks import ConvUnit
from pipeline.models.yolo.distribution import BINS
from pipeline.models.yolo.places import flattened, with_prior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.models.yolo.variants import V9Variant

__all__ = ["DistributionHead"]

_SIDES = 4


class DistributionHead(nn.Module):
    """For every place of every level its classes and where it reaches, without a score for whether anything is there.

    Li et al., "Generalized Focal Loss", 2020 (arXiv:2006.04388); the four sides have layers of their own, as in YOLOv9.

    Args:
        variant: How wide.
        classes: Without the background.
    """

    def __init__(self, variant: V9Variant, classes: int) -> None:
        super().__init__()
        finest = variant.channels[0]
        of_boxes, of_classes = max(finest // 4, _SIDES * BINS), max(finest, min(2 * classes, 128))

        def boxes(inside: int) -> nn.Sequential:
            last = nn.Conv2d(of_boxes, _SIDES * BINS, 1, groups=_SIDES)
            return nn.Sequential(ConvUnit(inside, of_boxes, 3), ConvUnit(of_boxes, of_boxes, 3, groups=_SIDES), last)

        def scores(inside: int) -> nn.Sequential:
            last = with_prior(nn.Conv2d(of_classes, classes, 1))
            return nn.Sequential(ConvUnit(inside, of_classes, 3), ConvUnit(of_classes, of_classes, 3), last)

        self.boxes = nn.ModuleList(map(boxes, variant.channels))
        self.scores = nn.ModuleList(map(scores, variant.channels))

    def forward(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        """What is said of all places, level by level, row by row.

        Returns:
            ``cls_logits`` (batch, places, classes), ``bbox_regression`` (batch, places, 4 x 16), logits too.
        """
        return {
            "cls_logits": flattened([layer(one) for layer, one in zip(self.scores, features, strict=True)]),
            "bbox_regression": flattened([layer(one) for layer, one in zip(self.boxes, features, strict=True)]),
        }

    @staticmethod
    def likelihoods(said: dict[str, Tensor]) -> Tensor:
        """How likely each place shows each class, 0 to 1, (..., places, classes)."""
        return torch.sigmoid(said["cls_logits"])
