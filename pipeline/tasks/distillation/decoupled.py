"""DKD: what the teacher says of the label's class and what it says of the others, weighed apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["decoupled"]

_TARGET, _OTHERS = 1.0, 8.0
"""Alpha and beta of the paper's CIFAR-100 tables."""


def decoupled(student: Tensor, targets: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """The divergence about "the label or not", and eight times that among the other classes; a scalar.

    Zhao et al., "Decoupled Knowledge Distillation", 2022 (arXiv:2203.08679), equation 7, times ``temperature ** 2``.

    Args:
        student: Logits, (batch, classes). With two classes the second part is 0, with one both are.
        targets: Probabilities at that temperature, (batch, classes).
        labels: Class indices, (batch,).
        temperature: Above 0.
    """
    if student.shape[1] == 1:
        return student.sum() * 0.0
    logits = student / temperature
    own = functional.one_hot(labels, student.shape[1]).bool()
    others = logits.masked_select(~own).view(len(own), -1)
    whole = logits.logsumexp(dim=1)
    label_or_not = torch.stack([logits[own], others.logsumexp(dim=1)], dim=1) - whole[:, None]
    rest = targets.masked_select(~own).view(len(own), -1)
    wanted = torch.stack([targets[own], rest.sum(dim=1)], dim=1)
    about_the_label = functional.kl_div(label_or_not, wanted, reduction="batchmean")
    among_them = rest / rest.sum(dim=1, keepdim=True).clamp(min=torch.finfo(rest.dtype).tiny)
    among_the_others = functional.kl_div(others.log_softmax(dim=1), among_them, reduction="batchmean")
    return (_TARGET * about_the_label + _OTHERS * among_the_others) * temperature**2
