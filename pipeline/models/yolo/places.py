"""The places of a detector's maps: laid out in a row, with the square that each stands for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["STRIDES", "centres_of", "flattened", "sides_of", "with_prior"]

STRIDES = (8, 16, 32)
"""Pixels of the image from one place to the next, level by level."""

_PRIOR = 0.01
"""What a network that has not learned takes any class to be likely: nearly all places show nothing."""


def flattened(maps: Sequence[Tensor]) -> Tensor:
    """Maps (batch, channels, height, width) of all levels as (batch, places, channels)."""
    return torch.cat([one.flatten(2).permute(0, 2, 1) for one in maps], dim=1)


def with_prior(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer, whose logits begin near those of a prior: Lin et al., 2017 (arXiv:1708.02002), section 4.1."""
    assert layer.bias is not None  # noqa: S101 - it is made with one
    nn.init.constant_(layer.bias, -math.log((1 - _PRIOR) / _PRIOR))
    return layer


def sides_of(anchors: Tensor) -> Tensor:
    """The stride at each place, (places, 1).

    Args:
        anchors: Squares of the stride's side around the upper left corners of the places, as torchvision's generator
            makes them, (places, 4) xyxy.
    """
    return anchors[:, 2:3] - anchors[:, 0:1]


def centres_of(anchors: Tensor) -> Tensor:
    """The middle of each place, (places, 2), for anchors as of :func:`sides_of`."""
    return anchors[:, 2:]
