"""How far one form of a network is from another, by what comes out."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.session import Array, Outputs

__all__ = ["largest_difference", "output_noise", "relative_difference"]


def output_noise(outputs: Sequence[Outputs], reference: Sequence[Outputs]) -> float:
    """Energy of the difference over energy of the reference, over all images together.

    Of several outputs the mean: boxes in pixels do not drown scores below 1.
    """
    pairs = zip(zip(*outputs, strict=True), zip(*reference, strict=True), strict=True)
    return fmean(_noise(ours, theirs) for ours, theirs in pairs)


def _noise(output: Sequence[Array], reference: Sequence[Array]) -> float:
    changed = sum(float(np.sum((a.astype(np.float64) - b) ** 2)) for a, b in zip(output, reference, strict=True))
    whole = sum(float(np.sum(b.astype(np.float64) ** 2)) for b in reference)
    return changed / max(whole, 1e-30)


def relative_difference(wanted: Array, got: Array) -> float:
    """Largest difference over the largest value; infinite for another shape or a value that is not a number."""
    if wanted.shape != got.shape:
        return float("inf")
    scale = float(np.abs(wanted).max(initial=0.0)) or 1.0
    error = float(np.abs(wanted.astype(np.float64) - got).max(initial=0.0) / scale)
    return error if np.isfinite(error) else float("inf")


def largest_difference(wanted: Sequence[Array], found: Sequence[Array], /) -> float:
    """Of outputs that are numbers, such as logits: the relative difference of the output that differs most."""
    return max(relative_difference(a, b) for a, b in zip(wanted, found, strict=True))
