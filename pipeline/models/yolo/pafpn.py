"""YOLOX's pyramid: from coarse to fine, and back."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import nn

from pipeline.models.yolo.blocks import ConvUnit, CspLayer, conv_unit
from pipeline.models.yolo.csp_darknet import CspDarknet

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.models.yolo.variants import XVariant

__all__ = ["PathAggregation"]


class PathAggregation(nn.Module):
    """The backbone with a path of aggregation: torchvision's "backbone with FPN" for YOLOX.

    Liu et al., "Path Aggregation Network for Instance Segmentation", 2018 (arXiv:1803.01534); with concatenation and
    CSP blocks as in YOLOv4, Bochkovskiy et al., 2020 (arXiv:2004.10934).

    Args:
        variant: How deep and wide.
    """

    def __init__(self, variant: XVariant) -> None:
        super().__init__()
        self.backbone = CspDarknet(variant)
        fine, middle, coarse = variant.channels
        depth, depthwise = round(3 * variant.depth), variant.depthwise

        def csp(inside: int, outside: int) -> CspLayer:
            return CspLayer(inside, outside, depth, shortcut=False, depthwise=depthwise)

        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.lateral_conv0 = ConvUnit(coarse, middle, 1)
        self.C3_p4 = csp(2 * middle, middle)
        self.reduce_conv1 = ConvUnit(middle, fine, 1)
        self.C3_p3 = csp(2 * fine, fine)
        self.bu_conv2 = conv_unit(fine, fine, 3, 2, depthwise=depthwise)
        self.C3_n3 = csp(2 * fine, middle)
        self.bu_conv1 = conv_unit(middle, middle, 3, 2, depthwise=depthwise)
        self.C3_n4 = csp(2 * middle, coarse)

    def forward(self, image: Tensor) -> OrderedDict[str, Tensor]:
        """The levels by name, strides 8, 16, 32, of an image (batch, 3, height, width) of multiples of 32."""
        fine, middle, coarse = self.backbone(image)
        from_coarse = self.lateral_conv0(coarse)
        joined = self.C3_p4(torch.cat([self.upsample(from_coarse), middle], dim=1))
        from_middle = self.reduce_conv1(joined)
        finest = self.C3_p3(torch.cat([self.upsample(from_middle), fine], dim=1))
        second = self.C3_n3(torch.cat([self.bu_conv2(finest), from_middle], dim=1))
        third = self.C3_n4(torch.cat([self.bu_conv1(second), from_coarse], dim=1))
        return OrderedDict([("0", finest), ("1", second), ("2", third)])
