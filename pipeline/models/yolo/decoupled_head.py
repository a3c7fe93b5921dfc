"""YOLOX's head: classes and boxes are told by branches of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from pipeline.models.yolo.blocks import ConvUnit, conv_unit
from pipeline.models.yolo.places import flattened, with_prior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.models.yolo.variants import XVariant

__all__ = ["DecoupledHead"]


class DecoupledHead(nn.Module):
    """For every place of every level its classes, whether anything is there, and where it reaches.

    Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (arXiv:2107.08430), section 2.1 and figure 2.

    Args:
        variant: How wide.
        classes: Without the background.
    """

    def __init__(self, variant: XVariant, classes: int) -> None:
        super().__init__()
        channels, width = variant.channels, int(256 * variant.width)

        def branch() -> nn.Sequential:
            return nn.Sequential(*(conv_unit(width, width, 3, depthwise=variant.depthwise) for _ in range(2)))

        self.stems = nn.ModuleList(ConvUnit(inside, width, 1) for inside in channels)
        self.cls_convs = nn.ModuleList(branch() for _ in channels)
        self.reg_convs = nn.ModuleList(branch() for _ in channels)
        self.cls_preds = nn.ModuleList(with_prior(nn.Conv2d(width, classes, 1)) for _ in channels)
        self.reg_preds = nn.ModuleList(nn.Conv2d(width, 4, 1) for _ in channels)
        self.obj_preds = nn.ModuleList(with_prior(nn.Conv2d(width, 1, 1)) for _ in channels)

    def forward(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        """What is said of all places, level by level, row by row.

        Returns:
            ``cls_logits`` (batch, places, classes), ``bbox_regression`` (batch, places, 4) in units of the stride, and
            ``objectness`` (batch, places, 1), logits too.
        """
        classes, boxes, objects = [], [], []
        for level, feature in enumerate(features):
            stem = self.stems[level](feature)
            about_boxes = self.reg_convs[level](stem)
            classes.append(self.cls_preds[level](self.cls_convs[level](stem)))
            boxes.append(self.reg_preds[level](about_boxes))
            objects.append(self.obj_preds[level](about_boxes))
        return {"cls_logits": flattened(classes), "bbox_regression": flattened(boxes), "objectness": flattened(objects)}

    @staticmethod
    def likelihoods(said: dict[str, Tensor]) -> Tensor:
        """How likely each place shows each class, 0 to 1, (..., places, classes)."""
        return torch.sigmoid(said["cls_logits"]) * torch.sigmoid(said["objectness"])
