"""What an ensemble says: one distribution out of its members' logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["Weighting", "ensemble_logits", "standardised"]

Weighting = Literal["uniform", "confidence"]


def ensemble_logits(teachers: Sequence[Tensor], weighting: Weighting | tuple[float, ...] = "uniform") -> Tensor:
    """Logits of the weighted arithmetic mean of the members' probabilities, (batch, classes).

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv:1503.02531), section 5. The
    mean is taken before anything is softened: it is what the ensemble says where it runs, and a member that is never
    sure does not drown the others, as it would among softened answers.

    Args:
        teachers: Logits of each member, (batch, classes).
        weighting: All alike; by how sure each member is of each image (its largest probability); or a weight a member.
    """
    likely = torch.stack(list(teachers)).log_softmax(dim=2)
    if weighting == "uniform":
        weights = likely.new_zeros((len(likely), 1, 1))
    elif weighting == "confidence":
        weights = likely.amax(dim=2, keepdim=True)
    else:
        weights = torch.tensor(weighting, dtype=likely.dtype, device=likely.device)[:, None, None].log()
    return (likely + weights.log_softmax(dim=0)).logsumexp(dim=0)


def standardised(logits: Tensor) -> Tensor:
    """Logits of zero mean and unit deviation in each row, (batch, classes).

    Sun et al., "Logit Standardization in Knowledge Distillation", 2024 (arXiv:2403.01427), equation 9: the student then
    has to learn the relations between the teacher's logits and not their size.
    """
    centred = logits - logits.mean(dim=1, keepdim=True)
    return centred / (logits.std(dim=1, keepdim=True, unbiased=False) + 1e-7)
