"""What turns gradients into weights: the optimiser, and the moving average of what it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.training.schedule import Schedule

__all__ = ["moving_average", "optimizer_of", "peak_rate"]

_MOMENTA = (0.9, 0.99)
"""Second moments over a hundred steps instead of a thousand: a short training ends before those would have settled,
and a ResNet-50 from scratch then came out anywhere between 92 and 99 %."""


_RATE, _CAREFUL_RATE = 1e-3, 1e-4
_NORMS = ("batchnorm", "layernorm", "groupnorm", "instancenorm", "rmsnorm")
_MANY_INPUTS = 8192
"""Of a layer: Adam moves every weight by about the rate, however small its gradient, so that an output moves by as many
times that as it has inputs. Where nothing normalises it, it may never be above 0 again: of digits VGG-16, with 25,088
of them, knew 10 % after 175 steps at 1e-3, which is guessing, and 59 % at 1e-4. SqueezeNet, which has no such layer,
learns more slowly at 1e-4."""


def peak_rate(network: nn.Module, schedule: Schedule) -> float:
    """The largest learning rate of a training: as said, or as the network bears it."""
    if schedule.learning_rate is not None:
        return schedule.learning_rate
    modules = list(network.modules())
    wide = any(isinstance(one, nn.Linear) and one.in_features >= _MANY_INPUTS for one in modules)
    names = [type(one).__name__.lower() for one in modules]
    return _CAREFUL_RATE if wide and not any(norm in name for norm in _NORMS for name in names) else _RATE


def optimizer_of(module: nn.Module, schedule: Schedule, *, rate: float, fused: bool = True) -> torch.optim.Optimizer:
    """The optimiser of all parameters; norms and biases, which have one dimension, do not decay.

    Args:
        module: Whose parameters.
        schedule: Which optimiser, and how strongly weights decay.
        rate: The learning rate that it starts with.
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
            return torch.optim.AdamW(groups, lr=rate, betas=_MOMENTA, fused=fused)
        case "adam":
            return torch.optim.Adam(groups, lr=rate, betas=_MOMENTA, fused=fused)
        case "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, fused=fused)


def moving_average(network: nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel | None:
    """A copy of the network that follows its weights; None for a decay of 0.

    At first it follows them more closely, by (1 + steps) / (10 + steps) where that is less than the decay, as
    TensorFlow's ``ExponentialMovingAverage`` does with ``num_updates``: else half of what a training of 600 steps comes
    to, with a decay of 0.999, would be the weights that it began with.
    """
    if not decay:
        return None
    from torch.optim.swa_utils import AveragedModel

    def follow(averages: Sequence[Tensor], weights: Sequence[Tensor], steps: Tensor | int) -> None:
        now = min(decay, (1 + float(steps)) / (10 + float(steps)))
        torch._foreach_lerp_(list(averages), list(weights), 1 - now)

    return AveragedModel(network, multi_avg_fn=follow)
