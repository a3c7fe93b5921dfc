"""What several classifiers say together: the mean of their probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tasks.reading.classification import softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.artifact import Json
    from pipeline.session import Array, Outputs

__all__ = ["joined"]


def joined(outputs: Sequence[Outputs], answers: Sequence[Json]) -> Outputs:
    """Probabilities, float32 (batch, classes).

    Args:
        outputs: Of each member, with their batch axis.
        answers: What is to be known of each, as of :meth:`pipeline.tasks.Task.told_with`.
    """
    shares = [one if kind == "probabilities" else softmax(one) for (one,), kind in zip(outputs, answers, strict=True)]
    mean: Array = np.stack(shares).mean(axis=0, dtype=np.float32)
    return (mean,)
