"""Batch-norm statistics computed anew over the whole training split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from pipeline.training.images import TrainingImages

__all__ = ["reestimate_batch_norm"]


def reestimate_batch_norm(network: nn.Module, images: TrainingImages, *, batch_size: int) -> None:
    """Replace the running statistics by those of the finished weights, in place; the network ends in eval mode.

    The running averages lag behind weights that change quickly: after a short training, or with the small momentum
    of some mobile networks, they describe a network that no longer exists. Method: "precise batch norm", Wu and
    Johnson, "Rethinking 'Batch' in BatchNorm", 2021 (arXiv:2105.07576), section 3.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001 - the 1d, 2d and 3d layers have no public base
    layers = [layer for layer in layers if layer.track_running_stats]
    network.eval()
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain average over all batches
        layer.train()
    device = next(network.parameters()).device
    with torch.no_grad():
        for _, inputs, _ in images.batches(torch.arange(len(images)), batch_size):
            if len(inputs) > 1:
                network(inputs.to(device))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.eval()
