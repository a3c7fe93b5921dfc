"""Percentiles, and how many samples each of them needs before it means anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NEEDED", "percentiles"]

NEEDED = {"p50": 11, "p90": 64, "p95": 130, "p99": 662}
"""Samples that bound a percentile from above with 99 % confidence when one of them may lie beyond: the smallest ``n``
with ``P(Binomial(n, 1 - q) <= 1) <= 1 %``, the early-stopping rule of MLPerf LoadGen's single-stream scenario."""


def percentiles(samples_s: Sequence[float]) -> tuple[dict[str, float | None], list[str]]:
    """The four percentiles in seconds, None with a reason where there are too few samples."""
    values: dict[str, float | None] = {}
    reasons = []
    for name, needed in NEEDED.items():
        if len(samples_s) < needed:
            values[name] = None
            reasons.append(f"{name} withheld: {len(samples_s)} samples, {needed} are needed")
        else:
            values[name] = float(np.percentile(samples_s, float(name[1:]), method="higher"))
    return values, reasons
