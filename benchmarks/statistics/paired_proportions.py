"""Paired accuracy: how much one model answers right where the other does not, image by image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.scipy_parts import scipy_part

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Drop", "accuracy_drop", "agreement_upper_bound", "mcnemar", "proportion_interval", "sign_flips"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """Baseline accuracy minus candidate accuracy, fractions of 1, over the same images.

    Attributes:
        estimate: As counted.
        low: One-sided lower bound at the level ``1 - alpha``.
        high: One-sided upper bound.
        lost: Images only the baseline answers right.
        won: Images only the candidate answers right.
        n: Images.
    """

    estimate: float
    low: float
    high: float
    lost: int
    won: int
    n: int


def accuracy_drop(baseline: Sequence[float], candidate: Sequence[float], *, alpha: float) -> Drop:
    """The drop with one-sided bounds for the population the images are drawn from.

    Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired data",
    Statistics in Medicine 17, 1998, method 10: the Wilson intervals of both proportions, squared and added with their
    correlation.

    Args:
        baseline: 1.0 where the baseline is right, 0.0 where not; one value an image.
        candidate: The same images in the same order.
        alpha: Of each bound.

    Raises:
        ValueError: when the lengths differ, there are no images, or a value is neither 0 nor 1.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (baseline, candidate))
    if first.shape != second.shape or not len(first) or not np.isin([*first, *second], (0.0, 1.0)).all():
        message = "both need one value of 0 or 1 for every image"
        raise ValueError(message)
    both, lost = int((first * second).sum()), int((first * (1 - second)).sum())
    won, neither = int(((1 - first) * second).sum()), int(((1 - first) * (1 - second)).sum())
    n = len(first)
    special = scipy_part("special")  # and not scipy.stats, which takes four times as long to load
    low, high = _newcombe(both, lost, won, neither, z=float(special.ndtri(1 - alpha)))
    return Drop(estimate=(lost - won) / n, low=low, high=high, lost=lost, won=won, n=n)


def _newcombe(both: int, first_only: int, second_only: int, neither: int, *, z: float) -> tuple[float, float]:
    n = both + first_only + second_only + neither
    p1, p2 = (both + first_only) / n, (both + second_only) / n
    low1, high1 = _wilson(both + first_only, n, z)
    low2, high2 = _wilson(both + second_only, n, z)
    correlation = _correlation(both, first_only, second_only, neither)
    below = (p1 - low1) ** 2 - 2 * correlation * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2
    above = (high1 - p1) ** 2 - 2 * correlation * (high1 - p1) * (p2 - low2) + (p2 - low2) ** 2
    return p1 - p2 - float(np.sqrt(max(below, 0))), p1 - p2 + float(np.sqrt(max(above, 0)))


def proportion_interval(hits: int, n: int, *, alpha: float) -> tuple[float, float]:
    """Both ends of the interval of a share of images at the level ``1 - alpha``.

    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American Statistical
    Association 22, 1927.

    Args:
        hits: Images that count.
        n: All of them, at least one.
        alpha: Of both ends together.
    """
    special = scipy_part("special")
    low, high = _wilson(hits, n, float(special.ndtri(1 - alpha / 2)))
    return max(0.0, low), min(1.0, high)


def _wilson(hits: int, n: int, z: float) -> tuple[float, float]:
    centre = (hits + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * float(np.sqrt(hits * (n - hits) / n + z**2 / 4))
    return centre - half, centre + half


def _correlation(both: int, first_only: int, second_only: int, neither: int) -> float:
    """Phi, towards zero by half a count when positive (Newcombe's continuity correction), 0 for an empty margin."""
    margins = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    if margins == 0:
        return 0.0
    n = both + first_only + second_only + neither
    numerator = float(both * neither - first_only * second_only)
    if numerator > 0:
        numerator = max(numerator - n / 2, 0.0)
    return float(numerator / np.sqrt(margins))


def agreement_upper_bound(same: int, n: int, *, alpha: float) -> float:
    """Exact (Clopper and Pearson) upper bound of the share of images with the same answer."""
    special = scipy_part("special")
    return 1.0 if same == n else float(special.betaincinv(same + 1, n - same, 1 - alpha))


def mcnemar(lost: int, won: int) -> float:
    """The chance of so uneven a split of the images that only one of two models gets right, were both as good.

    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947; exact,
    two-sided; 1 where there are none.

    Args:
        lost: Images that only the first answers right.
        won: Images that only the second answers right.
    """
    special = scipy_part("special")
    return float(np.minimum(1.0, 2 * special.bdtr(min(lost, won), lost + won, 0.5)))  # a fair coin's sides are alike


def sign_flips(differences: Sequence[int]) -> float:
    """The chance of a sum as far from 0 as that of these differences, were the sign of each a coin's doing.

    Of several pairs of models on the same images, the difference of an image is in how many pairs the second is right
    less in how many the first is. An image is drawn once, however many pairs answer it, and therefore flips as a whole:
    pairs that fail on the same images count as what they are, not as so many images more (Durkalski et al., "Analysis
    of clustered matched-pair data", Statistics in Medicine 22, 2003, takes the cluster as unit likewise). The
    distribution over all flips is exact; Fisher, "The Design of Experiments", 1935, section 21. Of one pair it is
    McNemar's exact test.

    Args:
        differences: One for each image.
    """
    sizes = Counter(abs(one) for one in differences if one)
    chances, most = np.ones(1), 0
    for size, count in sizes.items():
        own = np.zeros(size * count + 1)
        own[::size] = _fair_coins(count)
        chances, most = np.convolve(chances, own), most + size * count
    sums = np.abs(2 * np.arange(len(chances)) - most)
    return min(1.0, float(chances[sums >= abs(sum(differences))].sum()))


def _fair_coins(count: int) -> np.ndarray:
    """The chances of 0, 1, ... ``count`` heads, to ten digits for 20,000 of them."""
    gammaln = scipy_part("special").gammaln  # and not scipy.stats, as above
    heads = np.arange(count + 1)
    ways = gammaln(count + 1) - gammaln(heads + 1) - gammaln(count - heads + 1)
    chances: np.ndarray = np.exp(ways - count * np.log(2))
    return chances
