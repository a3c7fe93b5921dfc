"""What a classifier's output means: a part of its bundle's ``run.py``, and used by :class:`edgewright.Bundle`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["likeliest"]

# --- the bundle's run.py starts here ---


def likeliest(output: NDArray[Any], answers: str, classes: Sequence[str], top: int) -> list[dict[str, Any]]:
    """The likeliest classes of one image: class, index and probability of each, the likeliest first.

    output: (classes,); answers: logits, or probabilities where the network ends in softmax; top: how many at most.
    """
    values = output.astype(np.float64)
    shares = np.maximum(values, 0) if answers == "probabilities" else np.exp(values - values.max())
    shares /= shares.sum() or 1.0
    best = np.argsort(-output, kind="stable")[:top]
    return [{"class": classes[i], "index": int(i), "probability": float(shares[i])} for i in best]


# --- the bundle's run.py ends here ---
