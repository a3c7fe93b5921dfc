"""How much boxes have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pipeline.session import Array

__all__ = ["overlaps"]


def overlaps(first: Array, second: Array) -> Array:
    """Intersection over union of boxes (n, 4) and (k, 4), xyxy: float64 (n, k); 0 of empty ones."""
    one, other = first.astype(np.float64)[:, None], second.astype(np.float64)[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    common = sides.clip(min=0).prod(axis=-1)
    either = (one[..., 2:] - one[..., :2]).prod(axis=-1) + (other[..., 2:] - other[..., :2]).prod(axis=-1) - common
    found: Array = np.divide(common, either, out=np.zeros_like(common), where=either > 0)
    return found
