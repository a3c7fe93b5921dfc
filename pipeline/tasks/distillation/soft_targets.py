"""What an ensemble says: one distribution out of its members' logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["Weighting", "ensemble_logits", "standardised"]

Weighting = Literal["uniform", "confidence"]

_RULED_OUT = 6e4
"""A class so far below the likeliest was ruled out: what is kept of -inf in 16 bits is 65,504 below it."""


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
    has to learn the relations between the teacher's logits and not their size. Mean and deviation are those of the
    classes that a row does not rule out: a mask's -1e9 is no logit, and beside it all others would be alike.
    """
    real = logits > logits.amax(dim=1, keepdim=True) - _RULED_OUT
    share = real.to(logits.dtype).mean(dim=1, keepdim=True)
    mean = logits.where(real, 0).mean(dim=1, keepdim=True) / share
    deviation = logits.where(real, mean).std(dim=1, keepdim=True, unbiased=False) / share.sqrt()
    return (logits - mean) / (deviation + 1e-7)
