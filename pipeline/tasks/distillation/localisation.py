"""LD: where a head says a box as distributions, the student's follow the teacher's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["localisation"]

_TEMPERATURE = 10.0
"""As the authors chose it."""


def localisation(student: Tensor, teacher: Tensor, *, temperature: float = _TEMPERATURE) -> Tensor:
    """Kullback-Leibler divergence from each side's softened distribution to the teacher's, in the mean, (places,).

    Zheng et al., "Localization Distillation for Dense Object Detection", 2022 (arXiv:2102.12252), section 3.2, with the
    factor ``temperature ** 2`` and the mean over distances of the authors' code. What a teacher is unsure of, an edge
    that is hard to see, is in the distribution and not in the box.

    Args:
        student: Logits of the distances, (places, sides, distances).
        teacher: Of the same shape.
        temperature: Above 0.
    """
    predicted = functional.log_softmax(student / temperature, dim=-1)
    wanted = functional.softmax(teacher / temperature, dim=-1)
    return functional.kl_div(predicted, wanted, reduction="none").mean(dim=(-2, -1)) * temperature**2
