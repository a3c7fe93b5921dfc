"""Boxes as distributions of distances: what YOLOv9's head says of them, and how that is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from pipeline.models.yolo.places import centres_of, sides_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BINS", "DistributionCoder", "distribution_loss"]

BINS = 16
"""Distances that are told apart: 0 to 15 strides."""


class DistributionCoder:
    """From logits of four distances, left, top, right, bottom, to a box: torchvision's interface of a coder.

    Li et al., "Generalized Focal Loss", 2020 (arXiv:2006.04388), section 3.1: a distance is the mean of its
    distribution.
    """

    def decode_single(self, codes: Tensor, anchors: Tensor) -> Tensor:
        """Boxes (k, 4) xyxy of codes (k, 4 x 16) said of places whose anchors are (k, 4)."""
        shares = codes.reshape(-1, 4, BINS).softmax(dim=2)
        # A sum of products, not a product of matrices, which would be taken for a layer with weights.
        distances = (shares * torch.arange(BINS, device=codes.device, dtype=codes.dtype)).sum(dim=2) * sides_of(anchors)
        centres = centres_of(anchors)
        return torch.cat([centres - distances[:, :2], centres + distances[:, 2:]], dim=1)


def distribution_loss(codes: Tensor, anchors: Tensor, wanted: Tensor) -> Tensor:
    """How far the distributions are from the distances of the wanted boxes, (k,): "distribution focal loss" there.

    Args:
        codes: As of :class:`DistributionCoder`.
        anchors: Of their places, (k, 4).
        wanted: Boxes, (k, 4) xyxy.
    """
    centres = centres_of(anchors)
    distances = torch.cat([centres - wanted[:, :2], wanted[:, 2:] - centres], dim=1) / sides_of(anchors)
    distances = distances.clamp(0, BINS - 1 - 1e-2)
    below = distances.long()
    share = distances - below
    logits = codes.reshape(-1, BINS).float()
    losses = [functional.cross_entropy(logits, (below + step).flatten(), reduction="none") for step in (0, 1)]
    lower, upper = (one.reshape(distances.shape) for one in losses)
    return (lower * (1 - share) + upper * share).mean(dim=1)
