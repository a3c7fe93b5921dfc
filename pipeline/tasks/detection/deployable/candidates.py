"""A fixed number of candidates: the likeliest, chosen by TopK with a constant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MOST_CANDIDATES", "likeliest", "likeliest_places", "place_and_class"]

MOST_CANDIDATES = 3840
"""The largest constant that TensorRT's TopK takes."""


def likeliest(scores: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The highest scores, falling, and where they stand: (k,) each, k a constant.

    Args:
        scores: (candidates,).
        most: How many at most; never more than :data:`MOST_CANDIDATES`.
    """
    return torch.topk(scores, min(most, MOST_CANDIDATES, scores.shape[0]))


def likeliest_places(likelihoods: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where a place shows one class at most: scores, falling, places, and labels from 1, (k,) each, k a constant.

    Args:
        likelihoods: (places, classes).
        most: As of :func:`likeliest`.
    """
    by_place, classes = likelihoods.max(dim=1)
    scores, places = likeliest(by_place, most)
    return scores, places, classes.index_select(0, places) + 1


def place_and_class(index: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Row and column of an index into a flattened (places, classes) matrix."""
    return index // classes, index % classes
