"""What turns gradients into weights: the optimiser, and the moving average of what it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from pipeline.training.schedule import Schedule

__all__ = ["moving_average", "optimizer_of"]

_MOMENTA = (0.9, 0.99)
"""Second moments over a hundred steps instead of a thousand: a short training ends before those would have settled,
and a ResNet-50 from scratch then came out anywhere between 92 and 99 %."""


def optimizer_of(module: nn.Module, schedule: Schedule, *, fused: bool = True) -> torch.optim.Optimizer:
    """The optimiser of all parameters; norms and biases, which have one dimension, do not decay.

    Args:
        module: Whose parameters.
        schedule: Which optimiser, and how strongly weights decay.
        fused: Whether a step is one kernel, which is quickest. Such a kernel divides by a gradient scaler's factor
            itself, after the gradient was clipped at a length that still had it: not to be had with a scaler.
    """
    parameters = list(module.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": schedule.decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    match schedule.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=_MOMENTA, fused=fused)
        case "adam":
            return torch.optim.Adam(groups, lr=schedule.learning_rate, betas=_MOMENTA, fused=fused)
        case "sgd":
            return torch.optim.SGD(groups, lr=schedule.learning_rate, momentum=0.9, nesterov=True, fused=fused)


def moving_average(network: nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel | None:
    """A copy of the network that follows its weights; None for a decay of 0."""
    if not decay:
        return None
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
