"""Correction for several metrics that each could raise a false alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["rejected"]


def rejected(p_values: Mapping[str, float], *, alpha: float) -> frozenset[str]:
    """The hypotheses that fall at the family-wise level ``alpha``.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979: the
    smallest of ``m`` p-values is held against ``alpha / m``, the next against ``alpha / (m - 1)``, until one stands.
    """
    found = set()
    for position, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        if p > alpha / (len(p_values) - position):
            break
        found.add(name)
    return frozenset(found)
