"""YOLOX's backbone: YOLOv5's CSPDarknet as its paper describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from pipeline.models.yolo.blocks import CspLayer, Focus, SpatialPooling, conv_unit

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.models.yolo.variants import XVariant

__all__ = ["CspDarknet"]


class CspDarknet(nn.Module):
    """Three maps of an image, at strides 8, 16 and 32.

    Args:
        variant: How deep and wide.
    """

    def __init__(self, variant: XVariant) -> None:
        super().__init__()
        base, depth = int(variant.width * 64), max(round(variant.depth * 3), 1)
        self.stem = Focus(3, base, 3)
        self.dark2 = self._stage(base, 2 * base, depth, variant)
        self.dark3 = self._stage(2 * base, 4 * base, 3 * depth, variant)
        self.dark4 = self._stage(4 * base, 8 * base, 3 * depth, variant)
        self.dark5 = nn.Sequential(
            conv_unit(8 * base, 16 * base, 3, 2, depthwise=variant.depthwise),
            SpatialPooling(16 * base, 16 * base),
            CspLayer(16 * base, 16 * base, depth, shortcut=False, depthwise=variant.depthwise),
        )

    @staticmethod
    def _stage(inside: int, outside: int, depth: int, variant: XVariant) -> nn.Sequential:
        """To half the size."""
        return nn.Sequential(
            conv_unit(inside, outside, 3, 2, depthwise=variant.depthwise),
            CspLayer(outside, outside, depth, depthwise=variant.depthwise),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The maps of an image (batch, 3, height, width), the finest first."""
        fine = self.dark3(self.dark2(self.stem(image)))
        middle = self.dark4(fine)
        return fine, middle, self.dark5(middle)
