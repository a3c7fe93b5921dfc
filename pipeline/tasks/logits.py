"""Networks that answer with probabilities, read as logits where they are trained or teach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["as_they_are", "logarithm", "reader_of_logits"]


def reader_of_logits(*, probabilities: bool) -> Callable[[Tensor], Tensor]:
    """A function from a network's outputs to logits: the logarithm of probabilities, all else as it is.

    A loss on logits that is given probabilities teaches next to nothing: their softmax is nearly uniform. The softmax
    of their logarithm is they themselves, so nothing is lost, and the deployed network stays the user's.
    """
    return logarithm if probabilities else as_they_are


def as_they_are(outputs: Tensor) -> Tensor:
    """What is no probability."""
    return outputs


def logarithm(outputs: Tensor) -> Tensor:
    """Logits of probabilities: their softmax is they themselves."""
    return outputs.clamp(min=torch.finfo(outputs.dtype).tiny).log()
