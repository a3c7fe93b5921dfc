"""A fixed number of candidates: the likeliest, chosen by TopK with a constant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MOST_CANDIDATES", "likeliest", "place_and_class"]

MOST_CANDIDATES = 3840
"""The largest constant that TensorRT's TopK takes."""


def likeliest(scores: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The highest scores, falling, and where they stand: (k,) each, k a constant.

    Args:
        scores: (candidates,).
        most: How many at most; never more than :data:`MOST_CANDIDATES`.
    """
    return torch.topk(scores, min(most, MOST_CANDIDATES, scores.shape[0]))


def place_and_class(index: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Row and column of an index into a flattened (places, classes) matrix."""
    return index // classes, index % classes
