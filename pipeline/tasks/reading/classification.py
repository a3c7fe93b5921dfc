"""What a classifier's output means: a part of its bundle's ``run.py``, and used by :class:`edgewright.Bundle`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["likeliest", "softmax"]

# --- the bundle's run.py starts here ---


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[Any] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def likeliest(output: NDArray[Any], answers: str, classes: Sequence[str], top: int) -> list[dict[str, Any]]:
    """The likeliest classes of one image: class, index and probability of each, the likeliest first.

    output: (classes,); answers: logits, or probabilities where the network ends in softmax; top: how many at most.
    """
    shares = output.astype(np.float64)
    if answers == "probabilities":
        shares = np.maximum(shares, 0)
        shares /= shares.sum() or 1.0
    else:
        shares = softmax(shares)
    best = np.argsort(-output, kind="stable")[:top]
    return [{"class": classes[i], "index": int(i), "probability": float(shares[i])} for i in best]


# --- the bundle's run.py ends here ---
