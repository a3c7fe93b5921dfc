"""What an ensemble says: one distribution out of its members' logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["Weighting", "soft_targets", "standardised"]

Weighting = Literal["uniform", "confidence"]


def soft_targets(
    teachers: Sequence[Tensor],
    *,
    temperature: float,
    weighting: Weighting | tuple[float, ...] = "uniform",
) -> Tensor:
    """The weighted arithmetic mean of the members' softened probabilities, (batch, classes).

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv:1503.02531), section 5.

    Args:
        teachers: Logits of each member, (batch, classes).
        temperature: Divides the logits; above 0.
        weighting: All alike; by how sure each member is of each image (its largest probability at temperature 1);
            or a weight a member.
    """
    logits = torch.stack(list(teachers))
    probabilities = (logits / temperature).softmax(dim=2)
    if weighting == "uniform":
        return probabilities.mean(dim=0)
    if weighting == "confidence":
        weights = logits.softmax(dim=2).amax(dim=2, keepdim=True)
    else:
        weights = torch.tensor(weighting, dtype=logits.dtype, device=logits.device)[:, None, None]
    return (weights * probabilities).sum(dim=0) / weights.sum(dim=0)


def standardised(logits: Tensor) -> Tensor:
    """Logits of zero mean and unit deviation in each row, (batch, classes).

    Sun et al., "Logit Standardization in Knowledge Distillation", 2024 (arXiv:2403.01427), equation 9: the student then
    has to learn the relations between the teacher's logits and not their size.
    """
    centred = logits - logits.mean(dim=1, keepdim=True)
    return centred / (logits.std(dim=1, keepdim=True, unbiased=False) + 1e-7)
