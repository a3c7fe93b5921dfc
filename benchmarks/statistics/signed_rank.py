"""Exact inference from paired differences: the process is the unit, one difference each.

Wilcoxon's signed-rank statistic and the interval it inverts to, for a shift of the differences' centre. Source:
Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", 3rd edition, 2014, sections 3.1 to 3.3. No normal
approximation: the null distribution of small samples is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.session import Array

__all__ = ["Shift", "p_greater", "shift", "walsh_averages"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """Where the centre of the differences lies.

    Attributes:
        estimate: Hodges and Lehmann's: the median of the Walsh averages.
        low: One-sided lower bound at the level ``1 - alpha``; minus infinity when there are too few differences.
        high: The upper bound likewise.
        alpha: Reached level of each bound, at most the asked one.
        n: Differences.
    """

    estimate: float
    low: float
    high: float
    alpha: float
    n: int


def shift(differences: Sequence[float], *, alpha: float) -> Shift:
    """Estimate and exact one-sided bounds, each at the level ``1 - alpha``.

    The lower bound is the ``k``-th smallest Walsh average with the largest ``k`` for which a signed-rank statistic
    below ``k`` has at most probability ``alpha`` under symmetry; the upper bound is its mirror image.

    Raises:
        ValueError: without differences, or for an alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        message = f"alpha has to lie between 0 and 1, got {alpha}"
        raise ValueError(message)
    averages = walsh_averages(differences)
    cumulated = _null_distribution(len(differences))
    rank = int(np.searchsorted(cumulated, alpha, side="right"))
    if rank == 0:
        low, high, reached = -np.inf, np.inf, 0.0
    else:
        low, high, reached = float(averages[rank - 1]), float(averages[-rank]), float(cumulated[rank - 1])
    return Shift(estimate=float(np.median(averages)), low=low, high=high, alpha=reached, n=len(differences))


def walsh_averages(differences: Sequence[float]) -> Array:
    """The means of all pairs, each difference paired with itself too, sorted; (n (n + 1) / 2,).

    Raises:
        ValueError: without differences, or when one is not finite.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        message = "differences have to be finite numbers, at least one"
        raise ValueError(message)
    rows, columns = _couples(len(values))
    averages: Array = np.sort((values[rows] + values[columns]) / 2)
    return averages


def p_greater(differences: Sequence[float], threshold: float) -> float:
    """Exact one-sided p-value against "the centre is at most ``threshold``".

    Counted as Walsh averages above the threshold, ties as half: so that the value agrees with :func:`shift`'s bounds.
    """
    averages = walsh_averages(differences)
    statistic = int(np.floor((averages > threshold).sum() + (averages == threshold).sum() / 2))
    if statistic == 0:
        return 1.0
    return float(1 - _null_distribution(len(differences))[statistic - 1])


@lru_cache(maxsize=4)  # of simulations, which ask for the same again and again; a pair takes 16 bytes
def _couples(n: int) -> tuple[Array, Array]:
    """The places of both of every pair."""
    rows, columns = np.triu_indices(n)
    return rows, columns


@cache
def _null_distribution(n: int) -> Array:
    """``P(T <= t)`` for ``t`` from 0 to n (n + 1) / 2: every sign of every rank equally likely."""
    ways = np.zeros(n * (n + 1) // 2 + 1)
    ways[0] = 1.0
    for rank in range(1, n + 1):
        ways[rank:] += ways[:-rank].copy()
    cumulated: Array = np.cumsum(ways / 2.0**n)
    return cumulated
