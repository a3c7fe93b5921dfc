"""A region proposal network with static shapes: always the same number of proposals, and which of them count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.tasks.detection.deployable.candidates import likeliest
from pipeline.tasks.detection.deployable.geometry import clipped, is_large
from pipeline.tasks.detection.deployable.suppression import stays

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Proposals"]


class Proposals(nn.Module):
    """What ``network.rpn`` does, for one image of one size.

    Args:
        rpn: The eager one, in eval mode; its head is shared and keeps its name.
        anchors: Of all levels, (anchors, 4).
        levels: How many of them each level has.
        border: The largest coordinates, (4,).
    """

    anchors: Tensor
    border: Tensor

    def __init__(self, rpn: Any, anchors: Tensor, levels: list[int], border: Tensor) -> None:  # noqa: ANN401 - torchvision has no types
        super().__init__()
        self.head = rpn.head
        self._coder = rpn.box_coder
        self._levels = levels
        self._before, self._after = int(rpn.pre_nms_top_n()), int(rpn.post_nms_top_n())
        self._iou, self._score, self._side = float(rpn.nms_thresh), float(rpn.score_thresh), float(rpn.min_size)
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("border", border, persistent=False)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Boxes (proposals, 4), the likeliest first, and which of them are there, float32 (proposals,).

        There are fewer than the constant number where more boxes than the rest were suppressed: then it is filled up
        with suppressed ones, which count for nothing.
        """
        anchors_of_levels = torch.split(self.anchors, self._levels)
        found = [
            self._of_level(objectness, codes, anchors)
            for objectness, codes, anchors in zip(*self.head(features), anchors_of_levels, strict=True)
        ]
        boxes, scores = (torch.cat(parts) for parts in zip(*found, strict=True))
        scores, chosen = likeliest(scores, self._after)
        return boxes.index_select(0, chosen), (scores >= 0).to(scores.dtype)

    def _of_level(self, objectness: Tensor, codes: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes and scores of a level's likeliest anchors, -1 for those that do not count.

        Args:
            objectness: (1, anchors of a place, height, width).
            codes: (1, 4 times as many, height, width).
            anchors: (anchors of the level, 4).
        """
        _, each, height, width = objectness.shape
        logits = objectness[0].permute(1, 2, 0).reshape(-1)
        codes = codes[0].reshape(each, 4, height, width).permute(2, 3, 0, 1).reshape(-1, 4)
        logits, places = likeliest(logits, self._before)
        boxes = self._coder.decode_single(codes.index_select(0, places), anchors.index_select(0, places))
        boxes, scores = clipped(boxes, self.border), logits.sigmoid()
        valid = is_large(boxes, self._side) & (scores >= self._score)
        staying = stays(boxes, self._iou, valid.to(scores.dtype))
        return boxes, staying * scores + (staying - 1)  # in this order nothing is rounded
