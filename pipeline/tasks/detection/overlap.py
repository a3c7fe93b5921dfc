"""How much boxes have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pipeline.session import Array

__all__ = ["have_area", "overlaps"]


def have_area(boxes: Array) -> Array:
    """Which boxes (k, 4), xyxy, are not empty: empty ones overlap with nothing, themselves among it."""
    found: Array = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return found


def overlaps(first: Array, second: Array, *, of_first: bool = False) -> Array:
    """Intersection over union of boxes (n, 4) and (k, 4), xyxy: float64 (n, k); 0 of empty ones.

    ``of_first``: over the area of the first one alone, as COCO holds a detection against a crowd.
    """
    one, other = first.astype(np.float64)[:, None], second.astype(np.float64)[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    common = sides.clip(min=0).prod(axis=-1)
    whole = (one[..., 2:] - one[..., :2]).prod(axis=-1) + np.zeros_like(common)
    if not of_first:
        whole = whole + (other[..., 2:] - other[..., :2]).prod(axis=-1) - common
    found: Array = np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)
    return found
