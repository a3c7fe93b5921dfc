"""Faster R-CNN with static shapes: a fixed number of proposals, each looked at in every class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.tasks.detection.deployable.candidates import MOST_CANDIDATES, likeliest, place_and_class
from pipeline.tasks.detection.deployable.geometry import anchors_of, clipped, framed, image_border, is_large, pyramid
from pipeline.tasks.detection.deployable.pooling import PyramidPooling
from pipeline.tasks.detection.deployable.proposals import Proposals

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FasterRcnnForm"]

_SMALLEST_SIDE = 1e-2
"""Of a detection, in pixels, as in torchvision's ``RoIHeads``."""


class FasterRcnnForm(nn.Module):
    """The parts keep the names that they have in the network.

    Args:
        network: The eager detector, in eval mode; its weights are shared.
        size: Height and width of the one image it takes.
        channels: Of that image.

    Attributes:
        classes: How many it can name; labels are 1 to that.
    """

    border: Tensor

    def __init__(self, network: Any, size: tuple[int, int], channels: int = 3) -> None:  # noqa: ANN401 - torchvision has no types
        super().__init__()
        self.backbone = network.backbone
        self._stride = int(network.transform.size_divisible)
        with torch.no_grad():
            image = framed(torch.zeros(1, channels, *size, device=next(network.parameters()).device), self._stride)
            features = pyramid(self.backbone, image)
            anchors = anchors_of(network.rpn.anchor_generator, image, features, size)
            objectness, _ = network.rpn.head(list(features.values()))
        border = image_border(size).to(anchors.device)
        self.register_buffer("border", border, persistent=False)
        self.rpn = Proposals(network.rpn, anchors, [level.numel() for level in objectness], border)
        heads = network.roi_heads
        parts = {
            "box_roi_pool": PyramidPooling(heads.box_roi_pool, features, size),
            "box_head": heads.box_head,
            "box_predictor": heads.box_predictor,
        }
        self.roi_heads = nn.ModuleDict(parts)
        self._coder = heads.box_coder
        with torch.no_grad():
            logits, _ = self._looked_at(features, border[None])
        self.classes = int(logits.shape[1]) - 1  # class 0 is the background

    def _looked_at(self, features: dict[str, Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (k, 1 + classes) and codes (k, 4 times as many) of what is in the boxes (k, 4)."""
        pooled = self.roi_heads["box_roi_pool"](features, boxes)
        logits, codes = self.roi_heads["box_predictor"](self.roi_heads["box_head"](pooled))
        return logits, codes

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (1, k, 4), scores (1, k), labels (1, k) of a normalised image (1, channels, height, width)."""
        features = pyramid(self.backbone, framed(image, self._stride))
        proposals, there = self.rpn(list(features.values()))
        logits, codes = self._looked_at(features, proposals)
        count, classes = logits.shape
        # Class 0 is the background.
        boxes = self._coder.decode_single(codes, proposals).reshape(count, classes, 4)[:, 1:]
        boxes = clipped(boxes, self.border)
        scores = logits.softmax(dim=1)[:, 1:] * there[:, None] * is_large(boxes, _SMALLEST_SIDE).to(logits.dtype)
        scores, chosen = likeliest(scores.reshape(-1), MOST_CANDIDATES)
        labels = place_and_class(chosen, classes - 1)[1] + 1
        return boxes.reshape(-1, 4).index_select(0, chosen)[None], scores[None], labels[None]
