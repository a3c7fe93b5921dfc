"""Parameters and multiply-accumulates of a network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from torch import nn

__all__ = ["count_macs", "count_parameters"]


def count_parameters(network: nn.Module) -> int:
    """Number of scalars in the network's parameters; a shared parameter counts once, buffers do not."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of one inference.

    Convention: a multiplication and its addition are one; convolutions, matrix products, recurrences and attention
    count, whether they are modules or calls in ``forward``; biases, normalisation, activations and pooling do not.
    These are the figures of torchvision's table ("GFLOPS" there).

    Args:
        network: Its mode and its weights are as before afterwards.
        input_shape: With the batch, such as ``(1, 3, 224, 224)``.
    """
    was_training = {module: module.training for module in network.modules()}
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mkldnn_rnn_layer: _of_recurrence})
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused call, which the counter does not know
    network.eval()
    try:
        # The plain form of attention, because the fused one for CPUs is unknown to the counter too.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            network(torch.zeros(input_shape, device=device))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, training in was_training.items():
            module.training = training
    return int(counter.get_total_flops()) // 2


def _of_recurrence(
    inputs: tuple[int, ...], into: tuple[int, ...], again: tuple[int, ...], *_: object, **__: object
) -> int:
    """Of an LSTM's layer in one direction, in the form that CPUs run it in, which the counter does not know.

    Args:
        inputs: Shape (steps, batch, channels).
        into: Shape of the weights that its inputs meet.
        again: Shape of the weights that its state meets.
    """
    steps, batch, _channels = inputs
    return 2 * steps * batch * (math.prod(into) + math.prod(again))
