"""Where a series changed its level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.scipy_parts import scipy_part

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["change_points"]

_LEAST = 4
"""Points that a level needs on each side."""


def change_points(values: Sequence[float], *, p: float = 0.005, least_change: float = 0.02) -> list[int]:
    """Positions at which a new level begins.

    Binary segmentation: the split whose two sides differ most by Welch's t is kept when it is significant and the means
    differ by ``least_change``, and both sides are searched in turn. As in Hunter (Fleming et al., "Hunter: Using Change
    Point Detection to Hunt for Performance Regressions", 2023), with the p-value corrected for the number of splits
    that were tried.

    Args:
        values: Positive figures, the oldest first.
        p: Level of each decision.
        least_change: Relative change below which a step is none.
    """
    found: list[int] = []
    _search(np.asarray(values, dtype=np.float64), 0, found, p, least_change)
    return sorted(found)


def _search(values: np.ndarray, offset: int, found: list[int], p: float, least_change: float) -> None:
    splits = range(_LEAST, len(values) - _LEAST + 1)
    if not splits:
        return
    tried = [(_p_value(values[:split], values[split:]), split) for split in splits]
    best, split = min(tried)
    left, right = values[:split], values[split:]
    if best * len(splits) > p or abs(right.mean() / left.mean() - 1) < least_change:
        return
    found.append(offset + split)
    _search(left, offset, found, p, least_change)
    _search(right, offset + split, found, p, least_change)


def _p_value(left: np.ndarray, right: np.ndarray) -> float:
    """Welch's two-sided p-value; for two constant sides 0 or 1, as they differ or not."""
    shares = left.var(ddof=1) / len(left), right.var(ddof=1) / len(right)
    difference = float(left.mean() - right.mean())
    if sum(shares) == 0:
        return 0.0 if difference else 1.0
    freedom = sum(shares) ** 2 / (shares[0] ** 2 / (len(left) - 1) + shares[1] ** 2 / (len(right) - 1))
    special = scipy_part("special")  # here: importing it takes a while
    return float(2 * special.stdtr(freedom, -abs(difference) / np.sqrt(sum(shares))))
