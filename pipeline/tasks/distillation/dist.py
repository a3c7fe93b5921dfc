"""DIST: the student keeps the relations between the teacher's answers, not their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["relations"]

_TINY = 1e-8


def relations(student: Tensor, targets: Tensor, labels: Tensor, *, temperature: float) -> Tensor:  # noqa: ARG001 - one signature for all
    """One minus the correlation of each image's probabilities, plus the same of each class over the batch; a scalar.

    Huang et al., "Knowledge Distillation from A Stronger Teacher", 2022 (arXiv:2205.10536), equations 6 to 9, both
    parts with weight 1 and the factor ``temperature ** 2`` of the authors' code.

    Args:
        student: Logits, (batch, classes).
        targets: Probabilities at that temperature, (batch, classes).
        labels: Not looked at.
        temperature: Above 0.
    """
    predicted = functional.softmax(student / temperature, dim=1)
    between_classes = 1 - _correlation(predicted, targets).mean()
    within_a_class = 1 - _correlation(predicted.T, targets.T).mean()
    return (between_classes + within_a_class) * temperature**2


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's of each pair of rows, (rows,)."""
    first, second = (rows - rows.mean(dim=1, keepdim=True) for rows in (first, second))
    return functional.cosine_similarity(first, second, dim=1, eps=_TINY)
