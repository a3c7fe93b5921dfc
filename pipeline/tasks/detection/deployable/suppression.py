"""Non-maximum suppression whose shapes depend on no value: the same boxes stay, told by a mask."""

from __future__ import annotations

import torch

__all__ = ["ROUNDS", "stays"]

ROUNDS = 12
"""How often it is asked anew who stays; see :func:`stays`."""


def stays(boxes: torch.Tensor, iou: float, valid: torch.Tensor, *, rounds: int = ROUNDS) -> torch.Tensor:
    """Which boxes stay, 1 or 0 each, float32 (k,).

    A box goes when one before it that stays overlaps it by more than ``iou``. All boxes at once are asked whether
    they go given who stays so far, again and again: after n rounds everything is decided that hangs on a chain of
    n overlapping boxes or fewer, and what is decided does not change again. That is greedy suppression by matrix
    products, without a loop over boxes: Zheng et al., "Enhancing Geometric Factors in Model Learning and Inference
    for Object Detection and Instance Segmentation", 2020 (arXiv:2005.03572), section 4, there called Cluster-NMS,
    with the proof that both give the same.

    Args:
        boxes: (k, 4) xyxy, the likeliest first.
        iou: Intersection over union.
        valid: Which boxes take part, float32 (k,); the others go, and nothing goes because of them.
        rounds: Until it ends.
    """
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    areas = (x2 - x1) * (y2 - y1)
    wide = torch.minimum(x2[:, None], x2[None]) - torch.maximum(x1[:, None], x1[None])
    high = torch.minimum(y2[:, None], y2[None]) - torch.maximum(y1[:, None], y1[None])
    both = wide.clamp(min=0) * high.clamp(min=0)
    # A product where others divide: two empty boxes do not overlap, and nothing is divided by nothing.
    overlap = both > iou * (areas[:, None] + areas[None] - both)
    before = torch.ones(boxes.shape[0], boxes.shape[0], device=boxes.device).triu(diagonal=1)
    removes = overlap.to(boxes.dtype) * before
    staying = valid[None]
    for _ in range(rounds):
        staying = valid[None] * (staying @ removes < 0.5).to(boxes.dtype)
    return staying[0]
