"""Weights that were published for batch normalisations without an epsilon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from pipeline.models.source import WeightsSource

__all__ = ["without_epsilon"]

_WITHOUT = ("258fb6c6", "eeacb38b")
"""How the SHA-256 of torchvision's COCO_V1 of ``fasterrcnn_resnet50_fpn`` and ``retinanet_resnet50_fpn`` begin, as
their file names say: its builders set the frozen normalisations' eps to 0 for these two alone (``overwrite_eps`` in
torchvision/models/detection)."""


@torch.no_grad()
def without_epsilon(network: nn.Module, weights: WeightsSource) -> None:
    """Let a network that has such weights compute what they were published for; others stay as they are.

    The epsilon itself stays, and what it changes is taken out of the scale: a channel whose variance gets lost in
    training then does not divide by zero, and a network that is built again needs to know nothing of this.

    Args:
        network: With the weights; changed in place.
        weights: Where they come from.
    """
    if not (weights.file_sha256 or "").startswith(_WITHOUT):
        return
    from torchvision.ops import FrozenBatchNorm2d

    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d | FrozenBatchNorm2d):
            variance = norm.get_buffer("running_var")
            norm.weight.mul_(((variance + norm.eps) / variance).sqrt())
