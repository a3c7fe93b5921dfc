"""What YOLO's backbones, necks and heads are made of.

Parts are named as in the networks that the YOLOX project publishes, so that state dicts of those fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BatchNorm", "Bottleneck", "ConvUnit", "CspLayer", "Focus", "SeparableUnit", "SpatialPooling", "conv_unit"]


class BatchNorm(nn.BatchNorm2d):
    """With the constants that YOLO networks are trained and published with, not torch's.

    Attributes:
        eps: A thousandth: channels of a narrow network vary as little, so that another constant is another network.
        momentum: Three hundredths.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3, momentum=0.03)


class ConvUnit(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, inside: int, outside: int, side: int, stride: int = 1, *, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, side, stride, padding=side // 2, groups=groups, bias=False)
        self.bn = BatchNorm(outside)
        self.act = nn.SiLU()

    def forward(self, features: Tensor) -> Tensor:
        """(batch, inside, height, width) to (batch, outside, height / stride, width / stride)."""
        activated: Tensor = self.act(self.bn(self.conv(features)))
        return activated


class SeparableUnit(nn.Module):
    """Every channel by itself, then all of a place together."""

    def __init__(self, inside: int, outside: int, side: int, stride: int = 1) -> None:
        super().__init__()
        self.dconv = ConvUnit(inside, inside, side, stride, groups=inside)
        self.pconv = ConvUnit(inside, outside, 1)

    def forward(self, features: Tensor) -> Tensor:
        """As of :class:`ConvUnit`."""
        mixed: Tensor = self.pconv(self.dconv(features))
        return mixed


def conv_unit(inside: int, outside: int, side: int, stride: int = 1, *, depthwise: bool) -> nn.Module:
    """A unit of the one kind or the other."""
    kind = SeparableUnit if depthwise else ConvUnit
    return kind(inside, outside, side, stride)


class Bottleneck(nn.Module):
    """A 1x1 and a 3x3 unit of one width, with what came in added where that is asked for."""

    def __init__(self, channels: int, *, shortcut: bool, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = ConvUnit(channels, channels, 1)
        self.conv2 = conv_unit(channels, channels, 3, depthwise=depthwise)
        self._shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        """Of the same shape."""
        changed: Tensor = self.conv2(self.conv1(features))
        return changed + features if self._shortcut else changed


class CspLayer(nn.Module):
    """Half of the channels goes through bottlenecks, half past them.

    Wang et al., "CSPNet: A New Backbone that can Enhance Learning Capability of CNN", 2019 (arXiv:1911.11929).
    """

    def __init__(
        self, inside: int, outside: int, bottlenecks: int, *, shortcut: bool = True, depthwise: bool = False
    ) -> None:
        super().__init__()
        half = outside // 2
        self.conv1 = ConvUnit(inside, half, 1)
        self.conv2 = ConvUnit(inside, half, 1)
        self.conv3 = ConvUnit(2 * half, outside, 1)
        units = (Bottleneck(half, shortcut=shortcut, depthwise=depthwise) for _ in range(bottlenecks))
        self.m = nn.Sequential(*units)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, inside, height, width) to (batch, outside, height, width)."""
        joined: Tensor = self.conv3(torch.cat([self.m(self.conv1(features)), self.conv2(features)], dim=1))
        return joined


class SpatialPooling(nn.Module):
    """The same place seen with surroundings of several sizes.

    He et al., "Spatial Pyramid Pooling in Deep Convolutional Networks", 2014 (arXiv:1406.4729), as YOLOv3 has it.
    """

    def __init__(self, inside: int, outside: int, sides: tuple[int, ...] = (5, 9, 13)) -> None:
        super().__init__()
        self.conv1 = ConvUnit(inside, inside // 2, 1)
        self.m = nn.ModuleList(nn.MaxPool2d(side, stride=1, padding=side // 2) for side in sides)
        self.conv2 = ConvUnit(inside // 2 * (len(sides) + 1), outside, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, inside, height, width) to (batch, outside, height, width)."""
        narrow = self.conv1(features)
        seen: Tensor = self.conv2(torch.cat([narrow, *(pool(narrow) for pool in self.m)], dim=1))
        return seen


class Focus(nn.Module):
    """Every second pixel becomes a channel, and a unit looks at them."""

    def __init__(self, inside: int, outside: int, side: int) -> None:
        super().__init__()
        self.conv = ConvUnit(4 * inside, outside, side)

    def forward(self, image: Tensor) -> Tensor:
        """(batch, inside, height, width) to (batch, outside, height / 2, width / 2)."""
        corners = [image[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        seen: Tensor = self.conv(torch.cat(corners, dim=1))
        return seen
