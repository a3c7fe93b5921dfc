"""Knowledge distillation as it was first written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["kl_to_soft_targets"]


def kl_to_soft_targets(student: Tensor, targets: Tensor, labels: Tensor, *, temperature: float) -> Tensor:  # noqa: ARG001 - one signature for all
    """Kullback-Leibler divergence from the softened student to the targets, times ``temperature ** 2``; a scalar.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv:1503.02531), section 2: the
    factor keeps the gradient's size independent of the temperature.

    Args:
        student: Logits, (batch, classes).
        targets: Probabilities at that temperature, (batch, classes).
        labels: Not looked at.
        temperature: Above 0.
    """
    predicted = functional.log_softmax(student / temperature, dim=1)
    return functional.kl_div(predicted, targets, reduction="batchmean") * temperature**2
