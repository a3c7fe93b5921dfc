"""From what was seen of a tensor to the range that its INT8 values cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.session import Array

__all__ = ["METHODS", "Histogram", "Method", "Range"]

Method = Literal["minmax", "percentile", "mse", "entropy"]

_PERCENTILE = 99.99
_LEVELS = 256
_CANDIDATES = 96


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """The interval that is represented; always holds zero, since padding is zero.

    Law: ``low <= 0 <= high`` and ``low < high``.
    """

    low: float
    high: float

    @classmethod
    def of(cls, low: float, high: float) -> Range:
        """The smallest valid range around ``[low, high]``."""
        low, high = min(0.0, float(low)), max(0.0, float(high))
        return cls(low=low, high=high if high - low > 1e-12 else low + 1e-6)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of a tensor's values over all calibration images.

    Attributes:
        counts: (bins,), over equal bins from ``low`` to ``high``, the smallest and largest values seen.
    """

    counts: Array
    low: float
    high: float

    @property
    def centres(self) -> Array:
        """The bins' middles, (bins,)."""
        edges = np.linspace(self.low, self.high, len(self.counts) + 1)
        return (edges[:-1] + edges[1:]) / 2


def _minmax(seen: Histogram) -> Range:
    """Everything that was seen."""
    return Range.of(seen.low, seen.high)


def _percentile(seen: Histogram) -> Range:
    """All but the outermost hundredth of a percent, half of it on each side."""
    total = seen.counts.sum()
    cumulated = np.cumsum(seen.counts) / total
    tail = (1 - _PERCENTILE / 100) / 2
    edges = np.linspace(seen.low, seen.high, len(seen.counts) + 1)
    low = edges[int(np.searchsorted(cumulated, tail))]
    high = edges[int(np.searchsorted(cumulated, 1 - tail)) + 1]
    return Range.of(max(low, seen.low), min(high, seen.high))


def _mse(seen: Histogram) -> Range:
    """The range whose rounding and clipping together err least in the mean square, searched on a grid.

    Both ends are shrunk in turn; see Nagel et al., "A White Paper on Neural Network Quantization", 2021
    (arXiv:2106.08295), section 3.1.
    """
    low, high = min(0.0, seen.low), max(0.0, seen.high)
    shares = np.linspace(0.05, 1.0, _CANDIDATES)
    for _ in range(2):
        if high > 0:
            high = min((seen.high * share for share in shares), key=lambda end: _square_error(seen, low, end))
        if low < 0:
            low = min((seen.low * share for share in shares), key=lambda end: _square_error(seen, end, high))
    return Range.of(low, high)


def _square_error(seen: Histogram, low: float, high: float) -> float:
    step = max(high - low, 1e-12) / (_LEVELS - 1)
    centres = seen.centres
    clipped = np.clip(centres, low, high)
    rounded = np.round((clipped - low) / step) * step + low
    return float(np.sum(seen.counts * (centres - rounded) ** 2))


def _entropy(seen: Histogram) -> Range:
    """The clipping whose quantised distribution is nearest to the seen one, by Kullback-Leibler divergence.

    Migacz, "8-bit Inference with TensorRT", GTC 2017; here over both ends at once, scaled alike. Zeros are left out:
    INT8 represents them exactly, and behind a ReLU there are so many that they would decide everything.
    """
    counts = seen.counts.astype(np.float64)
    centres = seen.centres
    if seen.low <= 0 <= seen.high:
        counts[int(np.argmin(np.abs(centres)))] = 0
    if not counts.any():
        return _minmax(seen)
    best, chosen = np.inf, (seen.low, seen.high)
    for share in np.linspace(0.1, 1.0, _CANDIDATES):
        low, high = min(0.0, seen.low * share), max(0.0, seen.high * share)
        inside = (centres >= low) & (centres <= high)
        if inside.sum() < _LEVELS:
            continue
        reference = counts[inside].copy()
        reference[0] += counts[centres < low].sum()
        reference[-1] += counts[centres > high].sum()
        level = np.minimum(((centres[inside] - low) / max(high - low, 1e-12) * _LEVELS).astype(int), _LEVELS - 1)
        present = counts[inside] > 0
        sums = np.bincount(level, weights=counts[inside], minlength=_LEVELS)
        members = np.bincount(level, weights=present.astype(float), minlength=_LEVELS)
        quantised = np.where(present, sums[level] / np.maximum(members[level], 1), 0)
        divergence = _divergence(reference, quantised)
        if divergence < best:
            best, chosen = divergence, (low, high)
    return Range.of(*chosen)


def _divergence(reference: Array, other: Array) -> float:
    p, q = reference / reference.sum(), other / max(other.sum(), 1e-12)
    held = p > 0
    return float(np.sum(p[held] * np.log(p[held] / np.maximum(q[held], 1e-9))))


METHODS: dict[Method, Callable[[Histogram], Range]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "mse": _mse,
    "entropy": _entropy,
}
"""Every way to choose a range from a histogram."""
