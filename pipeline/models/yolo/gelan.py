"""YOLOv9's backbone and pyramid: aggregation of layers, of whatever blocks."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import nn

from pipeline.models.yolo.blocks import ConvUnit, CspLayer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pipeline.models.yolo.variants import V9Variant

__all__ = ["Gelan"]


class _Aggregation(nn.Module):
    """Two halves, and what two blocks make of the second one after the other: all are looked at together.

    Wang et al., "YOLOv9", 2024 (arXiv:2402.13616), section 4.1 and figure 4, "GELAN".

    Args:
        inside: Channels.
        outside: Channels, as many as within.
        block: Makes a block for so many channels.
    """

    def __init__(self, inside: int, outside: int, block: Callable[[int], nn.Module]) -> None:
        super().__init__()
        half = outside // 2
        self.first, self.second = ConvUnit(inside, half, 1), ConvUnit(inside, half, 1)
        self.third, self.fourth = block(half), block(half)
        self.all = ConvUnit(4 * half, outside, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, inside, height, width) to (batch, outside, height, width)."""
        seen = [self.first(features), self.second(features)]
        for block in (self.third, self.fourth):
            seen.append(block(seen[-1]))
        together: Tensor = self.all(torch.cat(seen, dim=1))
        return together


class _Halving(nn.Module):
    """To half the size: the mean of neighbours, then a 3x3 unit of stride 2."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.mean = nn.AvgPool2d(2, stride=1)
        self.conv = ConvUnit(inside, outside, 3, 2)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, inside, height, width) to (batch, outside, height / 2, width / 2)."""
        halved: Tensor = self.conv(self.mean(features))
        return halved


class _PooledAggregation(nn.Module):
    """The same place seen with ever larger surroundings; figure 4 there calls it SPPELAN."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = ConvUnit(inside, outside // 2, 1)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)
        self.all = ConvUnit(4 * (outside // 2), outside, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, inside, height, width) to (batch, outside, height, width)."""
        seen = [self.first(features)]
        for _ in range(3):
            seen.append(self.pool(seen[-1]))
        together: Tensor = self.all(torch.cat(seen, dim=1))
        return together


def _conv(channels: int) -> nn.Module:
    return ConvUnit(channels, channels, 3)


def _csp(channels: int) -> nn.Module:
    return nn.Sequential(CspLayer(channels, channels, 3), ConvUnit(channels, channels, 3))


class Gelan(nn.Module):
    """The backbone with its path of aggregation.

    The bottlenecks within are YOLOX's plain ones, where YOLOv9 has such as are re-parametrised after training; the
    auxiliary branch, which exists in training only, is left out.

    Args:
        variant: How wide.
    """

    def __init__(self, variant: V9Variant) -> None:
        super().__init__()
        base, (fine, middle, coarse) = variant.base, variant.channels
        self.stem = nn.Sequential(ConvUnit(3, base, 3, 2), ConvUnit(base, 2 * base, 3, 2))
        self.stage2 = _Aggregation(2 * base, 2 * base, _conv)
        self.stage3 = nn.Sequential(_Halving(2 * base, fine), _Aggregation(fine, fine, _csp))
        self.stage4 = nn.Sequential(_Halving(fine, middle), _Aggregation(middle, middle, _csp))
        self.stage5 = nn.Sequential(_Halving(middle, coarse), _Aggregation(coarse, coarse, _csp))
        self.pooled = _PooledAggregation(coarse, coarse)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.down4 = _Aggregation(coarse + middle, middle, _csp)
        self.down3 = _Aggregation(middle + fine, fine, _csp)
        self.halved3 = _Halving(fine, middle // 2)
        self.up4 = _Aggregation(middle // 2 + middle, middle, _csp)
        self.halved4 = _Halving(middle, coarse // 2)
        self.up5 = _Aggregation(coarse // 2 + coarse, coarse, _csp)

    def forward(self, image: Tensor) -> OrderedDict[str, Tensor]:
        """The levels by name, strides 8, 16, 32, of an image (batch, 3, height, width) of multiples of 32."""
        fine = self.stage3(self.stage2(self.stem(image)))
        middle = self.stage4(fine)
        coarse = self.pooled(self.stage5(middle))
        joined = self.down4(torch.cat([self.upsample(coarse), middle], dim=1))
        finest = self.down3(torch.cat([self.upsample(joined), fine], dim=1))
        second = self.up4(torch.cat([self.halved3(finest), joined], dim=1))
        third = self.up5(torch.cat([self.halved4(second), coarse], dim=1))
        return OrderedDict([("0", finest), ("1", second), ("2", third)])
