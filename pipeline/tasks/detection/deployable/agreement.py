"""How far two lists of candidates are from each other, where the order of equals says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.session import Array

__all__ = ["candidates_differ"]

_TIE = 1e-5
"""Scores nearer than this, as a fraction of the highest, are equal: rounding decides which comes first, or at all."""


def candidates_differ(wanted: Sequence[Array], found: Sequence[Array], *, score: float) -> float:
    """The largest difference of the candidates that count, as a fraction of the largest coordinate and score.

    Where no candidate counts, scores are held against the one from which on they would: on noise a detector is sure of
    nothing, and a runtime's sigmoid is exact to a digit of 1, not of a score of a ten-thousandth.

    Scores are compared in their order. Boxes and labels are compared row by row, and where that fails with the most
    alike row of the other list, in both directions: rounding exchanges neighbours. A row without its like counts only
    if its score is its own: of candidates of one score, such as those of an empty image, the network itself chooses
    by chance.

    Args:
        wanted: Boxes (1, k, 4), scores (1, k) falling, labels (1, k).
        found: The same of the other form.
        score: Candidates of a higher score count.

    Returns:
        A fraction; infinite where shapes differ or a value is no number.
    """
    if any(one.shape != other.shape for one, other in zip(wanted, found, strict=True)):
        return float("inf")
    if not all(np.isfinite(one).all() for one in (*wanted[:2], *found[:2])):
        return float("inf")
    highest = float(max(wanted[1].max(initial=score), found[1].max(initial=score))) or 1.0
    side = float(max(wanted[0].max(initial=0), found[0].max(initial=0))) or 1.0
    ours, theirs = (_scaled(form, side, highest) for form in (wanted, found))
    ordered = float(np.abs(ours[:, 4] - theirs[:, 4]).max(initial=0))
    floor = score / highest
    return max(ordered, _unlike(ours, theirs, floor), _unlike(theirs, ours, floor))


def _scaled(form: Sequence[Array], side: float, highest: float) -> Array:
    """One row a candidate, (k, 6): coordinates and score as fractions, label."""
    boxes, scores, labels = (output[0] for output in form)
    rows: Array = np.concatenate([boxes / side, scores[:, None] / highest, labels[:, None]], axis=1, dtype=np.float64)
    return rows


def _unlike(ours: Array, theirs: Array, floor: float) -> float:
    """The largest difference of a row above the floor to its like, or to the same place of the other list."""
    counts = ours[:, 4] > floor
    differences = np.abs(ours - theirs).max(axis=1)
    worst = 0.0
    for place in np.flatnonzero(counts & (differences > 0)).tolist():
        if differences[place] <= worst:
            continue
        like = float(np.abs(theirs - ours[place]).max(axis=1).min())
        if like > worst and not (like > _TIE and _is_tied(ours[:, 4], place)):
            worst = like
    return worst


def _is_tied(scores: Array, place: int) -> bool:
    """Whether a neighbour in the falling scores, or the last one that is there at all, is as high."""
    near = scores[max(place - 1, 0) : place + 2]
    return bool(((near >= scores[place] - _TIE) & (near <= scores[place] + _TIE)).sum() > 1) or bool(
        scores[place] <= scores[-1] + _TIE
    )
